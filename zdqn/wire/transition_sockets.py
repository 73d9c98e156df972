"""The two ends of the transitions link: PUSH and PULL."""

from __future__ import annotations

from collections.abc import Callable

import zmq

from zdqn.closing import Closing
from zdqn.wire.addresses import Address
from zdqn.wire.socket_monitors import close_monitor, open_monitor
from zdqn.wire.sockets import (
    COPY_SENT_BELOW_BYTES,
    SLICE_MS,
    Link,
    SocketMaker,
    watch_by_keepalive,
)

COPY_RECEIVED_BELOW_BYTES = 32_768
"""A shorter message is received quicker with a copy than without."""
MAX_BLOCK_BYTES = 256 * 1024**2


class TransitionSender(Link):
    """PUSH end of the transitions link: blocks when the memory does not want inserts.

    Args:
        maker: of its socket, and of another after `reopen`.
        address: of a `TransitionReceiver`.
        high_water_mark: blocks that may wait at this end.
        buffer_bytes: of the kernel, for what has left this process.
        watched: whether `broke` tells of connections that end, those refused too; `reopen` is then
            for its user to call.
        has_keys: whether its key may be refused.
    """

    def __init__(
        self,
        maker: SocketMaker,
        address: Address,
        *,
        high_water_mark: int,
        buffer_bytes: int,
        watched: bool = False,
        has_keys: bool = False,
    ) -> None:
        super().__init__(maker.socket(zmq.PUSH), has_keys=has_keys and not watched)
        self._maker = maker
        self._high_water_mark, self._buffer_bytes = high_water_mark, buffer_bytes
        self._watched = watched
        self._events: zmq.Socket[bytes] | None = None
        self._set_up(address)

    def _set_up(self, address: Address) -> None:
        watch_by_keepalive(self._socket)
        self._socket.sndhwm = self._high_water_mark
        self._socket.sndbuf = self._buffer_bytes
        self._socket.sndtimeo = SLICE_MS
        if self._watched:
            self._events = open_monitor(self._socket, zmq.EVENT_DISCONNECTED)
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
            self.look_whether_refused()
            try:
                self._socket.send(message, 0, len(message) < COPY_SENT_BELOW_BYTES)
            except zmq.Again:
                if give_up():
                    return False
            else:
                return True

    def broke(self) -> bool:
        """Whether a connection has ended since this was asked last; what was on it may be lost."""
        ended = False
        while self._events is not None:
            try:
                self._events.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            ended = True
        return ended

    def reopen(self) -> None:
        """Forget what was not sent so far, and connect anew.

        libzmq closes a socket in its own time: some of what it held may still arrive, before or
        after what is sent next.
        """
        self.close(0)
        self._socket = self._maker.socket(zmq.PUSH)
        self._set_up(self.address)

    def close(self, linger_ms: int | None = None) -> None:
        """Close; what is unsent gets `linger_ms` (default `LINGER_MS`) to leave."""
        if self._events is not None:
            close_monitor(self._socket, self._events)
            self._events = None
        super().close(linger_ms)


class TransitionReceiver(Link):
    """PULL end of the transitions link.

    libzmq reads ahead as many messages of every connection as the high-water mark says, however
    large they are. Before it is known how large a block may be nobody should be let in: those
    wait with theirs.

    Args:
        maker: of its socket.
        address: where to bind it.
        high_water_mark: blocks of one collector that may wait at this end.
        buffer_bytes: of the kernel, for what has not reached this process.
        closed: nobody is let in until `open`; the address is kept.

    Raises:
        AddressInUseError: when another process holds the address.
        ConfigError: when it cannot be bound on this machine.
    """

    def __init__(
        self,
        maker: SocketMaker,
        address: Address,
        *,
        high_water_mark: int,
        buffer_bytes: int,
        closed: bool = False,
    ) -> None:
        super().__init__(maker.socket(zmq.PULL))
        watch_by_keepalive(self._socket)
        self._socket.rcvhwm = high_water_mark
        self._socket.rcvbuf = buffer_bytes
        self._is_open = False
        self._held: Closing | None = None
        self.address = address
        if closed:
            self._held = self._hold(address)
        else:
            self.open()

    def open(self, most_bytes: int = MAX_BLOCK_BYTES) -> None:
        """Let collectors in; only the first call does anything.

        Args:
            most_bytes: of a message; the connection of a peer that sends more is cut.

        Raises:
            AddressInUseError: when another process has taken the address.
            ConfigError: when it cannot be bound on this machine.
        """
        if self._is_open:
            return
        self._limit_messages(min(most_bytes, MAX_BLOCK_BYTES))
        if self._held is not None:
            self._held.close()
        self._bind(self.address)
        self._is_open = True

    def close(self, linger_ms: int | None = None) -> None:
        """Close, and let go of the address."""
        if self._held is not None:
            self._held.close()
        super().close(linger_ms)

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

    def receive_some(self, most: int, *, copy: bool) -> list[bytes | memoryview]:
        """Give the messages that have come, at most `most`; see `receive`."""
        messages: list[bytes | memoryview] = []
        while len(messages) < most and (message := self.receive(copy=copy)) is not None:
            messages.append(message)
        return messages

    def _first_frame(self, frame: bytes | memoryview) -> bytes | memoryview:
        """Turn a multipart message, which zdqn never sends, into one that is refused."""
        multipart = False
        while self._socket.getsockopt(zmq.RCVMORE):  # far quicker than the attribute
            self._socket.recv()
            multipart = True
        return b"" if multipart else frame
