"""Why nothing answers at an address: found out by connecting once more, and watching.

libzmq says nothing of a handshake that fails; a client that is refused for its key waits for ever.
A monitor of a fresh socket sees what happens, and the first bytes of the server what it is.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import get_args

import zmq
from zmq.utils.monitor import recv_monitor_message

from zdqn.errors import MismatchError, NotAllowedError, ZdqnError
from zdqn.wire.addresses import Address
from zdqn.wire.protocol import ServerRole
from zdqn.wire.socket_monitors import open_monitor
from zdqn.wire.sockets import SocketMaker

PATIENCE_S = 0.5
"""For a connection and its handshake, in each of the two looks."""

_GREETING = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01"
"""As far as the version; a server that reads on, and finds another mechanism, says nothing."""
_SERVERS = get_args(ServerRole)
_MECHANISM_AT, _GREETING_BYTES = 12, 64
_SHOWN_BYTES = 24
_EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class Cause(Enum):
    """What is the matter with a server that does not answer."""

    CONNECTS = auto()
    """Nothing: it is busy, or there again."""
    NOTHING_LISTENS = auto()
    OUT_OF_REACH = auto()
    """There is no connection in time."""
    SILENT = auto()
    """It takes connections, and says nothing, or ends them: a tunnel without an end, perhaps."""
    KEY_REFUSED = auto()
    OTHER_SERVER_KEY = auto()
    WANTS_KEYS = auto()
    HAS_NO_KEYS = auto()
    NOT_ZEROMQ = auto()


HINTS = {
    Cause.CONNECTS: ": it takes connections",
    Cause.NOTHING_LISTENS: ": nothing listens there",
    Cause.OUT_OF_REACH: ": no connection comes about",
    Cause.SILENT: ": what is there takes connections and says nothing: a server that is starting, "
    "or stopped (SIGSTOP), or a tunnel whose other end is not there",
}
"""What may pass by itself, to be said while one waits."""


def diagnose(maker: SocketMaker, address: Address, *, has_keys: bool) -> tuple[Cause, bytes]:
    """Find out why a server does not answer; within about a second.

    Args:
        maker: makes sockets with the client's keys.
        address: of the server.
        has_keys: whether the client has keys.

    Returns:
        What was found, and the first bytes of what is not ZeroMQ.
    """
    cause = _watch_handshake(maker, address)
    if cause is not None:
        return cause, b""
    greeting = _read_greeting(address)
    if greeting is None:
        return Cause.OUT_OF_REACH, b""
    if len(greeting) < _GREETING_BYTES:
        is_other = bool(greeting) and greeting[:1] != _GREETING[:1]
        return (Cause.NOT_ZEROMQ if is_other else Cause.SILENT), greeting
    wants_keys = greeting[_MECHANISM_AT:].startswith(b"CURVE")
    if wants_keys:
        return (Cause.OTHER_SERVER_KEY if has_keys else Cause.WANTS_KEYS), b""
    return (Cause.HAS_NO_KEYS if has_keys else Cause.CONNECTS), b""


def _watch_handshake(maker: SocketMaker, address: Address) -> Cause | None:
    """Connect once; None if the handshake fails for a reason that does not show."""
    made = maker.socket(zmq.DEALER)
    made.linger = 0
    made.ipv6 = address.is_ipv6
    with made, open_monitor(made, _EVENTS) as monitor, _disabling_monitor(made):
        made.connect(str(address))
        until_s = time.monotonic() + PATIENCE_S
        connected = False
        while (left_s := until_s - time.monotonic()) > 0 and monitor.poll(int(left_s * 1000) + 1):
            event = recv_monitor_message(monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return Cause.CONNECTS
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                return Cause.KEY_REFUSED
            if event == zmq.EVENT_CLOSED and not connected:
                return Cause.NOTHING_LISTENS
            if event != zmq.EVENT_CONNECTED:
                return None
            connected = True
        return Cause.SILENT if connected else Cause.OUT_OF_REACH


@contextmanager
def _disabling_monitor(made: zmq.Socket[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        made.disable_monitor()


def _read_greeting(address: Address) -> bytes | None:
    """Greet a server as ZeroMQ does, and give the first bytes that it says; None if none is there.

    They are at most a greeting, which says whether the server wants keys.
    """
    try:
        with _dial(address) as connection:
            connection.sendall(_GREETING)
            return _receive(connection)
    except OSError:
        return None


def _dial(address: Address) -> socket.socket:
    if address.transport == "tcp":
        return socket.create_connection((address.host, address.port), PATIENCE_S)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    try:
        connection.connect(address.path)
    except OSError:
        connection.close()
        raise
    return connection


def _receive(connection: socket.socket) -> bytes:
    said = b""
    until_s = time.monotonic() + PATIENCE_S
    try:
        while len(said) < _GREETING_BYTES and time.monotonic() < until_s:
            piece = connection.recv(_GREETING_BYTES - len(said))
            if not piece:
                break
            said += piece
    except OSError:  # it waits in vain, or is cut off: what was said before counts
        pass
    return said


def error_of(cause: Cause, said: bytes, *, server: str, address: Address, key: str) -> ZdqnError:
    """Say what is the matter, and what to do, where waiting does not help.

    Args:
        cause: what was found.
        said: first bytes of what is not ZeroMQ.
        server: which one was to be there.
        address: where.
        key: what the client's key is called; "" without keys.
    """
    at = f"The {server} at {address}"
    if cause is Cause.KEY_REFUSED:
        return NotAllowedError(
            f"{at} does not let in our {key}: it is not on its list, or the list of another role. "
            f"There, `zdqn keys allow ROLE FILE` lets it in; `zdqn keys show` here names the file."
        )
    if cause is Cause.OTHER_SERVER_KEY:
        public = f"{server}.public" if server in _SERVERS else "memory.public or learner.public"
        return NotAllowedError(
            f"{at} has another key than the one that we know of it, or it is another server. Copy "
            f"{public} from the folder of keys with which it runs, and check the address."
        )
    if cause is Cause.WANTS_KEYS:
        return NotAllowedError(
            f"{at} lets in only those with a key, and none was given. Give a folder of keys with "
            f"--keys, or security.keys of the configuration."
        )
    if cause is Cause.HAS_NO_KEYS:
        return NotAllowedError(
            f"{at} runs without keys, so that nothing shows that it is the one that is meant. "
            f"Start it with --keys; or leave --keys away here if you trust the network."
        )
    shown = said[:_SHOWN_BYTES].decode("ascii", "backslashreplace").splitlines()[0:1]
    return MismatchError(
        f"What is at {address} is no zdqn: it says {(shown or [''])[0]!r}. Check the address of "
        f"the {server}."
    )
