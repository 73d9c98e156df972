"""What one process that trains alone says of itself: the same as a learner, without clients."""

from __future__ import annotations

from pathlib import Path

import msgspec

from zdqn.config import Config
from zdqn.core.agenda import Counters
from zdqn.core.store import TransitionStore
from zdqn.records.metrics import Metrics
from zdqn.roles.building import describe_limits
from zdqn.wire.status import (
    LearnerStatus,
    MemoryOfLearner,
    MetricsRow,
    ProgressStatus,
    RunStatus,
)


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
