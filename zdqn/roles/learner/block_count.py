"""A learner's account of blocks: what its collectors say they sent, against what memories got."""

from __future__ import annotations

from typing import Any, Protocol

from zdqn.records.block_accounts import BlockTotals, Sent, Told
from zdqn.records.totals import RunTotals
from zdqn.wire.status import MemoryStatistics


class Senders(Protocol):
    """Who knows the collectors; a `zdqn.roles.learner.model_server.ModelServer` is one."""

    def blocks_sent(self) -> list[Sent]:
        """Give what each collector told, those that left included."""


class Receivers(Protocol):
    """Who knows the memory; a `zdqn.roles.learner.memory_link.MemoryLink` is one."""

    def take_accounts(self) -> dict[int, Told]:
        """Give what each start of the memory told since the last call, in order; may be empty."""


class BlockCount:
    """Puts the words of both ends together.

    Args:
        totals: of the run; keeps what was told.
        senders: know the collectors.
        receivers: know the memory.
    """

    def __init__(self, totals: RunTotals, senders: Senders, receivers: Receivers) -> None:
        self._totals = totals
        self._senders = senders
        self._receivers = receivers

    def look(self) -> BlockTotals:
        """Ask both ends, and give where all blocks are as of now."""
        blocks = self._totals.blocks
        # what came is asked first: what is sent meanwhile is on its way, and not lost
        for memory, told in self._receivers.take_accounts().items():
            self._totals.meet(memory)
            blocks.heard(memory, told)
        blocks.told(self._senders.blocks_sent())
        return blocks.counts()


def describe_data(
    memory: MemoryStatistics, blocks: BlockTotals, totals: RunTotals
) -> dict[str, Any]:
    """Give what a summary tells of a run's data.

    Args:
        memory: last numbers of the memory.
        blocks: where all blocks are.
        totals: of the run.
    """
    return {
        "snapshots_dropped": totals.of_learners("snapshots_dropped"),
        "samples": totals.total("samples"),
        "samples_per_insert": memory.samples_per_insert,
        "blocks_sent": blocks.sent,
        "blocks": blocks.stored,
        "blocks_lost": blocks.lost,
        "blocks_refused": blocks.refused,
        "blocks_in_flight": blocks.in_flight,
        "blocks_duplicated": totals.total("blocks_duplicated"),
        "memory_restarts": totals.restarts,
        "waited_for_samples_s": round(totals.of_learners("waited_for_samples_s"), 3),
        "actions_served": totals.of_learners("actions_served"),
    }
