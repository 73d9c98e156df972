"""Which end condition a run will meet first, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from zdqn.wire.status import LimitsStatus, ProgressStatus


class NearestEnd(NamedTuple):
    """The end condition that will be met first.

    Attributes:
        name: "environment_steps", "updates", "episodes" or "wall_s".
        done: of it.
        limit: at which the run ends, > 0.
        left_s: seconds until then, as things go now; None if that cannot be said yet.
    """

    name: str
    done: float
    limit: float
    left_s: float | None

    @property
    def share(self) -> float:
        """How much of the way is done, in [0, 1]."""
        return min(max(self.done / self.limit, 0.0), 1.0)


def nearest_end(
    limits: LimitsStatus,
    progress: ProgressStatus,
    *,
    environment_steps: int,
    wall_s: float,
    rates: Mapping[str, float],
) -> NearestEnd | None:
    """Choose the end condition that will be met first.

    A goal for the evaluation is none of them: nobody knows when it will be met.

    Args:
        limits: the end conditions that are set.
        progress: of the learner.
        environment_steps: of all collectors, which may be newer.
        wall_s: seconds of training, likewise.
        rates: how often things happen a second, by name; what is not known is missing.

    Returns:
        The one with the least time left; where no time is known, the one that is nearest by its
        share. None if no limit is set.
    """
    ends = [
        NearestEnd(name, done, limit, _left_s(done, limit, rates.get(name)))
        for name, done, limit in (
            ("environment_steps", environment_steps, limits.environment_steps),
            ("updates", progress.updates, limits.updates),
            ("episodes", progress.episodes, limits.episodes),
        )
        if limit
    ]
    if limits.wall_s:
        left_s = max(limits.wall_s - wall_s, 0.0)
        ends.append(NearestEnd("wall_s", wall_s, limits.wall_s, left_s))
    timed = [end for end in ends if end.left_s is not None and end.name != "wall_s"]
    clock = [end for end in ends if end.name == "wall_s"]
    if timed:
        return min([*timed, *clock], key=lambda end: end.left_s or 0.0)
    return max(ends, key=lambda end: end.share, default=None)


def _left_s(done: float, limit: float, per_s: float | None) -> float | None:
    if done >= limit:
        return 0.0
    return (limit - done) / per_s if per_s else None
