"""What one process that trains alone says of itself: what a learner and a memory would say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from zdqn.config import Config
from zdqn.core.agenda import Counters
from zdqn.core.store import TransitionStore
from zdqn.records.metrics import Metrics
from zdqn.records.totals import RunTotals
from zdqn.roles.building import describe_limits
from zdqn.wire.memory_messages import Progress
from zdqn.wire.status import (
    LearnerStatus,
    MemoryOfLearner,
    MetricsRow,
    ProgressStatus,
    RunStatus,
)

if TYPE_CHECKING:
    from zdqn.core.rollout import Rollout


def describe_training(
    config: Config,
    *,
    directory: Path,
    phase: str,
    metrics: Metrics,
    counters: Counters,
    row: MetricsRow,
    store: TransitionStore,
) -> LearnerStatus:
    """Put a status together; it only reads, so that any thread may ask for it.

    Args:
        config: of the run.
        directory: of the run.
        phase: what is done now.
        metrics: know the time and the evaluations.
        counters: how far training is.
        row: the newest of metrics, for what is computed once a row.
        store: what is learned from.
    """
    wall_s = metrics.wall_s
    values = msgspec.structs.asdict(row)
    values.update(
        wall_s=wall_s,
        environment_steps=counters.environment_steps,
        transitions=counters.transitions,
        updates=counters.updates,
        episodes=counters.episodes,
        last_evaluation_return=metrics.last_return,
        best_evaluation_return=metrics.best_return,
    )
    limiter = store.limiter
    return LearnerStatus(
        run=RunStatus(directory=str(directory), phase=phase, wall_s=round(wall_s, 1)),
        progress=ProgressStatus(**values, samples_per_insert=round(limiter.achieved, 4)),
        stop=describe_limits(config),
        memory=MemoryOfLearner(
            address="in this process",
            size=store.size,
            capacity=store.capacity,
            transitions=limiter.inserts,
            samples=limiter.samples,
            samples_per_insert=round(limiter.achieved, 4),
        ),
    )


def totals_of(earlier: RunTotals, *, rollout: Rollout, inserts: int) -> RunTotals:
    """Give the counts as if a memory had told them, so that a distributed run can go on.

    Args:
        earlier: of the starts before; left as they are.
        rollout: of this start.
        inserts: transitions stored in this start.
    """
    totals = RunTotals()
    totals.load_state_dict(earlier.state_dict())
    totals.add(
        Progress(
            session=len(totals),  # a small number, unlike a memory's, that no start had yet
            environment_steps=rollout.environment_steps,
            episodes=rollout.episodes,
            transitions=inserts,
            blocks=0,
            blocks_lost=0,
            blocks_duplicated=0,
            blocks_refused=0,
        )
    )
    return totals
