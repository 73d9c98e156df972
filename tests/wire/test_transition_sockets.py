"""Blocks over loopback: they arrive whole and once, and a memory that does not read holds back."""

import socket
import threading
from contextlib import suppress

import pytest
import zmq

from tests.wire.links import (
    WAIT_MS,
    WAIT_S,
    make_receiver,
    make_sender,
    never,
    receive_block,
)
from zdqn.errors import AddressInUseError
from zdqn.wire.addresses import Address
from zdqn.wire.sockets import Context

LOCAL = {"0.0.0.0": "127.0.0.1"}


def at_once():
    return True


def has_ipv6_loopback():
    with suppress(OSError), socket.socket(socket.AF_INET6) as tried:
        tried.bind(("::1", 0))
        return True
    return False


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_blocks_arrive_whole_in_order_and_once(copy, size, context, loopback):
    receiver = make_receiver(context, loopback)
    sender = make_sender(context, receiver.address, 100)
    for number in range(5):
        assert sender.send(bytes([number]) + bytes(size), never)
    for number in range(5):
        message = receive_block(receiver, copy=copy)
        assert message[0] == number
        assert len(message) == size + 1
    assert receiver.receive(copy=copy) is None


def test_a_memory_that_does_not_read_blocks_its_collectors_and_nothing_is_lost(context, loopback):
    receiver = make_receiver(context, loopback)
    sender = make_sender(context, receiver.address)
    sent = 0
    while sender.send(sent.to_bytes(4, "little") + bytes(50_000), at_once):
        sent += 1
        assert sent < 1_000, "nothing held the sender back"
    assert sent >= 2
    for number in range(sent):
        assert int.from_bytes(receive_block(receiver)[:4], "little") == number
    assert receiver.receive(copy=True) is None  # the one that was refused never comes
    assert sender.send(b"room again", at_once)
    assert receive_block(receiver) == b"room again"


def test_giving_up_with_no_memory_at_all_sends_nothing(context, nobody):
    sender = make_sender(context, nobody)
    sent = 0
    while sender.send(b"x", at_once):
        sent += 1
    assert sent == 2  # the high-water mark
    sender.close(0)


def test_a_sender_waits_for_room_as_long_as_nobody_gives_up(context, loopback, in_thread):
    receiver = make_receiver(context, loopback)
    sender = make_sender(context, receiver.address)
    asked = threading.Event()

    def give_up():
        asked.set()
        return False

    in_thread(lambda: [sender.send(bytes(50_000), give_up) for _ in range(20)])
    assert asked.wait(WAIT_S)
    for _ in range(20):
        assert len(receive_block(receiver)) == 50_000


def test_a_multipart_message_is_made_into_one_that_is_refused(context, loopback, plain):
    receiver = make_receiver(context, loopback)
    push = plain(zmq.PUSH, receiver.address)
    push.send_multipart([b"a", b"b", b"c"])
    push.send(b"good")
    assert receive_block(receiver) == b""
    assert receive_block(receiver) == b"good"


def test_an_oversize_block_is_dropped_and_the_next_ones_arrive(
    context, loopback, monkeypatch, plain
):
    monkeypatch.setattr("zdqn.wire.transition_sockets.MAX_BLOCK_BYTES", 1_000)
    receiver = make_receiver(context, loopback)
    push = plain(zmq.PUSH, receiver.address, reconnect_ivl=10)
    monitor = push.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    push.send(bytes(1_001))
    assert monitor.poll(WAIT_MS), "the oversize sender was not disconnected"
    push.send(b"good")
    assert receive_block(receiver) == b"good"
    push.disable_monitor()
    monitor.close(0)


def test_unsent_blocks_get_their_chance_when_a_collector_leaves(context, loopback):
    receiver = make_receiver(context, loopback)
    with make_sender(context, receiver.address, 100) as sender:
        for _ in range(20):
            assert sender.send(bytes(10_000), never)
    for _ in range(20):
        assert len(receive_block(receiver)) == 10_000


# --- before it is known how large a block may be ------------------------------------------------


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_nobody_is_let_in_before_it_is_open_and_nothing_is_lost(
    context, loopback, tmp_path, transport
):
    """A client may send as much as it likes: it waits at its own end, and all of it comes."""
    where = loopback if transport == "tcp" else Address("ipc", path=str(tmp_path / "data"))
    receiver = make_receiver(context, where, closed=True)
    sender = make_sender(context, receiver.address, high_water_mark=3)
    sent = 0
    while sender.send(sent.to_bytes(4, "little") + bytes(100_000), at_once):
        sent += 1
    assert sent == 3, "as many as wait at its own end"
    assert receiver.receive(copy=True) is None
    receiver.open()
    receiver.open()
    for number in range(sent):
        assert int.from_bytes(receive_block(receiver)[:4], "little") == number
    receiver.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "::1"])
def test_an_address_that_is_kept_is_nobody_elses(context, host):
    if host == "::1" and not has_ipv6_loopback():
        pytest.skip("this machine has no IPv6")
    receiver = make_receiver(context, Address("tcp", host, 0), closed=True)
    assert receiver.address.port > 0
    for closed in (True, False):
        with pytest.raises(AddressInUseError, match="already listens on"):
            make_receiver(context, receiver.address, closed=closed)
    receiver.open()
    sender = make_sender(context, Address("tcp", LOCAL.get(host, host), receiver.address.port))
    assert sender.send(b"block", never)
    assert receive_block(receiver) == b"block"


def test_an_ipc_path_that_is_kept_is_nobody_elses(context, tmp_path):
    where = Address("ipc", path=str(tmp_path / "data"))
    receiver = make_receiver(context, where, closed=True)
    with pytest.raises(AddressInUseError):
        make_receiver(context, where, closed=True)
    receiver.close()
    with make_receiver(context, where, closed=True) as second:
        second.open()


def test_an_address_that_was_kept_is_free_when_it_is_closed(context, loopback):
    receiver = make_receiver(context, loopback, closed=True)
    receiver.close()
    make_receiver(context, receiver.address, closed=True).close()


def test_a_message_of_more_than_a_block_may_have_is_never_held(context, loopback):
    receiver = make_receiver(context, loopback, closed=True)
    receiver.open(10_000)
    large = make_sender(context, receiver.address)
    assert large.send(bytes(10_001), never)
    sender = make_sender(context, receiver.address)
    assert sender.send(bytes(10_000), never)
    assert len(receive_block(receiver)) == 10_000
    assert receiver.receive(copy=True) is None


def test_a_watched_sender_tells_once_of_a_connection_that_ended(context, loopback, until):
    receiver = make_receiver(context, loopback)
    plain = make_sender(context, receiver.address)
    sender = make_sender(context, receiver.address, watched=True)
    for one in (plain, sender):
        assert one.send(b"block", never)
        assert receive_block(receiver) == b"block"
    assert not sender.broke()
    receiver.close(0)
    until(sender.broke)
    assert not sender.broke()
    assert not plain.broke()
    sender.close(0)


def test_opened_again_it_has_room_and_sends_what_is_new(context, nobody, until):
    sender = make_sender(context, nobody, watched=True)
    while sender.send(b"old", lambda: True):
        pass
    sender.reopen()
    assert sender.send(b"new", lambda: True)  # what waited is forgotten: there is room
    receiver = make_receiver(context, nobody)
    while (block := receive_block(receiver)) != b"new":
        assert block == b"old"  # libzmq closes in its own time
    receiver.close(0)
    until(sender.broke)  # the new connection is watched too
    sender.close(0)


def test_a_connection_that_ends_after_its_sender_was_closed_holds_up_nobody(context, loopback):
    """What libzmq would tell of it, nobody is there to hear: its thread must not wait for that."""
    theirs = Context()
    receiver = make_receiver(theirs, loopback)
    sender = make_sender(context, receiver.address, watched=True)
    assert sender.send(b"first", never)
    assert receive_block(receiver) == b"first"  # connected
    while sender.send(bytes(100_000), lambda: True):
        pass
    sender.close(1_000)  # so long libzmq keeps it for what is unsent
    receiver.close(0)
    theirs.close()
    after = make_receiver(context, loopback)
    assert make_sender(context, after.address).send(b"second", never)
    assert receive_block(after) == b"second"
