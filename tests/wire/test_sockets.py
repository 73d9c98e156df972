"""What the sockets of all links promise, and what hostile peers cannot take from others."""

import random
import socket
import struct
import subprocess
import sys
import threading
from contextlib import closing

import pytest
import zmq

from tests.wire.links import (
    WAIT_MS,
    WAIT_S,
    make_receiver,
    make_sender,
    never,
    rebind,
    receive_block,
    receive_request,
    subscribe,
    take,
)
from zdqn.errors import AddressInUseError, ConfigError, UsageError
from zdqn.wire.addresses import Address
from zdqn.wire.request_sockets import Client, PipelinedClient, Server
from zdqn.wire.sockets import Context, Waiter, borrow
from zdqn.wire.weight_sockets import WeightPublisher


def test_a_waiter_leaves_a_disabled_link_alone(context, loopback):
    receiver = make_receiver(context, loopback)
    sender = make_sender(context, receiver.address)
    waiter = Waiter([receiver])
    assert sender.send(b"1", never)
    assert waiter.wait(WAIT_MS) == {receiver}
    waiter.enable(receiver, False)
    assert waiter.wait(1) == set()
    waiter.enable(receiver, True)
    assert waiter.wait(WAIT_MS) == {receiver}


# --- addresses ------------------------------------------------------------------------------------

BINDERS = [
    Server,
    WeightPublisher,
    make_receiver,
]


@pytest.mark.parametrize("bind", BINDERS)
def test_an_address_in_use_is_refused_by_name_and_the_first_goes_on(bind, context, loopback, plain):
    server = Server(context, loopback)
    with pytest.raises(AddressInUseError, match=f"listens on {server.address}.*--bind"):
        bind(context, server.address)
    request = plain(zmq.REQ, server.address)
    request.send(b"x")
    assert receive_request(server).body == b"x"


def test_port_0_takes_a_free_port_and_tells_it(context, loopback):
    first, second = Server(context, loopback), Server(context, loopback)
    assert first.address.port > 0
    assert second.address.port > 0
    assert first.address != second.address


@pytest.mark.parametrize("host", ["192.0.2.1", "nosuchdevice"])
def test_an_address_of_another_machine_cannot_be_bound(host, context):
    with pytest.raises(ConfigError, match=f"Cannot listen on tcp://{host}:0.*127.0.0.1 always is"):
        Server(context, Address("tcp", host, 0))


def test_an_address_that_libzmq_cannot_parse_is_refused_not_raised_raw(context):
    with pytest.raises(ConfigError, match="Cannot connect to tcp://a b:5"):
        Client(context, Address("tcp", "a b", 5))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_numeric_addresses_of_both_families_work(host, context):
    try:
        server = Server(context, Address("tcp", host, 0))
    except ConfigError:
        pytest.skip("no IPv6 on this machine")
    client = PipelinedClient(context, server.address)
    assert client.send(b"x")
    server.reply(receive_request(server), b"y")
    assert take(client) == b"y"


def test_a_second_server_cannot_steal_an_ipc_path(context, tmp_path, plain, until):
    address = Address("ipc", path=str(tmp_path / "memory"))
    server = Server(context, address)
    with pytest.raises(AddressInUseError, match="listens on ipc://"):
        Server(context, address)
    request = plain(zmq.REQ, address)
    request.send(b"x")
    server.reply(receive_request(server), b"y")
    assert request.recv() == b"y"
    server.close()
    rebind(lambda: Server(context, address), until).close()


def test_an_ipc_path_in_a_missing_folder_is_refused(context, tmp_path):
    with pytest.raises(ConfigError, match="folder must exist"):
        Server(context, Address("ipc", path=str(tmp_path / "missing" / "memory")))


# --- hostile peers --------------------------------------------------------------------------------


def raw_peer(address):
    return closing(socket.create_connection((address.host, address.port), timeout=WAIT_S))


_RANDOM = random.Random(7)
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
READY = b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"
GARBAGE = [
    pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="http"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), id="tls"),
    pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="ssh"),
    pytest.param(b"\x01\x00\x06\x00hello" * 50, id="zmtp1"),
    pytest.param(_RANDOM.randbytes(1_000_000), id="random"),
    pytest.param(bytes(1_000_000), id="zeros"),
    pytest.param(GREETING + _RANDOM.randbytes(1_000), id="greeting then random"),
    pytest.param(GREETING + READY + b"\x02" + struct.pack(">Q", 2**62) + b"x", id="2**62 bytes"),
    pytest.param(b"\xff", id="one byte"),
]


def throw(address, garbage):
    """Send as much as the peer takes before it hangs up."""
    with raw_peer(address) as peer:
        try:
            peer.sendall(garbage)
        except OSError:
            return


@pytest.mark.parametrize("garbage", GARBAGE)
def test_raw_bytes_leave_every_bound_socket_working(garbage, context, loopback, until):
    server = Server(context, loopback)
    receiver = make_receiver(context, loopback)
    publisher = WeightPublisher(context, loopback)
    client = PipelinedClient(context, server.address)
    sender = make_sender(context, receiver.address)
    for link in (server, receiver, publisher):
        throw(link.address, garbage)

    assert client.send(b"good")
    request = receive_request(server)
    while request.body != b"good":  # ZMTP 1.0 lets garbage through as messages
        request = receive_request(server)
    server.reply(request, b"ok")
    assert take(client) == b"ok"

    assert sender.send(b"good", never)
    while receive_block(receiver) != b"good":
        pass

    assert subscribe(context, publisher, until).latest() in (None, b"first")


def test_50_silent_peers_do_not_keep_a_good_one_out(context, loopback):
    server = Server(context, loopback)
    silent = [
        socket.create_connection((server.address.host, server.address.port), timeout=WAIT_S)
        for _ in range(50)
    ]
    silent[0].send(b"\xff")
    client = PipelinedClient(context, server.address)
    assert client.send(b"good")
    server.reply(receive_request(server), b"ok")
    assert take(client) == b"ok"
    for peer in silent:
        peer.close()


def test_a_client_survives_a_server_that_speaks_something_else(context, in_thread):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def babble():
            peer, _ = listener.accept()
            with peer:
                peer.sendall(_RANDOM.randbytes(10_000))

        in_thread(babble)
        client = Client(context, Address("tcp", "127.0.0.1", port))
        assert client.request(b"x", timeout_s=0.2) is None
        client.close()


# --- closing --------------------------------------------------------------------------------------


def test_closing_lingers_a_bounded_time_with_unsent_data_to_nowhere(nobody, monkeypatch):
    monkeypatch.setattr("zdqn.wire.sockets.LINGER_MS", 50)
    context = Context()
    sender = make_sender(context, nobody)
    assert sender.send(b"for nobody", never)
    client = Client(context, nobody)
    client.request(b"for nobody", timeout_s=0.01)
    pipelined = PipelinedClient(context, nobody)
    assert pipelined.send(b"for nobody")
    closer = threading.Thread(target=context.close, daemon=True)
    closer.start()
    closer.join(WAIT_S)
    assert not closer.is_alive()


def test_closing_twice_is_harmless(context, nobody, until):
    server = Server(context, nobody)
    server.close()
    server.close()
    again = rebind(lambda: Server(context, server.address), until)
    assert again.address == server.address


def test_a_context_of_ours_leaves_the_hosts_alone():
    host: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    with Context():
        pass
    assert not host.closed
    host.destroy(linger=0)


@pytest.mark.own_keys
def test_a_borrowed_context_is_used_as_it_is_and_left_open(loopback):
    with zmq.Context() as theirs:
        borrowed = borrow(theirs)
        with make_receiver(borrowed, loopback) as receiver:
            assert receiver.address.port
        borrowed.close()
        assert not theirs.closed
        theirs.socket(zmq.PAIR).close()
    assert theirs.closed


@pytest.mark.parametrize("other", [5, "tcp://127.0.0.1:5", None])
def test_what_is_no_context_is_not_borrowed(other):
    with pytest.raises(UsageError, match=r"must be a zmq\.Context"):
        borrow(other)


def test_a_process_without_descriptors_is_told_how_to_get_more():
    script = (
        "import resource, zdqn.wire.sockets as sockets; from zdqn.errors import RoleFailedError\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))\n"
        "try:\n"
        "    kept = []\n"
        "    for _ in range(20):\n"
        "        kept.append(sockets.Context())\n"
        "        kept.append(kept[-1].socket(3))\n"
        "except RoleFailedError as error: print(error, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "this process may have 10" in done.stdout
    assert "ulimit -n" in done.stdout
