"""The two ends of REQ/REP links; a client may have one request on its way, or several."""

from __future__ import annotations

import select
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import zmq
from numpy.typing import NDArray

from zdqn.wire.addresses import Address
from zdqn.wire.keys.allow_list import Caller
from zdqn.wire.sockets import (
    COPY_SENT_BELOW_BYTES,
    MAX_REQUEST_BYTES,
    SLICE_MS,
    Link,
    SocketMaker,
    watch_by_keepalive,
)

Sendable: TypeAlias = bytes | NDArray[np.uint8]

_MOST_UNREAD = 64
"""Answers that are kept for a client that does not read them; as many as it may have asked for."""
_MOST_UNREAD_BYTES = 64 * 1024**2
"""Of large answers, besides: a client that has so much unread is sent no other."""
_REPEATS = 8
"""Unanswered repetitions of a question that a server finds when it comes; older ones stay."""


class Request:
    """One request that a server owes an answer.

    Attributes:
        body: the message.
        caller: whose key it came with; None where anybody may ask.
    """

    __slots__ = ("_envelope", "_frame", "body", "caller")

    def __init__(
        self,
        envelope: list[zmq.Frame],
        body: memoryview,
        caller: Caller | None = None,
        frame: zmq.Frame | None = None,
    ) -> None:
        self._envelope = envelope
        self._frame = frame
        self.body = body
        self.caller = caller

    @property
    def host(self) -> str:
        """Give the IP address that it came from; "" where there is none, as within a machine."""
        try:
            return str(self._frame.get("Peer-Address")) if self._frame is not None else ""
        except zmq.ZMQError:
            return ""

    @property
    def sender(self) -> bytes:
        """Give what tells this connection from others."""
        return self._envelope[0].bytes if self._envelope else b""


class Unread:
    """Large answers that libzmq still holds, as their clients have not read so far.

    Small ones are bounded by their number; these are kept where they were written, and a few of
    them fill a machine.
    """

    def __init__(self) -> None:
        self._sent: dict[bytes, deque[tuple[zmq.MessageTracker, int]]] = {}

    def add(self, client: bytes, tracker: zmq.MessageTracker, nbytes: int) -> None:
        """Take note of an answer that was handed to libzmq."""
        self._sent.setdefault(client, deque()).append((tracker, nbytes))

    def of(self, client: bytes) -> int:
        """Give the bytes that a client has not read."""
        sent = self._sent.get(client)
        if sent is None:
            return 0
        while sent and sent[0][0].done:
            sent.popleft()
        if not sent:
            del self._sent[client]
        return sum(nbytes for _, nbytes in sent)

    def of_all(self) -> int:
        """Give the bytes that all clients together have not read."""
        return sum(self.of(client) for client in list(self._sent))


class Server(Link):
    """ROUTER that speaks the REP envelope, so that any plain REQ socket can be its client.

    Unlike REP it may answer later, in another order, or several clients at once.

    `wait` may run in one thread while another receives and replies; those two need a lock.

    Args:
        maker: of its socket.
        address: where to bind it.
        identify: tells whose key a message came with; None where clients have none.

    Raises:
        AddressInUseError: when another process holds the address.
        ConfigError: when it cannot be bound on this machine.
    """

    def __init__(
        self,
        maker: SocketMaker,
        address: Address,
        *,
        identify: Callable[[zmq.Frame], Caller] | None = None,
    ) -> None:
        super().__init__(maker.socket(zmq.ROUTER))
        self._identify = identify
        watch_by_keepalive(self._socket)
        self._socket.sndtimeo = 0
        self._socket.sndhwm = _MOST_UNREAD
        self._socket.router_mandatory = True  # say so when nobody is there to be answered
        self._socket.rcvhwm = _MOST_UNREAD
        self._limit_messages(MAX_REQUEST_BYTES)
        self._unread = Unread()
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
                caller = self._identify(body) if self._identify is not None else None
                return Request(frames, body.buffer, caller, body)

    def reply(self, request: Request, message: Sendable) -> bool:
        """Answer; a client that has gone, or does not read its answers, is not waited for.

        Returns:
            False if the answer was dropped.
        """
        view = memoryview(message)  # type: ignore[arg-type] # arrays are buffers
        small = view.nbytes < COPY_SENT_BELOW_BYTES
        if not (small or self.has_room(request)):
            return False
        try:
            for frame in request._envelope:
                self._socket.send(frame, zmq.SNDMORE, copy=False)
            if small:
                self._socket.send(view, 0)
            else:
                tracker = self._socket.send(view, 0, copy=False, track=True)
                self._unread.add(request.sender, tracker, view.nbytes)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True

    def has_room(self, request: Request) -> bool:
        """Whether a large answer would be sent, as its client reads those before."""
        return self._unread.of(request.sender) < _MOST_UNREAD_BYTES

    def unread_bytes(self) -> int:
        """Give the bytes of large answers that all clients together have not read."""
        return self._unread.of_all()


class Client(Link):
    """REQ that asks again: a lost or late answer never ends up with the next question.

    Args:
        maker: of its socket.
        address: of a `Server`.
        explain: finds out why a server that it is told does not answer, in the words of `hint`;
            raises where waiting does not help.
        has_keys: whether its key may be refused.

    Attributes:
        hint: why nothing was answered of late, to follow a sentence that says so; or "".
    """

    def __init__(
        self,
        maker: SocketMaker,
        address: Address,
        *,
        explain: Callable[[str], str] | None = None,
        has_keys: bool = False,
    ) -> None:
        super().__init__(maker.socket(zmq.REQ))
        self._explain = explain
        self._may_be_refused = has_keys
        self.hint = ""
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
            wait_ms = min(left_ms, SLICE_MS) if stop is not None else left_ms
            left_ms -= wait_ms
            answer = receive(int(wait_ms) or 1)
            if answer is not None:
                return answer
        return None

    def find_out(self, server: str) -> None:
        """Find out why nothing was answered, and connect anew if it can help; `hint` says it.

        Args:
            server: what to call it in messages.

        Raises:
            NotAllowedError: when a key is missing, or not the right one.
            MismatchError: when what is there is no ZeroMQ.
        """
        self.hint = self._explain(server) if self._explain is not None else ""
        if self._may_be_refused:  # once refused for its key it would never try again by itself
            self._socket.disconnect(str(self.address))
            self._socket.connect(str(self.address))

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
        has_keys: whether its key may be refused.
    """

    def __init__(self, maker: SocketMaker, address: Address, *, has_keys: bool = False) -> None:
        super().__init__(maker.socket(zmq.DEALER), has_keys=has_keys)
        self._maker = maker
        self._set_up(address)

    def _set_up(self, address: Address) -> None:
        self._socket.linger = 0
        self._socket.sndtimeo = 0
        self._connect(address)

    def send(self, message: bytes) -> bool:
        """Send a request; False when the link is full."""
        self.look_whether_refused()
        try:
            self._socket.send(b"", zmq.SNDMORE)
            self._socket.send(message)
        except zmq.Again:
            return False
        return True

    def receive(self, timeout_ms: float) -> memoryview | None:
        """Give the next answer, or None when none came in time."""
        self.look_whether_refused()
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
        self.look_no_more()
        self._socket.close(0)
        self._socket = self._maker.socket(zmq.DEALER)
        self._set_up(self.address)
