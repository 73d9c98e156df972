"""Whoever is refused for its key comes back by itself once it is allowed again, on every link."""

import itertools
import logging
from typing import Any, cast

import pytest
import zmq

from tests.roles.conftest import eventually
from zdqn.wire.addresses import Address
from zdqn.wire.keys.allow_list import KeyRole
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.node import Node
from zdqn.wire.readmission import Readmission, Refusals
from zdqn.wire.sockets import Waiter

pytestmark = pytest.mark.own_keys

ROOM: dict[str, Any] = {"high_water_mark": 10, "buffer_bytes": 0}
ADDRESS = Address("tcp", "127.0.0.1")


class Line:
    """A server with keys and one client of it; says whether something comes through now."""

    def __init__(self, folder, link):
        client: KeyRole = "learner" if link == "samples" else "collector"
        server: KeyRole = "learner" if link == "weights" else "memory"
        self.there = Node(keys=open_keys(folder.path, server))
        self.here = Node(keys=open_keys(folder.path, client))
        self.client_role = client
        self.sent = 0
        self.server: Any = None
        self.client: Any = None
        self.goes: Any = None
        getattr(self, f"_{link}")()

    def _transitions(self):
        server: Any = self.there.receiver(ADDRESS, **ROOM)
        client: Any = self.here.sender(server.address, **ROOM)

        def goes():
            self.sent += 1
            client.send(b"%d" % self.sent, lambda: True)
            return b"%d" % self.sent in server.receive_some(100, copy=True)

        self.server, self.client, self.goes = server, client, goes

    def _weights(self):
        server: Any = self.there.publisher(ADDRESS)
        client: Any = self.here.subscriber(server.address)

        def goes():
            self.sent += 1
            server.publish(b"%d" % self.sent)
            return bytes(client.latest(10) or b"") == b"%d" % self.sent

        self.server, self.client, self.goes = server, client, goes

    def _samples(self):
        server: Any = self.there.server(ADDRESS, "memory")
        client: Any = self.here.pipelined_client(server.address, "memory")

        def goes():
            self.sent += 1
            client.send(b"%d" % self.sent)
            Waiter([server]).wait(10)
            while (request := server.receive()) is not None:
                server.reply(request, bytes(request.body))
            return bytes(client.receive(10) or b"") == b"%d" % self.sent

        self.server, self.client, self.goes = server, client, goes

    def close(self):
        self.client.close(0)
        self.server.close(0)
        self.here.close()
        self.there.close()


@pytest.fixture
def folder(tmp_path):
    made = KeyFolder(tmp_path / "keys")
    made.init()
    return made


@pytest.mark.parametrize("link", ["transitions", "weights", "samples"])
def test_a_key_that_is_revoked_and_allowed_again_is_back_by_itself(folder, link, caplog):
    caplog.set_level(logging.INFO)
    line = Line(folder, link)
    try:
        eventually(line.goes, "something comes through")
        own = folder.own(line.client_role)
        folder.revoke(own.name)
        refused = "does not let our key in (any more)"
        eventually(lambda: line.goes() or refused in caplog.text, "the refusal")
        eventually(lambda: not line.goes() and refused in caplog.text, "nothing comes through")
        folder.allow(line.client_role, own.pair.public.hex(), own.name)
        eventually(line.goes, "something comes through again")
        eventually(lambda: line.goes() and "lets our key in again" in caplog.text, "a word of it")
        assert caplog.text.count(refused) == 1
    finally:
        line.close()


class Told:
    """A socket and its monitor, of which a test says what happens."""

    closed = False

    def __init__(self):
        self.events: list[int] = []
        self.connected_at: list[float] = []
        self.now_s = 0.0

    def poll(self, timeout_ms):
        return bool(self.events)

    def recv_multipart(self, *_):
        event = self.events.pop(0)
        return [event.to_bytes(2, "little") + bytes(4), b""]

    def disconnect(self, address):
        pass

    def connect(self, address):
        self.connected_at.append(self.now_s)
        self.events.append(zmq.EVENT_HANDSHAKE_FAILED_AUTH)


def readmission_of(told, heard=None):
    return Readmission(
        cast(Any, told), cast(Any, told), ADDRESS, heard=heard, clock=lambda: told.now_s
    )


def test_it_tries_less_and_less_often_and_soon_again_after_it_was_let_in():
    told = Told()
    readmission = readmission_of(told)
    told.events.append(zmq.EVENT_HANDSHAKE_FAILED_AUTH)

    def live(seconds):
        told.connected_at.clear()
        begun_s = told.now_s
        while told.now_s < begun_s + seconds:
            readmission.look()
            told.now_s += 0.25
        return [round(at - begun_s) for at in told.connected_at]

    tried = live(60)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert tried[0] == 1
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(10, abs=1)
    told.events[:] = [zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_HANDSHAKE_FAILED_AUTH]
    assert live(5)[0] == 1


def test_who_was_never_refused_is_not_connected_anew():
    told = Told()
    readmission = readmission_of(told)
    told.events.append(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    for _ in range(100):
        readmission.look()
        told.now_s += 1
    assert not told.connected_at


def test_a_link_that_opens_one_socket_after_another_says_once_that_it_is_refused(caplog):
    caplog.set_level(logging.INFO)
    heard = Refusals()
    for event in 3 * [zmq.EVENT_HANDSHAKE_FAILED_AUTH] + 2 * [zmq.EVENT_HANDSHAKE_SUCCEEDED]:
        told = Told()
        told.events.append(event)
        readmission_of(told, heard).look()
    assert ["again until" in line or "in again" in line for line in caplog.messages] == 2 * [True]
