"""The two ends of the weights link: PUB and SUB, of which each keeps the newest message only."""

from __future__ import annotations

import zmq

from zdqn.wire.addresses import Address
from zdqn.wire.sockets import Link, SocketMaker

_COPY_BELOW_BYTES = 256 * 1024
"""A copy takes 20 us at most; to have pyzmq's thread watch what is sent without one takes more."""


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
        self._socket.send(message, 0, len(message) < _COPY_BELOW_BYTES)


class WeightSubscriber(Link):
    """SUB that holds only the newest message, with its one subscription.

    Args:
        maker: of its socket.
        address: of a `WeightPublisher`.
        has_keys: whether its key may be refused.
    """

    def __init__(self, maker: SocketMaker, address: Address, *, has_keys: bool = False) -> None:
        super().__init__(maker.socket(zmq.SUB), has_keys=has_keys)
        self._socket.conflate = True
        self._socket.linger = 0
        self._socket.subscribe(b"")
        self._connect(address)

    def latest(self, timeout_ms: float = 0) -> memoryview | None:
        """Give the newest message since the last call, or None.

        Must be called every few seconds: after a reconnect the socket subscribes again only when
        its own thread touches it.
        """
        self.look_whether_refused()
        if timeout_ms and not self._socket.poll(int(timeout_ms)):
            return None
        try:
            return self._socket.recv(zmq.NOBLOCK, copy=False).buffer
        except zmq.Again:
            return None
