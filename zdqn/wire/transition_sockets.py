"""The two ends of the transitions link: PUSH and PULL."""

from __future__ import annotations

from collections.abc import Callable

import zmq

from zdqn.wire.addresses import Address
from zdqn.wire.sockets import COPY_SENT_BELOW_BYTES, SLICE_MS, Link, SocketMaker

COPY_RECEIVED_BELOW_BYTES = 32_768
"""A shorter message is received quicker with a copy than without."""
MAX_BLOCK_BYTES = 256 * 1024**2
_KEEPALIVE_S = 10
_KEEPALIVE_PROBES = 3


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
        self._socket.sndtimeo = SLICE_MS
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
                self._socket.send(message, 0, len(message) < COPY_SENT_BELOW_BYTES)
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
