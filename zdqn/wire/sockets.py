"""What the sockets of all links share: context, options, addresses, waiting.

They are made by `zdqn.wire.node`, and nowhere else.
Each is used by one thread at a time. Options are set before bind or connect, closing lingers
for a bounded time, and every context is private, so that a host program's own is left alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import zmq

from zdqn.closing import Closing
from zdqn.errors import AddressInUseError, ConfigError, RoleFailedError, UsageError
from zdqn.wire import forked_copies
from zdqn.wire.addresses import Address, taken
from zdqn.wire.held_port import HeldPort
from zdqn.wire.readmission import EVENTS, Readmission, Refusals
from zdqn.wire.socket_monitors import open_monitor

LINGER_MS = 5_000
COPY_SENT_BELOW_BYTES = 65_536
"""Twice as much: to send without a copy, a thread of pyzmq must wait until libzmq is done with it.

Up to here pyzmq copies by itself too.
"""
_RECONNECT_MS = 100
_RECONNECT_MAX_MS = 2_000
_HEARTBEAT_MS = 10_000
_HEARTBEAT_TIMEOUT_MS = 30_000
_HANDSHAKE_MS = 5_000
_KEEPALIVE_S = 10
_KEEPALIVE_PROBES = 3
_BACKLOG = 1_024
SLICE_MS = 100
"""Longest single wait in libzmq, so that a stop request is seen soon."""

MAX_MESSAGE_BYTES = 1024**3
MAX_REQUEST_BYTES = 256 * 1024**2
"""Of a question; answers may have more."""
_CURVE_BYTES = 33
"""Encryption makes a message longer by so much, and libzmq counts what travels."""


@contextmanager
def _enough_descriptors() -> Iterator[None]:
    """Say what to do where libzmq finds no file descriptor for itself."""
    try:
        yield
    except zmq.ZMQError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        raise RoleFailedError(
            f"No file descriptor is left for a socket: this process may have {limit} "
            f"({error.strerror}). Allow more: `ulimit -n`."
        ) from error


class _DroppedInPeace(zmq.Context[zmq.Socket[bytes]]):
    """Hangs nobody who drops it, unclosed, in a cycle with its sockets.

    zmq's own would wait, in whatever thread collects the garbage, for sockets that are to be closed
    by the same collection after it; an exception that is kept is enough to make such a cycle.
    """

    def __del__(self) -> None:
        if not self.closed and not sys.is_finalizing():
            threading.Thread(target=self.term, name="zdqn-dropped-context", daemon=True).start()
            text = "a ZeroMQ context was dropped, not closed"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)


class Context(Closing):
    """A private ZeroMQ context. Closing it never hangs, and dropping it does not either.

    Args:
        io_threads: libzmq's own threads that move bytes.
    """

    def __init__(self, io_threads: int = 1) -> None:
        with _enough_descriptors():
            self._context: zmq.Context[zmq.Socket[bytes]] = _DroppedInPeace(io_threads)
        self._context.max_sockets = min(65_535, 16_384)

    def socket(self, kind: int) -> zmq.Socket[bytes]:
        """Make a socket with the options that all links share."""
        with _enough_descriptors():
            socket = self._context.socket(kind)
        socket.linger = LINGER_MS
        socket.reconnect_ivl = _RECONNECT_MS
        socket.reconnect_ivl_max = _RECONNECT_MAX_MS
        socket.heartbeat_ivl = _HEARTBEAT_MS
        socket.heartbeat_timeout = _HEARTBEAT_TIMEOUT_MS
        socket.handshake_ivl = _HANDSHAKE_MS
        socket.maxmsgsize = MAX_MESSAGE_BYTES
        return socket

    def close(self) -> None:
        """Close everything; sockets that still hold data get `LINGER_MS`."""
        self._context.destroy(linger=None)


class BorrowedContext(Context):
    """A context of somebody else's, who closes it.

    Args:
        context: theirs; one of `zmq.asyncio` will do, and is not waited with.
    """

    def __init__(self, context: zmq.Context[Any]) -> None:
        self._context = zmq.Context.shadow(context.underlying)

    def close(self) -> None:
        """Leave it as it is."""


def borrow(context: object) -> Context:
    """Use a context of a host program.

    Raises:
        UsageError: if it is none.
    """
    if not isinstance(context, zmq.Context):
        raise UsageError(
            f"context is {context!r}, but must be a zmq.Context, or None for a private one."
        )
    return BorrowedContext(context)


def watch_by_keepalive(socket: zmq.Socket[bytes]) -> None:
    """Let the kernel find a dead peer instead of ZeroMQ's heartbeats.

    For sockets that may leave messages unread, as a memory does that holds collectors back, and a
    server that is asked more than it can answer. They miss heartbeats: libzmq would drop living
    peers, and abort the process when one has closed meanwhile.
    """
    socket.heartbeat_ivl = 0
    socket.tcp_keepalive = 1
    socket.tcp_keepalive_idle = _KEEPALIVE_S
    socket.tcp_keepalive_intvl = _KEEPALIVE_S
    socket.tcp_keepalive_cnt = _KEEPALIVE_PROBES


class SocketMaker(Protocol):
    """Makes sockets with the options that all links share: a node, or a bare context."""

    def socket(self, kind: int) -> zmq.Socket[bytes]:
        """Make a socket of a ZeroMQ kind."""


class Link(Closing):
    """One socket; closes itself as a context manager.

    Args:
        socket: its own, in the thread that made it.
        has_keys: whether its key may be refused, so that it must be connected anew.

    Attributes:
        address: where it is bound or connected.
    """

    address: Address

    def __init__(self, socket: zmq.Socket[bytes], *, has_keys: bool = False) -> None:
        self._socket = socket
        self._has_keys = has_keys
        self._refusals = Refusals()
        self._readmission: Readmission | None = None
        self._is_bound = False
        self._lock: IO[str] | None = None

    def _limit_messages(self, most_bytes: int) -> None:
        """Have the connection of who sends more than so many bytes in a message cut."""
        encrypted = self._socket.mechanism == zmq.CURVE
        self._socket.maxmsgsize = most_bytes + (_CURVE_BYTES if encrypted else 0)

    def _bind(self, address: Address) -> None:
        """Bind and learn the real address.

        Raises:
            AddressInUseError: when another process holds it.
            ConfigError: when it cannot be bound on this machine.
        """
        self._socket.backlog = _BACKLOG
        self._socket.ipv6 = address.is_ipv6
        if address.transport == "ipc" and self._lock is None:
            self._lock = _lock_ipc_path(address)
        text = str(address)
        if address.transport == "tcp" and address.port == 0:
            text = text.removesuffix(":0") + ":*"
        try:
            self._socket.bind(text)
        except zmq.ZMQError as error:
            self.close()
            if error.errno == zmq.EADDRINUSE:
                raise taken(address) from error
            raise ConfigError(
                f"Cannot listen on {address}: {error.strerror}. It must be an address of this "
                f"machine; 127.0.0.1 always is."
            ) from error
        last = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.address = address
        if address.transport == "tcp":
            self.address = Address("tcp", address.host, int(last.rpartition(":")[2]))
        self._is_bound = True
        forked_copies.note(self.address)

    def _hold(self, address: Address) -> Closing | None:
        """Keep an address to bind later, as far as one can; gives what is to be closed before.

        Raises:
            AddressInUseError: when another process holds it.
        """
        self.address = address
        try:
            if address.transport == "ipc":
                self._lock = _lock_ipc_path(address)
                return None
            held = HeldPort(address)
            self.address = held.address
            self._is_bound = True
            forked_copies.note(self.address)
            return held
        except AddressInUseError:
            self.close()
            raise
        except OSError:
            return None  # the name of an interface, say: only libzmq knows those

    def _connect(self, address: Address) -> None:
        self.address = address
        self._socket.ipv6 = address.is_ipv6
        if self._has_keys:
            monitor = open_monitor(self._socket, EVENTS)
            self._readmission = Readmission(self._socket, monitor, address, heard=self._refusals)
        try:
            self._socket.connect(str(address))
        except zmq.ZMQError as error:
            self.close(0)
            raise ConfigError(f"Cannot connect to {address}: {error.strerror}.") from error

    def look_whether_refused(self) -> None:
        """Connect anew if a server has refused this end's key; quick, and to be called often."""
        if self._readmission is not None:
            self._readmission.look()

    def look_no_more(self) -> None:
        """Let the end of the socket's context come: nobody watches what becomes of it."""
        if self._readmission is not None:
            self._readmission.close()
            self._readmission = None

    def close(self, linger_ms: int | None = None) -> None:
        """Close; what is unsent gets `linger_ms` (default `LINGER_MS`) to leave."""
        self.look_no_more()
        if self._is_bound:
            self._is_bound = False
            forked_copies.forget(self.address)
        self._socket.close(linger_ms)
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _lock_ipc_path(address: Address) -> IO[str]:
    """Hold a lock beside an ipc path: libzmq lets a second process steal it from the first."""
    place = Path(address.path)
    if place.exists() and not place.is_socket():  # libzmq would delete it
        raise ConfigError(
            f"Cannot listen on {address}: something other than a socket is there already. Give a "
            f"path where nothing is."
        )
    path = Path(f"{address.path}.lock")
    try:
        lock = path.open("w")
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {address}: {error.strerror}. Its folder must exist and be writable."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise AddressInUseError(
            f"Another process already listens on {address}. Give another path with --bind."
        ) from error
    lock.write(str(os.getpid()))
    return lock


class Waiter:
    """Waits until one of several links can be read."""

    def __init__(self, links: Iterable[Link]) -> None:
        self._poller = zmq.Poller()
        self._links = {link._socket: link for link in links}
        for socket in self._links:
            self._poller.register(socket, zmq.POLLIN)

    def enable(self, link: Link, enabled: bool) -> None:
        """Look at `link`, or let what comes on it wait (backpressure)."""
        self._poller.modify(link._socket, zmq.POLLIN if enabled else 0)

    def wait(self, timeout_ms: float) -> set[Link]:
        """Give the links that can be read, after at most `timeout_ms`."""
        return {self._links[socket] for socket, _ in self._poller.poll(int(timeout_ms))}
