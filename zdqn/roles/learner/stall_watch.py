"""Notices who of a run is alive and makes no progress, and says so in the learner's log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

import msgspec

from zdqn.roles.acting.standstill import Standstill
from zdqn.wire.peers import Peer
from zdqn.wire.stalls import Stall, find_stall
from zdqn.wire.status import OF_CLIENTS, RunStatus

logger = logging.getLogger("zdqn.learner")

IN_AN_UPDATE = "in an update"

_LOOK_EVERY_S = 0.5
_FIRST_S = 120.0
"""The first update of a start may take long: something is compiled, or a GPU is woken up."""


class Pulse:
    """Beaten by the training thread as it goes on; others may look at it.

    Attributes:
        doing: what it does now, such as `IN_AN_UPDATE`.
        beats: how often it has gone on to something else.
        has_updated: whether an update of this start has ended.
    """

    def __init__(self) -> None:
        self.doing = "before its first update"
        self.beats = 0
        self.has_updated = False

    def beat(self, doing: str) -> None:
        """Go on to something."""
        self.has_updated |= self.doing == IN_AN_UPDATE
        self.doing = doing
        self.beats += 1


class StallWatch:
    """Watches the training thread and the clients.

    Args:
        pulse: of the training thread.
        clock: seconds that never go back.

    Attributes:
        stalled_s: seconds for which the training thread has not gone on.
    """

    def __init__(self, pulse: Pulse, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pulse = pulse
        self._clock = clock
        self._standstill = Standstill(clock)
        self._next_s = 0.0
        self._stalled: dict[int, tuple[str, float]] = {}
        self.stalled_s = 0.0

    def look(self, run: RunStatus, updates: int, peers: Callable[[], Iterable[Peer]]) -> None:
        """Look at everybody, not too often, and say who is stalled and who goes on again.

        Args:
            run: as the learner told it last.
            updates: made, as it told.
            peers: gives the living clients.
        """
        now_s = self._clock()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _LOOK_EVERY_S
        pulse = self._pulse
        stalled_s = self._standstill.look(pulse.beats, waits=run.phase != "training")
        self.stalled_s = stalled_s if pulse.has_updated or stalled_s >= _FIRST_S else 0.0
        stalls = {0: ("the learner", find_stall(self.tell(run, updates)))}
        for peer in peers():
            told = OF_CLIENTS[peer.role].read(peer.statistics)
            stalls[peer.session] = (peer.name, find_stall(told))
        self._say(stalls, now_s)

    def tell(self, run: RunStatus, updates: int) -> RunStatus:
        """Give what a learner told of its run, with how long it has been stalled."""
        last = f"{self._pulse.doing}, after {updates:,} updates"
        return msgspec.structs.replace(
            run,
            stalled_s=round(self.stalled_s, 1),
            last_did=last if self.stalled_s else "",
        )

    def _say(self, stalls: dict[int, tuple[str, Stall | None]], now_s: float) -> None:
        for session, (name, stall) in stalls.items():
            if stall is not None and session not in self._stalled:
                self._stalled[session] = name, now_s - stall.stalled_s
                logger.warning("%s is %s", name, stall.describe())
        for session, (name, since_s) in list(self._stalled.items()):
            _, stall = stalls.get(session, ("", None))
            if stall is None:
                del self._stalled[session]
                if session in stalls:  # else it has gone, which is said elsewhere
                    logger.info("%s goes on, after %.0f s", name, now_s - since_s)
