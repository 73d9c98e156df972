"""Coming back to a server that has refused a key: it may be allowed again.

libzmq connects again after whatever else ends a connection, but never after a server said no.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import recv_monitor_message

from zdqn.closing import Closing
from zdqn.wire.addresses import Address
from zdqn.wire.socket_monitors import close_monitor

logger = logging.getLogger("zdqn")

EVENTS = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_SUCCEEDED
"""What the monitor of a socket must tell."""
_LOOK_EVERY_S = 0.25
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 10.0


@dataclass
class Refusals:
    """What a link has heard of its key, over all the sockets that it opens.

    Attributes:
        pause_s: until it tries again after the next refusal.
        is_refused: whether it was refused last.
    """

    pause_s: float = _FIRST_PAUSE_S
    is_refused: bool = False


class Readmission(Closing):
    """Connects a socket anew that was refused, each time after a longer pause; says so once.

    Used in the socket's thread.

    Args:
        socket: that connects to one address.
        monitor: on which it tells `EVENTS`; closed here.
        address: of the server.
        heard: what the link heard over earlier sockets; None for a link's only one.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        monitor: zmq.Socket[bytes],
        address: Address,
        *,
        heard: Refusals | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._socket = socket
        self._monitor = monitor
        self._address = address
        self._clock = clock
        self._next_look_s = -math.inf
        self._connect_at_s = math.inf
        self._heard = heard or Refusals()

    def look(self) -> None:
        """Take note of a refusal, and connect once its pause is over."""
        now_s = self._clock()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _LOOK_EVERY_S
        while self._monitor.poll(0):
            self._take(recv_monitor_message(self._monitor)["event"], now_s)
        if now_s >= self._connect_at_s:
            self._connect_at_s = math.inf
            self._socket.disconnect(str(self._address))
            self._socket.connect(str(self._address))

    def _take(self, event: int, now_s: float) -> None:
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            heard = self._heard
            if not heard.is_refused:
                text = "%s does not let our key in (any more); trying again until it does"
                logger.warning(text, self._address)
            heard.is_refused = True
            self._connect_at_s = now_s + heard.pause_s
            heard.pause_s = min(2 * heard.pause_s, _LONGEST_PAUSE_S)
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED and self._heard.is_refused:
            logger.info("%s lets our key in again", self._address)
            self._heard.is_refused, self._heard.pause_s = False, _FIRST_PAUSE_S

    def close(self) -> None:
        """Watch the socket no more; it may be closed then."""
        close_monitor(self._socket, self._monitor)
