"""Who is alive and makes no progress, in words: stalled since when, and what it last did."""

from __future__ import annotations

from typing import NamedTuple

from zdqn.wire.status import (
    STANDSTILL_S,
    CollectorStatistics,
    EvaluatorStatistics,
    RoleStatistics,
    RunStatus,
)

_ENVIRONMENT = "a step or reset of its environment has not come back"


class Stall(NamedTuple):
    """That somebody makes no progress.

    Attributes:
        stalled_s: for how many seconds.
        last: what it last did, as in ``after 9,001 environment steps``.
        why: what has not come back, as a sentence without its end.
    """

    stalled_s: float
    last: str
    why: str

    def describe(self) -> str:
        """Give it as a part of a sentence that begins with a name and ``is`` or ``has been``."""
        return f"stalled for {self.stalled_s:.0f} s, {self.last}: {self.why}"


def find_stall(told: RoleStatistics | RunStatus) -> Stall | None:
    """Say whether somebody is stalled, from what it tells, or its server tells of it.

    Args:
        told: statistics of a collector or an evaluator, or the run of a learner.
    """
    if isinstance(told, RunStatus):
        if told.stalled_s < STANDSTILL_S:
            return None
        return Stall(told.stalled_s, told.last_did, "its training thread does not go on")
    if not isinstance(told, CollectorStatistics | EvaluatorStatistics):
        return None
    if told.idle_s < STANDSTILL_S:
        return None
    last = f"after {told.environment_steps:,} environment steps"
    if isinstance(told, EvaluatorStatistics):
        last = f"{told.doing}, {last}"
    return Stall(told.idle_s, last, _ENVIRONMENT)
