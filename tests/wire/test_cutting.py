"""Connections that a server has accepted are ended by the kernel, and only those."""

import socket

import pytest
import zmq

from tests.wire.links import WAIT_MS
from zdqn.wire.addresses import Address
from zdqn.wire.cutting import cut, peer_of

_PATIENCE_MS = 250


@pytest.fixture
def accepted():
    """A listening socket of this process, a client of it, and the connection between them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        connection, _ = listener.accept()
        with client, connection:
            client.settimeout(WAIT_MS / 1000)
            yield Address("tcp", "127.0.0.1", listener.getsockname()[1]), client, connection


def is_cut(client):
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_connections_at_an_address_are_ended(accepted):
    address, client, _ = accepted
    assert cut(address) == 1
    assert client.recv(1) == b""


def test_other_addresses_and_other_hosts_are_left_alone(accepted):
    address, client, _ = accepted
    assert cut(Address("tcp", "127.0.0.1", address.port - 1)) == 0
    assert cut(address, {"10.0.0.1"}) == 0
    assert cut(Address("ipc", path="/tmp/x")) == 0
    assert not is_cut(client)
    assert cut(address, {"127.0.0.1"}) == 1


def test_connections_through_a_path_are_ended(tmp_path):
    path = str(tmp_path / "x")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)
        connection, _ = listener.accept()
        with connection:
            assert cut(Address("ipc", path=path), {"nobody"}) == 1
            client.settimeout(WAIT_MS / 1000)
            assert client.recv(1) == b""


@pytest.mark.keyless("its server is a REP, which zdqn has none of")
def test_zeromq_connects_again(context, plain):
    server = context.socket(zmq.REP)
    server.rcvtimeo = WAIT_MS
    port = server.bind_to_random_port("tcp://127.0.0.1")
    client = plain(zmq.REQ, f"tcp://127.0.0.1:{port}", req_relaxed=True, req_correlate=True)
    client.send(b"before")
    assert server.recv() == b"before"
    server.send(b"")
    client.recv()
    assert cut(Address("tcp", "127.0.0.1", port)) == 1
    for _ in range(WAIT_MS // _PATIENCE_MS):  # what went into the broken connection is lost
        client.send(b"after")
        if server.poll(_PATIENCE_MS):
            break
    assert server.recv() == b"after"


def test_who_is_at_the_other_end_is_known_as_long_as_it_is_there(accepted):
    _, _, connection = accepted
    assert peer_of(connection.fileno()) == "127.0.0.1"
    with open("/dev/null") as other:  # noqa: PTH123 - its number is wanted
        assert peer_of(other.fileno()) == ""
    assert peer_of(10**6) == ""
