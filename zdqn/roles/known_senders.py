"""What a memory knows of those who send it blocks: that they live, and what became of these."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable

from zdqn.core.intake import Intake, RefusedBlock, name_by_number
from zdqn.wire.peers import Peer, PeerTable
from zdqn.wire.protocol import Delivery
from zdqn.wire.quiet_log import QuietLog
from zdqn.wire.sockets import LINGER_MS
from zdqn.wire.status import CollectorStatistics

logger = logging.getLogger("zdqn.memory")

_ARRIVED_AFTER_S = LINGER_MS / 1000 + 1
"""After it said goodbye, what a collector sent may be on its way for so long."""
_MOST_REASON = 256


class KnownSenders:
    """Holds the blocks that came against the collectors that are known.

    Args:
        intake: of the blocks.
        peers: clients of the memory.
        clock: seconds that never go back, those of `peers`.
    """

    def __init__(
        self, intake: Intake, peers: PeerTable, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._intake = intake
        self._peers = peers
        self._clock = clock
        self._complaints = QuietLog(logger, clock=clock)
        self._departed: deque[tuple[float, Peer]] = deque()

    def name_of(self, session: int) -> str:
        """Call a collector by the name of its hello, or by its session."""
        peer = self._peers.peers.get(session)
        return peer.name if peer is not None else name_by_number(session)

    def complain(self, refused: Iterable[RefusedBlock]) -> None:
        """Log which blocks were refused, and of whom."""
        for block in refused:
            text = "refused %s (%d refused so far)"
            self._complaints.say(
                logging.WARNING, self._kind_of(block), text, block.error, self._intake.refused
            )

    def _kind_of(self, refused: RefusedBlock) -> Hashable:
        """Tell faults apart by sender and sort; strangers, who may call themselves any, not."""
        known = refused.sender in self._peers.peers
        return (refused.sender if known else None, type(refused.error))

    def note_signs_of_life(self) -> None:
        """Count the blocks that came as signs of life of who sent them."""
        senders = self._intake.senders
        if not senders:
            return
        now_s = self._clock()
        for session in senders:
            self._peers.hear_of(session, now_s)
        senders.clear()

    def delivery(self, session: int) -> Delivery | None:
        """Give what became of a collector's blocks; None for a client that sends none."""
        peer = self._peers.peers.get(session)
        if peer is None or peer.role != "collector":
            return None
        refused = self._intake.refusals.get(session)
        return Delivery(
            stored=self._intake.ledger.stored(session),
            refused=refused.blocks if refused is not None else 0,
            reason=_as_line(refused.reason) if refused is not None else "",
        )

    def departed(self, peer: Peer, *, died: bool) -> None:
        """Write off in a while what a gone collector sent and what never came.

        Of one that said goodbye it may still be on its way; what a dead one sent has come.
        """
        if died:
            self._departed.appendleft((0.0, peer))
        else:
            self._departed.append((self._clock() + _ARRIVED_AFTER_S, peer))

    def write_off_departed(self) -> None:
        """Write off what is due; not to be called while what has come waits unread."""
        while self._departed and self._departed[0][0] < self._clock():
            peer = self._departed.popleft()[1]
            blocks_sent = CollectorStatistics.read(peer.statistics).blocks_sent
            lost = self._intake.write_off(peer.session, blocks_sent)
            if lost:
                logger.warning("%d blocks that %s had sent never came: lost", lost, peer.name)


def _as_line(reason: str) -> str:
    """Give a reason as one line, without whatever else a peer may have put into it."""
    return "".join(sign if sign.isprintable() else " " for sign in reason)[:_MOST_REASON]
