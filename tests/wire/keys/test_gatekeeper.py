"""A server with keys, on loopback: who gets in, who is turned away and named, who is cut off."""

import logging
import shutil
import socket
from contextlib import ExitStack, suppress

import pytest
import zmq

from tests.roles.conftest import eventually
from tests.wire.links import WAIT_MS, WAIT_S, receive_request
from zdqn.errors import NotAllowedError
from zdqn.wire.addresses import Address
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.node import Node
from zdqn.wire.sockets import Waiter

pytestmark = pytest.mark.own_keys

ROOM = {"high_water_mark": 10, "buffer_bytes": 0}


class KeyedServer:
    """A memory's sockets with keys, and whatever connects to them."""

    def __init__(self, stack, folder):
        self.stack = stack
        self.folder = folder
        self.node = stack.enter_context(Node(keys=open_keys(folder.path, "memory")))
        self.server, self.receiver = self.node.server_and(
            lambda where: self.node.receiver(where, **ROOM), Address("tcp", "127.0.0.1"), "memory"
        )
        stack.callback(self.receiver.close, 0)
        stack.callback(self.server.close, 0)

    def client(self, role, folder=None):
        keys = open_keys((folder or self.folder).path, role)
        node = self.stack.enter_context(Node(keys=keys))
        made = node.client(self.server.address, "memory")
        self.stack.callback(made.close, 0)
        return made

    def sender(self, role):
        node = self.stack.enter_context(Node(keys=open_keys(self.folder.path, role)))
        made = node.sender(self.receiver.address, **ROOM)
        self.stack.callback(made.close, 0)
        return made

    def ask(self, client, timeout_s=WAIT_S):
        """Give who asked, and answer; None if nothing came."""
        client.request(b"question", timeout_s=0.001)
        if not Waiter([self.server]).wait(timeout_s * 1000):
            return None
        request = self.server.receive()
        self.server.reply(request, b"answer")
        return request.caller

    def is_well(self):
        """Whether an honest client is served now."""
        return self.ask(self.client("learner")).role == "learner"


@pytest.fixture
def keyed(folder, monkeypatch):
    monkeypatch.setattr("zdqn.wire.diagnosis.PATIENCE_S", WAIT_S)
    with ExitStack() as stack:
        yield KeyedServer(stack, folder)


def said(caplog, text, deadline_s=WAIT_S):
    """Wait for a line of the log."""
    return eventually(lambda: [line for line in caplog.messages if text in line], text, deadline_s)


@pytest.mark.parametrize("role", ["learner", "collector", "operator"])
def test_a_message_tells_whose_key_it_came_with(keyed, role):
    caller = keyed.ask(keyed.client(role))
    assert (caller.role, caller.name) == (role, keyed.folder.own(role).name)
    assert caller.public == keyed.folder.own(role).pair.public


def test_without_keys_nobody_is_told_apart(context, loopback):
    node = Node(context)
    server = node.server(loopback, "memory")
    client = node.client(server.address, "memory")
    client.request(b"question", timeout_s=0.001)
    assert receive_request(server).caller is None


def test_who_is_on_no_list_is_turned_away_and_named(keyed, stranger, caplog):
    shutil.copy2(keyed.folder.path / "memory.public", stranger.path)
    client = keyed.client("learner", stranger)
    client.request(b"question", timeout_s=0.001)
    letters = stranger.own("learner").pair.public.hex()[:8]
    said(caplog, f"turned away 127.0.0.1 at samples: key {letters} is on no list")
    assert keyed.is_well()


def test_a_role_that_has_nothing_to_do_on_a_link_is_turned_away(keyed, caplog):
    keyed.sender("learner").send(b"block", lambda: True)
    said(caplog, "at transitions: the learner's key")
    keyed.sender("collector").send(b"honest", lambda: True)
    Waiter([keyed.receiver]).wait(WAIT_MS)
    assert keyed.receiver.receive(copy=True) == b"honest"


def test_who_takes_the_server_for_another_gets_nothing(keyed, stranger, caplog):
    keyed.client("learner", stranger).request(b"question", timeout_s=0.001)
    said(caplog, "takes this server's key for another")
    assert keyed.is_well()


def test_who_has_no_key_gets_nothing(keyed, plain, caplog):
    plain(zmq.REQ, keyed.server.address).send(b"question")
    said(caplog, "has no key")
    assert keyed.is_well()


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n" * 4,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 64,
        b"\x01\x00\x06\x00hello",
        bytes(range(256)) * 64,
    ],
)
def test_noise_gets_nothing_and_is_named(keyed, caplog, noise):
    for address in (keyed.server.address, keyed.receiver.address):
        with socket.create_connection((address.host, address.port)) as connection:
            connection.sendall(noise)
            with suppress(OSError):  # cut off already
                connection.shutdown(socket.SHUT_WR)
            said(caplog, "does not speak ZeroMQ")
    assert keyed.is_well()
    assert keyed.server.receive() is None
    assert keyed.receiver.receive(copy=True) is None


def test_a_key_that_is_allowed_meanwhile_gets_in(keyed, stranger, caplog):
    caplog.set_level(logging.INFO)
    shutil.copy2(keyed.folder.path / "memory.public", stranger.path)
    keyed.folder.allow("collector", str(stranger.path / "collector.public"), "lab7")
    keyed.node.read_keys_again()
    said(caplog, "read who is let in again: 5 keys")
    assert keyed.ask(keyed.client("collector", stranger)).name == "lab7"


def test_a_client_that_was_refused_connects_anew_once_it_is_let_in(keyed, stranger, caplog):
    caplog.set_level(logging.INFO)
    shutil.copy2(keyed.folder.path / "memory.public", stranger.path)
    client = keyed.client("collector", stranger)
    client.request(b"question", timeout_s=0.001)
    said(caplog, "is on no list")
    with pytest.raises(NotAllowedError, match="does not let in our collector's key"):
        client.find_out("memory")
    keyed.folder.allow("collector", str(stranger.path / "collector.public"), "lab7")
    keyed.node.read_keys_again()
    said(caplog, "read who is let in again: 5 keys")
    assert keyed.ask(client, 0.2) is None  # libzmq has given up
    client.find_out("memory")
    assert keyed.ask(client).name == "lab7"


def test_a_revoked_key_is_cut_off_and_others_go_on(keyed, caplog):
    collector, learner = keyed.client("collector"), keyed.client("learner")
    sender = keyed.sender("collector")
    assert keyed.ask(collector).role == "collector"
    assert keyed.ask(learner).role == "learner"
    sender.send(b"before", lambda: True)
    Waiter([keyed.receiver]).wait(WAIT_MS)
    assert keyed.receiver.receive(copy=True) == b"before"
    keyed.folder.revoke(keyed.folder.own("collector").name)
    said(caplog, "is let in no more; its connections end")  # it is seen without being told
    said(caplog, "turned away 127.0.0.1 at samples")
    said(caplog, "turned away 127.0.0.1 at transitions")
    assert keyed.ask(learner).role == "learner"
    assert keyed.ask(collector, 0.2) is None
    sender.send(b"after", lambda: True)
    assert not Waiter([keyed.receiver]).wait(200)


def test_what_a_revoked_key_sent_before_is_known_as_such(keyed, caplog):
    caplog.set_level(logging.INFO)
    client = keyed.client("collector")
    client.request(b"question", timeout_s=0.001)
    Waiter([keyed.server]).wait(WAIT_MS)
    keyed.folder.revoke(keyed.folder.own("collector").name)
    said(caplog, "is let in no more")
    assert keyed.server.receive().caller.role is None


def test_a_list_that_cannot_be_read_changes_nothing_and_is_said(keyed, caplog):
    path = keyed.folder.path / "allowed" / "collector"
    path.chmod(0o644)
    path.write_text("")
    said(caplog, "who is let in stays as it was")
    assert keyed.ask(keyed.client("collector")).role == "collector"


def test_a_wrong_line_is_said_and_hinders_nobody(keyed, caplog):
    path = keyed.folder.path / "allowed" / "collector"
    path.write_text(f"what is this\n{path.read_text()}")
    said(caplog, "line 1 of")
    assert keyed.ask(keyed.client("collector")).role == "collector"


def test_a_guard_that_breaks_lets_nobody_in_and_goes_on(keyed, caplog, monkeypatch):
    def broken(*_):
        raise RuntimeError("the list is upside down")

    with monkeypatch.context() as patch:
        patch.setattr("zdqn.wire.keys.gatekeeper.AllowList.caller", broken)
        keyed.client("learner").request(b"question", timeout_s=0.001)
        said(caplog, "the guard broke; nobody was let in")
    assert keyed.is_well()
    assert keyed.server.receive() is None


def test_servers_of_one_process_and_a_guard_of_its_own_do_not_meet(keyed, folder, context):
    """What a host program does in its own context is left alone, and other servers are too."""
    with zmq.Context() as host, host.socket(zmq.REP) as own_guard:
        own_guard.bind("inproc://zeromq.zap.01")
        keys = open_keys(folder.path, "learner")
        operator = open_keys(folder.path, "operator")
        with (
            Node(context, keys=keys) as node,
            Node(context, keys=operator) as other,
            node.server(Address("tcp", "127.0.0.1"), "learner") as server,
            other.client(server.address, "learner") as client,
        ):
            client.request(b"question", timeout_s=0.001)
            assert Waiter([server]).wait(WAIT_MS)
        assert keyed.is_well()
        assert not own_guard.poll(0)


def test_a_folder_of_one_role_is_enough_for_a_client(keyed, tmp_path):
    lab7 = KeyFolder(tmp_path / "lab7")
    lab7.init(["collector"])
    for name in ("memory.public", "learner.public"):
        shutil.copy2(keyed.folder.path / name, lab7.path)
    keyed.folder.allow("collector", str(lab7.path / "collector.public"))
    keyed.node.read_keys_again()
    eventually(lambda: keyed.ask(keyed.client("collector", lab7), 0.3), "lab7 is let in")
