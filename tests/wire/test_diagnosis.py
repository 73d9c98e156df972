"""Why nothing answers: each cause is told from the others, in a sentence with a way out."""

import shutil
import socket
import threading
from contextlib import ExitStack, contextmanager

import pytest

from tests.wire.links import WAIT_S
from zdqn.errors import MismatchError, NotAllowedError
from zdqn.wire import diagnosis
from zdqn.wire.addresses import Address
from zdqn.wire.diagnosis import HINTS, Cause, error_of
from zdqn.wire.held_port import HeldPort
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.node import Node

pytestmark = pytest.mark.own_keys

HERE = Address("tcp", "127.0.0.1", 0)


@pytest.fixture
def folder(tmp_path):
    made = KeyFolder(tmp_path / "keys")
    made.init()
    return made


@pytest.fixture
def stranger(tmp_path, folder):
    made = KeyFolder(tmp_path / "stranger")
    made.init()
    shutil.copy2(folder.path / "memory.public", made.path)
    return made


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """What is there is found out, however busy the machine."""
    monkeypatch.setattr(diagnosis, "PATIENCE_S", WAIT_S)


@contextmanager
def speaking(words):
    """A service that is not ours: it says something to whoever comes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)
        done = threading.Event()

        def serve():
            while not done.is_set():
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(words)
                    connection.settimeout(0.1)
                    try:
                        while connection.recv(1024):
                            pass
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield Address("tcp", "127.0.0.1", listener.getsockname()[1])
        done.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join(WAIT_S)


@contextmanager
def memory(folder, address=HERE):
    keys = open_keys(folder and folder.path, "memory")
    with Node(keys=keys) as node, node.server(address, "memory") as server:
        yield server.address


@contextmanager
def asking(folder, role="collector"):
    with Node(keys=open_keys(folder and folder.path, role)) as node:
        yield node


@pytest.mark.parametrize(
    ("server_has", "client_has", "role", "cause"),
    [
        (True, "folder", "collector", Cause.CONNECTS),
        (False, None, "collector", Cause.CONNECTS),
        (True, "folder", "evaluator", Cause.KEY_REFUSED),
        (True, "stranger", "collector", Cause.KEY_REFUSED),
        (True, None, "collector", Cause.WANTS_KEYS),
        (False, "folder", "collector", Cause.HAS_NO_KEYS),
    ],
)
def test_servers_with_and_without_keys(
    folder, stranger, request, server_has, client_has, role, cause
):
    mine = request.getfixturevalue(client_has) if client_has else None
    if role == "evaluator":  # which knows no memory
        keys = open_keys(folder.path, role)
        assert keys is not None
        keys.servers["memory"] = folder.public("memory")  # type: ignore[index]
        node = Node(keys=keys)
    else:
        node = Node(keys=open_keys(mine and mine.path, role))
    with node, memory(folder if server_has else None) as address:
        assert node.look(address, "memory")[0] is cause


def test_another_server_than_the_one_that_is_meant(folder):
    with asking(folder) as node, memory(folder) as address:
        assert node.look(address, "learner")[0] is Cause.OTHER_SERVER_KEY


@pytest.mark.parametrize("has_keys", [True, False])
def test_what_is_no_server(folder, nobody, has_keys, monkeypatch):
    with ExitStack() as stack:
        node = stack.enter_context(asking(folder if has_keys else None))
        assert node.look(nobody, "memory")[0] is Cause.NOTHING_LISTENS
        held = stack.enter_context(HeldPort(HERE))
        with monkeypatch.context() as patch:  # which says nothing however long one waits
            patch.setattr(diagnosis, "PATIENCE_S", 1.5)
            assert node.look(held.address, "memory")[0] is Cause.SILENT
        ssh = stack.enter_context(speaking(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"))
        assert node.look(ssh, "memory") == (Cause.NOT_ZEROMQ, b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n")
        tunnel = stack.enter_context(speaking(b""))
        assert node.look(tunnel, "memory")[0] is Cause.SILENT


def test_a_server_at_a_path(folder, tmp_path):
    address = Address("ipc", path=str(tmp_path / "keys" / "x"))
    with asking(None) as node:
        assert node.look(address, "memory")[0] is Cause.NOTHING_LISTENS
        with memory(folder, address):
            assert node.look(address, "memory")[0] is Cause.WANTS_KEYS


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in HINTS])
def test_what_does_not_pass_is_an_error_that_says_what_to_do(cause):
    said = b"\x1b[31mHTTP/1.1 400 Bad Request\r\n"
    error = error_of(cause, said, server="memory", address=HERE, key="collector's key 01020304")
    text = str(error)
    assert isinstance(error, MismatchError if cause is Cause.NOT_ZEROMQ else NotAllowedError)
    assert str(HERE) in text
    assert "\x1b" not in text
    way_out = {
        Cause.KEY_REFUSED: "zdqn keys allow",
        Cause.OTHER_SERVER_KEY: "Copy memory.public",
        Cause.WANTS_KEYS: "--keys",
        Cause.HAS_NO_KEYS: "Start it with --keys",
        Cause.NOT_ZEROMQ: "Check the address",
    }
    assert way_out[cause] in text
    assert ("01020304" in text) == (cause is Cause.KEY_REFUSED)


@pytest.mark.parametrize("cause", HINTS)
def test_what_may_pass_is_a_hint(cause):
    assert HINTS[cause].startswith(": ")
