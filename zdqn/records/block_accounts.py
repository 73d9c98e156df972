"""What became of every block that a run's collectors have sent, whichever memory it went to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import add
from typing import Any, NamedTuple

from zdqn.wire.memory_messages import SessionBlocks


class Sent(NamedTuple):
    """What a collector tells of itself.

    Attributes:
        session: of the collector.
        blocks: that it has sent.
        left: it went while the run went on, so long ago that nothing of it is on its way any more.
    """

    session: int
    blocks: int
    left: bool = False


class Told(NamedTuple):
    """What a start of the memory tells.

    Attributes:
        rows: what became of the blocks of each collector that it has heard of.
        continues: see `zdqn.wire.memory_messages.Accounts`.
    """

    rows: Sequence[SessionBlocks] = ()
    continues: bool = False


class BlockTotals(NamedTuple):
    """Where the blocks of a run are; the first number is the sum of the others.

    Attributes:
        sent: by all collectors, as far as they told, or a memory heard.
        stored: accepted by a memory; once, though one that died may have had it before.
        lost: went before one that came, or were the last of a collector that left, and never came;
            or came to a memory that died before it told, or that came back without them.
        refused: came and were not accepted.
        in_flight: sent after the last that came: on their way, or not read when the run ended.
    """

    sent: int
    stored: int
    lost: int
    refused: int
    in_flight: int


NO_BLOCKS = BlockTotals(0, 0, 0, 0, 0)
_MOST_UNHEARD = 100_000
"""Blocks of one collector that queues and buffers hold at most; more than that nobody has sent."""


@dataclass
class _Session:
    """One collector: what it told, and what each memory told of it."""

    sent: int = 0
    left: bool = True
    at_memories: dict[int, SessionBlocks] = field(default_factory=dict)

    @property
    def heard(self) -> int:
        """Blocks that went before the last that any memory has heard of, and that one."""
        return max([row.heard for row in self.at_memories.values()] + [sum(self._arrived())])

    def counts(self) -> BlockTotals:
        stored, refused = self._arrived()
        heard = self.heard
        sent = max(self.sent, heard)
        in_flight = 0 if self.left else sent - heard
        lost = sent - stored - refused - in_flight
        return BlockTotals(sent, stored, lost, refused, in_flight)

    def _arrived(self) -> tuple[int, int]:
        """Count the blocks that were stored, and those that were refused, each once.

        Some may have come to two memories: the first died before their collector knew that it had
        them. Those are stored in order, so that they are the first of what the later one has.
        """
        stored = refused = reached = 0
        for row in self.at_memories.values():
            first = row.heard - row.received - row.refused
            known = first > 0 or row.received  # else it says nothing of where it began
            again = max(reached - first, 0) if known else 0
            stored_again = min(again, row.received)
            stored += row.received - stored_again
            refused += row.refused - min(again - stored_again, row.refused)
            reached = max(reached, row.heard)
        return stored, refused


class BlockAccounts:
    """Compares what collectors say that they sent with what memories say that came.

    A memory's own count of lost blocks is of the gaps that it saw. What died with it, between its
    last word and the first block that its successor got, only the comparison shows.
    """

    def __init__(self) -> None:
        self._sessions: dict[int, _Session] = {}

    def told(self, collectors: Iterable[Sent]) -> None:
        """Take note of what collectors say."""
        for collector in collectors:
            session = self._sessions.setdefault(collector.session, _Session())
            most = session.heard + _MOST_UNHEARD
            session.sent = max(session.sent, min(collector.blocks, most))
            session.left = collector.left

    def heard(self, memory: int, told: Told) -> None:
        """Take note of what a memory says.

        Args:
            memory: session of the memory.
            told: by it; of each collector that it has heard of, since its start.
        """
        for row in told.rows:
            session = self._sessions.setdefault(row.session, _Session())
            if told.continues and memory not in session.at_memories:
                session.at_memories.clear()
            before = session.at_memories.get(memory, row)  # it may have forgotten since
            session.at_memories[memory] = SessionBlocks(*map(max, before, row))

    def counts(self) -> BlockTotals:
        """Add up all collectors."""
        total = NO_BLOCKS
        for session in self._sessions.values():
            total = BlockTotals(*map(add, total, session.counts()))
        return total

    def state_dict(self) -> dict[str, Any]:
        """Give all that a later start of the learner must know, as plain values."""
        return {
            "sent": [[number, session.sent] for number, session in self._sessions.items()],
            "heard": [
                [memory, *row]
                for session in self._sessions.values()
                for memory, row in session.at_memories.items()
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken; who does not tell again has left since."""
        self._sessions = {number: _Session(sent) for number, sent in state["sent"]}
        for memory, *row in state["heard"]:
            self.heard(memory, Told((SessionBlocks(*row),)))
