"""What a learner says of the run while it goes on: phase, progress, bottleneck, waiting."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from zdqn.config import Config
from zdqn.core.agenda import Counters
from zdqn.records.block_accounts import NO_BLOCKS, BlockTotals
from zdqn.records.metrics import Metrics
from zdqn.records.verdict import BottleneckWatch, Times, read_times
from zdqn.roles.building import describe_limits
from zdqn.roles.learner.memory_link import MemoryLink
from zdqn.wire.field_types import Statistics
from zdqn.wire.status import (
    CollectorStatistics,
    LearnerStatistics,
    LearnerStatus,
    MemoryOfLearner,
    MetricsRow,
    ProgressStatus,
    RunStatus,
)

logger = logging.getLogger("zdqn.learner")

_SAY_EVERY_S = 10.0
_VERDICT_ROWS = 10
"""Rows of metrics over which the verdict in status looks back."""


class StatusAudience(Protocol):
    """Whom the board is for: the model server."""

    def report(self, status: LearnerStatus) -> None:
        """Take over what there is to say."""

    @property
    def unevaluated(self) -> int:
        """Snapshots that have no result yet."""


class StatusBoard:
    """Puts a learner's status together, and hands it to the model server.

    Args:
        config: of the run.
        run: which run it is; phase and time are filled in here.
        metrics: knows the time.
        memory: tells of itself.
        audience: told the status.
        clock: seconds that never go back.

    Attributes:
        phase: what the learner does now.
    """

    def __init__(
        self,
        config: Config,
        *,
        run: RunStatus,
        metrics: Metrics,
        memory: MemoryLink,
        audience: StatusAudience,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = describe_limits(config)
        self._run = run
        self._metrics = metrics
        self._memory = memory
        self._audience = audience
        self._clock = clock
        self._row = MetricsRow()
        self._counters = Counters()
        self._blocks = NO_BLOCKS
        self._steps_ahead = 0
        self._verdict = ""
        self._watch = BottleneckWatch(_VERDICT_ROWS)
        self._said_s: float | None = None
        self.phase = "starting"

    def enter(self, phase: str) -> None:
        """Say what the learner does now."""
        self.phase = phase
        self._tell()

    def count_on(self, counters: Counters) -> None:
        """Start from where a checkpoint was saved."""
        self._counters = counters
        self._tell()

    def report(
        self,
        row: MetricsRow,
        *,
        blocks: BlockTotals,
        waited_s: float,
        collectors: list[CollectorStatistics],
    ) -> None:
        """Say how training goes.

        Args:
            row: the newest of metrics.
            blocks: what became of those that collectors sent.
            waited_s: that the learner waited for batches so far.
            collectors: last statistics of the living ones.
        """
        self._row = row
        self._counters = self._counters._replace(
            environment_steps=row.environment_steps, updates=row.updates
        )
        self._blocks = blocks
        self._steps_ahead = sum(collector.steps_ahead or 0 for collector in collectors)
        self._verdict = self._watch.look(self._times(waited_s, collectors))
        self._tell()

    def begin(self, collectors: list[CollectorStatistics]) -> None:
        """Take note of when training begins."""
        self._watch.begin(self._times(0.0, collectors))

    def overall(self, waited_s: float, collectors: list[CollectorStatistics]) -> str:
        """Name the bottleneck of the whole training."""
        return self._watch.overall(self._times(waited_s, collectors))

    def waits_for(self, what: str) -> None:
        """Log what is waited for, at most every 10 s; the first time after a second."""
        now_s = self._clock()
        if self._said_s is None:
            self._said_s = now_s - _SAY_EVERY_S + 1
        if now_s - self._said_s >= _SAY_EVERY_S:
            self._said_s = now_s
            logger.info("waiting for %s", what)

    def ping_statistics(self) -> Statistics:
        """Give what the memory is told in pings."""
        return LearnerStatistics(phase=self.phase, updates=self._counters.updates).to_wire()

    def _times(self, waited_s: float, collectors: list[CollectorStatistics]) -> Times:
        return read_times(self._metrics.wall_s, waited_s, self._memory.statistics, collectors)

    def _tell(self) -> None:
        memory = self._memory.statistics
        values = msgspec.structs.asdict(self._row)
        values["environment_steps"] = self._counters.environment_steps
        values["updates"] = self._counters.updates
        progress = ProgressStatus(
            **values,
            samples_per_insert=memory.samples_per_insert,
            blocks_sent=self._blocks.sent,
            blocks_lost=self._blocks.lost,
            blocks_refused=self._blocks.refused,
            blocks_in_flight=self._blocks.in_flight,
            steps_ahead=self._steps_ahead,
            unevaluated=self._audience.unevaluated,
        )
        status = LearnerStatus(
            run=msgspec.structs.replace(
                self._run, phase=self.phase, wall_s=round(self._metrics.wall_s, 1)
            ),
            progress=progress,
            stop=self._limits,
            verdict=self._verdict,
            memory=MemoryOfLearner(
                address=str(self._memory.address),
                silent_s=round(self._memory.silent_s, 1),
                **msgspec.structs.asdict(memory),
            ),
        )
        self._audience.report(status)
