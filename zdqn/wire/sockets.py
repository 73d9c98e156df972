"""The sockets of the four links, with their options in one place.

Each is used by one thread at a time. Options are set before bind or connect, closing lingers
for a bounded time, and every context is private, so that a host program's own is left alone.
"""

from __future__ import annotations

import fcntl
import os
import select
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Protocol, TypeAlias, TypeVar

import numpy as np
import zmq
from numpy.typing import NDArray

from zdqn.closing import Closing
from zdqn.errors import AddressInUseError, ConfigError
from zdqn.wire.addresses import Address

Sendable: TypeAlias = bytes | NDArray[np.uint8]

LINGER_MS = 5_000
COPY_RECEIVED_BELOW_BYTES = 32_768
"""A shorter message is received quicker with a copy than without."""
_COPY_SENT_BELOW_BYTES = 65_536
"""Twice as much: to send without a copy, a thread of pyzmq must wait until libzmq is done with it.

Up to here pyzmq copies by itself too.
"""
_RECONNECT_MS = 100
_RECONNECT_MAX_MS = 2_000
_HEARTBEAT_MS = 10_000
_HEARTBEAT_TIMEOUT_MS = 30_000
_KEEPALIVE_S = 10
_KEEPALIVE_PROBES = 3
_HANDSHAKE_MS = 5_000
_BACKLOG = 1_024
_REPEATS = 8
"""Unanswered repetitions of a question that a server finds when it comes; older ones stay."""
_SLICE_MS = 100
"""Longest single wait in libzmq, so that a stop request is seen soon."""

MAX_MESSAGE_BYTES = 1024**3
MAX_BLOCK_BYTES = 256 * 1024**2


class Context(Closing):
    """A private ZeroMQ context. Closing it never hangs.

    Args:
        io_threads: libzmq's own threads that move bytes.
    """

    def __init__(self, io_threads: int = 1) -> None:
        self._context = zmq.Context(io_threads)
        self._context.max_sockets = min(65_535, 16_384)

    def socket(self, kind: int) -> zmq.Socket[bytes]:
        """Make a socket with the options that all links share."""
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


class SocketMaker(Protocol):
    """Makes sockets with the options that all links share: a node, or a bare context."""

    def socket(self, kind: int) -> zmq.Socket[bytes]:
        """Make a socket of a ZeroMQ kind."""


class Link(Closing):
    """One socket; closes itself as a context manager.

    Attributes:
        address: where it is bound or connected.
    """

    address: Address

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._lock: IO[str] | None = None

    def _bind(self, address: Address) -> None:
        """Bind and learn the real address.

        Raises:
            AddressInUseError: when another process holds it.
            ConfigError: when it cannot be bound on this machine.
        """
        self._socket.backlog = _BACKLOG
        self._socket.ipv6 = address.is_ipv6
        if address.transport == "ipc":
            self._lock = _lock_ipc_path(address)
        text = str(address)
        if address.transport == "tcp" and address.port == 0:
            text = text.removesuffix(":0") + ":*"
        try:
            self._socket.bind(text)
        except zmq.ZMQError as error:
            self.close()
            if error.errno == zmq.EADDRINUSE:
                raise AddressInUseError(
                    f"Another process already listens on {address}. Stop it (`zdqn status` and "
                    f"`zdqn stop` show and end a run), or give another port with --bind, or "
                    f"memory.bind or learner.bind of the configuration; port 0 takes a free one."
                ) from error
            raise ConfigError(
                f"Cannot listen on {address}: {error.strerror}. It must be an address of this "
                f"machine; 127.0.0.1 always is."
            ) from error
        last = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.address = address
        if address.transport == "tcp":
            self.address = Address("tcp", address.host, int(last.rpartition(":")[2]))

    def _connect(self, address: Address) -> None:
        self.address = address
        self._socket.ipv6 = address.is_ipv6
        try:
            self._socket.connect(str(address))
        except zmq.ZMQError as error:
            self.close(0)
            raise ConfigError(f"Cannot connect to {address}: {error.strerror}.") from error

    def close(self, linger_ms: int | None = None) -> None:
        """Close; what is unsent gets `linger_ms` (default `LINGER_MS`) to leave."""
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


LinkT = TypeVar("LinkT", bound=Link)
_PAIR_ATTEMPTS = 100


def bind_pair(
    server: Callable[[Address], Server], data: Callable[[Address], LinkT], address: Address
) -> tuple[Server, LinkT]:
    """Bind a server and its one-way socket, which lies a port below; port 0 finds a free pair.

    That the second address follows from the first is what lets a killed role come back at both.

    Args:
        server: binds the REQ/REP socket.
        data: binds the one-way socket.
        address: of the first.

    Raises:
        AddressInUseError: when one of the two is taken, or no free pair was found.
        ConfigError: when it cannot be bound on this machine.
    """
    for attempt in range(_PAIR_ATTEMPTS):
        first = server(address)
        try:
            return first, data(first.address.companion())
        except AddressInUseError:
            first.close()
            if address.transport == "ipc" or address.port or attempt == _PAIR_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


# --- transitions --------------------------------------------------------------------------------


def _watch_by_keepalive(socket: zmq.Socket[bytes]) -> None:
    """Let the kernel find a dead peer instead of ZeroMQ's heartbeats.

    A memory that holds collectors back does not read, and so misses their heartbeats: libzmq would
    drop living collectors, and abort the process when one has closed meanwhile.
    """
    socket.heartbeat_ivl = 0
    socket.tcp_keepalive = 1
    socket.tcp_keepalive_idle = _KEEPALIVE_S
    socket.tcp_keepalive_intvl = _KEEPALIVE_S
    socket.tcp_keepalive_cnt = _KEEPALIVE_PROBES


class TransitionSender(Link):
    """PUSH end of the transitions link: blocks when the memory does not want inserts."""

    def __init__(
        self, maker: SocketMaker, address: Address, *, high_water_mark: int, buffer_bytes: int
    ) -> None:
        super().__init__(maker.socket(zmq.PUSH))
        _watch_by_keepalive(self._socket)
        self._socket.sndhwm = high_water_mark
        self._socket.sndbuf = buffer_bytes
        self._socket.sndtimeo = _SLICE_MS
        self._connect(address)

    def send(self, message: bytes, give_up: Callable[[], bool]) -> bool:
        """Send, waiting for room.

        Args:
            message: the block.
            give_up: asked every tenth of a second while there is no room.

        Returns:
            False if `give_up` said so before there was room; then nothing was sent.
        """
        while True:
            try:
                self._socket.send(message, 0, len(message) < _COPY_SENT_BELOW_BYTES)
            except zmq.Again:
                if give_up():
                    return False
            else:
                return True


class TransitionReceiver(Link):
    """PULL end of the transitions link."""

    def __init__(
        self, maker: SocketMaker, address: Address, *, high_water_mark: int, buffer_bytes: int
    ) -> None:
        super().__init__(maker.socket(zmq.PULL))
        _watch_by_keepalive(self._socket)
        self._socket.rcvhwm = high_water_mark
        self._socket.rcvbuf = buffer_bytes
        self._socket.maxmsgsize = MAX_BLOCK_BYTES
        self._bind(address)

    def receive(self, *, copy: bool) -> bytes | memoryview | None:
        """Give the next message, or None when there is none.

        Args:
            copy: whether to copy it out of libzmq; quicker below `COPY_RECEIVED_BELOW_BYTES`.
        """
        try:
            if copy:
                return self._first_frame(self._socket.recv(zmq.NOBLOCK))
            return self._first_frame(self._socket.recv(zmq.NOBLOCK, copy=False).buffer)
        except zmq.Again:
            return None

    def _first_frame(self, frame: bytes | memoryview) -> bytes | memoryview:
        """Turn a multipart message, which zdqn never sends, into one that is refused."""
        multipart = False
        while self._socket.getsockopt(zmq.RCVMORE):  # far quicker than the attribute
            self._socket.recv()
            multipart = True
        return b"" if multipart else frame


# --- REQ/REP ------------------------------------------------------------------------------------


class Request:
    """One request that a server owes an answer.

    Attributes:
        body: the message.
    """

    __slots__ = ("_envelope", "body")

    def __init__(self, envelope: list[zmq.Frame], body: memoryview) -> None:
        self._envelope = envelope
        self.body = body


class Server(Link):
    """ROUTER that speaks the REP envelope, so that any plain REQ socket can be its client.

    Unlike REP it may answer later, in another order, or several clients at once.

    `wait` may run in one thread while another receives and replies; those two need a lock.
    """

    def __init__(self, maker: SocketMaker, address: Address) -> None:
        super().__init__(maker.socket(zmq.ROUTER))
        self._socket.sndtimeo = 0
        self._bind(address)
        self._signal = select.poll()
        self._signal.register(self._socket.fileno(), select.POLLIN)

    def wait(self, timeout_ms: float) -> None:
        """Wait until a request may have come, for at most `timeout_ms`.

        libzmq signals a request once, and sending takes note of the signal too: before each wait
        `receive` must have given None, with no reply after it.
        """
        self._signal.poll(timeout_ms)

    def receive(self) -> Request | None:
        """Give the next request, or None when there is none; what is no request is dropped."""
        receive = self._socket.recv
        while True:
            try:
                frames = [receive(zmq.NOBLOCK, copy=False)]
            except zmq.Again:
                return None
            while frames[-1].more:  # asking each frame is cheaper than recv_multipart
                frames.append(receive(copy=False))
            # REQ sends [empty, body]; with REQ_CORRELATE [id, empty, body]; ROUTER adds the peer
            if len(frames) in (3, 4) and not len(frames[-2]):
                body = frames.pop()
                return Request(frames, body.buffer)

    def reply(self, request: Request, message: Sendable) -> None:
        """Answer; a client that has gone is not waited for."""
        view = memoryview(message)  # type: ignore[arg-type] # arrays are buffers
        try:
            for frame in request._envelope:
                self._socket.send(frame, zmq.SNDMORE, copy=False)
            self._socket.send(view, 0, view.nbytes < _COPY_SENT_BELOW_BYTES)
        except zmq.Again:
            pass  # the client does not read its answers: its loss


class Client(Link):
    """REQ that asks again: a lost or late answer never ends up with the next question."""

    def __init__(self, maker: SocketMaker, address: Address) -> None:
        super().__init__(maker.socket(zmq.REQ))
        self._socket.req_relaxed = True
        self._socket.req_correlate = True
        self._socket.linger = 0
        self._socket.sndtimeo = 0
        self._socket.sndhwm = _REPEATS
        self._receive_timeout_ms = -1
        self._connect(address)

    def request(
        self, message: bytes, *, timeout_s: float, stop: threading.Event | None = None
    ) -> memoryview | None:
        """Ask and wait for the answer.

        Args:
            message: the question.
            timeout_s: how long to wait.
            stop: gives up early when set.

        Returns:
            The answer, or None if none came in time.
        """
        receive = self._receive_in_time
        try:
            self._socket.send(message)
        except zmq.Again:  # full of earlier questions to a server that is not there
            receive = self._receive_late
        left_ms = timeout_s * 1000
        while left_ms > 0 and not (stop is not None and stop.is_set()):
            wait_ms = min(left_ms, _SLICE_MS) if stop is not None else left_ms
            left_ms -= wait_ms
            answer = receive(int(wait_ms) or 1)
            if answer is not None:
                return answer
        return None

    def _receive_in_time(self, wait_ms: int) -> memoryview | None:
        # a time-out of the socket itself: polling first would cost a short request a third more
        if wait_ms != self._receive_timeout_ms:
            self._socket.rcvtimeo = self._receive_timeout_ms = wait_ms
        try:
            return self._only_frame(self._socket.recv(copy=False))
        except zmq.Again:
            return None

    def _receive_late(self, wait_ms: int) -> memoryview | None:
        """Wait for the answer to an earlier question, as no new one could be asked."""
        if not self._socket.poll(wait_ms):
            return None
        return self._only_frame(self._socket.recv(copy=False))

    def _only_frame(self, frame: zmq.Frame) -> memoryview:
        """Turn an answer of several frames, which zdqn never sends, into one that is refused."""
        if not frame.more:
            return frame.buffer
        self._socket.recv_multipart()
        return memoryview(b"")


class PipelinedClient(Link):
    """DEALER with REQ's envelope: several requests on their way, answers in order.

    Args:
        maker: of its socket, and of another after a reconnect.
        address: of a `Server`.
    """

    def __init__(self, maker: SocketMaker, address: Address) -> None:
        super().__init__(maker.socket(zmq.DEALER))
        self._maker = maker
        self._set_up(address)

    def _set_up(self, address: Address) -> None:
        self._socket.linger = 0
        self._socket.sndtimeo = 0
        self._connect(address)

    def send(self, message: bytes) -> bool:
        """Send a request; False when the link is full."""
        try:
            self._socket.send(b"", zmq.SNDMORE)
            self._socket.send(message)
        except zmq.Again:
            return False
        return True

    def receive(self, timeout_ms: float) -> memoryview | None:
        """Give the next answer, or None when none came in time."""
        if timeout_ms and not self._socket.poll(int(timeout_ms)):
            return None
        try:
            frame = self._socket.recv(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        while frame.more:
            frame = self._socket.recv(copy=False)
        return frame.buffer

    def reconnect(self) -> None:
        """Forget everything on its way: answers to earlier requests will never come."""
        self._socket.close(0)
        self._socket = self._maker.socket(zmq.DEALER)
        self._set_up(self.address)


# --- weights ------------------------------------------------------------------------------------


class WeightPublisher(Link):
    """PUB that keeps only the newest message for a slow subscriber.

    CONFLATE wants one frame a message; XPUB would ignore it.
    """

    def __init__(self, maker: SocketMaker, address: Address) -> None:
        super().__init__(maker.socket(zmq.PUB))
        self._socket.conflate = True
        self._socket.linger = 0
        self._bind(address)

    def publish(self, message: bytes) -> None:
        """Send to every subscriber; never blocks."""
        self._socket.send(message, 0, len(message) < _COPY_SENT_BELOW_BYTES)


class WeightSubscriber(Link):
    """SUB that holds only the newest message, with its one subscription."""

    def __init__(self, maker: SocketMaker, address: Address) -> None:
        super().__init__(maker.socket(zmq.SUB))
        self._socket.conflate = True
        self._socket.linger = 0
        self._socket.subscribe(b"")
        self._connect(address)

    def latest(self, timeout_ms: float = 0) -> memoryview | None:
        """Give the newest message since the last call, or None.

        Must be called every few seconds: after a reconnect the socket subscribes again only when
        its own thread touches it.
        """
        if timeout_ms and not self._socket.poll(int(timeout_ms)):
            return None
        try:
            return self._socket.recv(zmq.NOBLOCK, copy=False).buffer
        except zmq.Again:
            return None
