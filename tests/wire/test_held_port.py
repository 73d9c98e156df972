"""A port that is kept: who connects gets no answer, and is cut off when it is let go."""

import socket

import pytest

from zdqn.errors import AddressInUseError
from zdqn.wire.addresses import Address
from zdqn.wire.held_port import HeldPort


def test_a_free_port_is_found_and_is_nobody_elses_until_it_is_closed(loopback):
    with HeldPort(loopback) as held:
        assert held.address.port > 0
        with pytest.raises(AddressInUseError, match=f"listens on {held.address}.*--bind"):
            HeldPort(held.address)
    with HeldPort(held.address) as again:
        assert again.address == held.address


def test_a_copy_that_a_forked_process_has_does_not_keep_it(loopback):
    held = HeldPort(loopback)
    with held._socket.dup():  # what a fork leaves: another descriptor of the same socket
        held.close()
        with HeldPort(held.address) as again:
            assert again.address == held.address


def test_who_connects_hears_nothing_and_is_cut_off_at_the_end(loopback):
    with HeldPort(loopback) as held, socket.socket() as client:
        client.settimeout(60)
        client.connect((held.address.host, held.address.port))
        client.sendall(b"hello")
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(60)
        held.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_what_is_no_address_of_this_machine_is_for_others_to_judge():
    with pytest.raises(OSError, match=r"."):
        HeldPort(Address("tcp", "192.0.2.1", 5_555))
