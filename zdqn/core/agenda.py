"""What is due in a training: publications, snapshots, checkpoints, reports, and its end.

A function of counters and of a time that is passed in: no clock, no I/O. The learner's loop and
single-process training carry out what is decided here, and decide nothing of it themselves. When
the target network follows is part of an update, in `zdqn.core.trainer`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from zdqn.core.publication_pace import PublicationPace
from zdqn.core.report_pace import ReportPace


class Counters(NamedTuple):
    """How far a training is.

    Attributes:
        environment_steps: of all collectors.
        updates: of the learner.
        episodes: of all collectors.
        transitions: stored.
        evaluation_return: mean return of the newest evaluation, or None.
    """

    environment_steps: int = 0
    updates: int = 0
    episodes: int = 0
    transitions: int = 0
    evaluation_return: float | None = None


class Due(NamedTuple):
    """What is to be done now.

    Attributes:
        publish: broadcast the current weights as a new version.
        republish: broadcast the published weights again, for those who missed them.
        snapshot: freeze the current weights for an evaluation.
        checkpoint: save all that training needs to go on.
        report: write a row of metrics.
    """

    publish: bool = False
    republish: bool = False
    snapshot: bool = False
    checkpoint: bool = False
    report: bool = False


NOTHING = Due()
"""Nothing is due: mostly."""


@dataclass(frozen=True)
class Limits:
    """When training ends: at the first of these that is reached; 0 (or None) means never.

    Attributes:
        updates: of the learner.
        environment_steps: of all collectors.
        episodes: of all collectors.
        wall_s: seconds of training.
        evaluation_return: mean return of one evaluation.
    """

    updates: int = 0
    environment_steps: int = 0
    episodes: int = 0
    wall_s: float = 0.0
    evaluation_return: float | None = None


@dataclass(frozen=True)
class Periods:
    """How often things are done; 0 means never.

    Attributes:
        publish_updates: updates between two publications.
        republish_s: seconds after which unchanged weights are published again.
        snapshot_environment_steps: environment steps between two snapshots.
        snapshot_updates: updates between two snapshots.
        snapshot_episodes: episodes between two snapshots.
        checkpoint_updates: a checkpoint is due at each multiple of this many updates.
        report_s: seconds between two rows of metrics, fewer as learning begins: see `ReportPace`.
    """

    publish_updates: int = 0
    republish_s: float = 0.0
    snapshot_environment_steps: int = 0
    snapshot_updates: int = 0
    snapshot_episodes: int = 0
    checkpoint_updates: int = 0
    report_s: float = 0.0


class Agenda:
    """Says what is due, once each time: whoever asks is to do it.

    ::

        while not (reason := agenda.end(now_s, counters)):
            ...
            due = agenda.due(now_s, counters)

    Weights are to be published, and a snapshot of the untrained network is to be taken, at the
    first question; the time until the first report, and the updates until the first checkpoint,
    count from there.

    Args:
        periods: how often things are done.
        limits: when training ends.
        pace: how often weights can be published; None sets no limit.

    Attributes:
        snapshot_updates: updates at the last snapshot; -1 before the first.
    """

    def __init__(
        self, periods: Periods, limits: Limits, pace: PublicationPace | None = None
    ) -> None:
        self._periods = periods
        self._pace = pace
        self._limits = limits
        self._began = False
        self._published_updates = 0
        self._published_s = 0.0
        self._reports = ReportPace(periods.report_s)
        self._checkpoints = 0
        self._snapshot_at: Counters | None = None
        self._takes_snapshots = any(
            (
                periods.snapshot_environment_steps,
                periods.snapshot_updates,
                periods.snapshot_episodes,
            )
        )

    @property
    def snapshot_updates(self) -> int:
        """Updates at the last snapshot; -1 before the first."""
        return self._snapshot_at.updates if self._snapshot_at is not None else -1

    def due(self, now_s: float, counters: Counters) -> Due:
        """Say what is due now; what this names counts as done.

        Args:
            now_s: seconds of training so far, earlier starts included.
            counters: how far it is.

        Returns:
            What is to be done; `NOTHING` itself when nothing is.
        """
        first = not self._began
        if first:
            self._begin(now_s, counters)
        publish = self._publish_is_due(first, now_s, counters.updates)
        republish = not publish and self._republish_is_due(now_s)
        snapshot = self._snapshot_is_due(counters)
        checkpoint = self._checkpoint_is_due(counters.updates)
        report = self._reports.is_due(now_s, counters.updates)
        if publish or republish or snapshot or checkpoint or report:
            return Due(publish, republish, snapshot, checkpoint, report)
        return NOTHING

    def end(self, now_s: float, counters: Counters) -> str:
        """Name the first end condition that is met; "" if none is.

        Args:
            now_s: seconds of training so far, earlier starts included.
            counters: how far it is.

        Returns:
            The name of one of the `Limits`.
        """
        limits = self._limits
        goal, reached = limits.evaluation_return, counters.evaluation_return
        if goal is not None and reached is not None and reached >= goal:
            return "evaluation_return"
        checks = (
            (limits.updates, counters.updates, "updates"),
            (limits.environment_steps, counters.environment_steps, "environment_steps"),
            (limits.episodes, counters.episodes, "episodes"),
            (limits.wall_s, now_s, "wall_s"),
        )
        return next((name for limit, value, name in checks if limit and value >= limit), "")

    def updates_left(self, updates: int) -> int | None:
        """Give how many updates are still to be made; None if nothing limits them.

        Args:
            updates: made so far.
        """
        limit = self._limits.updates
        return max(limit - updates, 0) if limit else None

    def updates_until_due(
        self, now_s: float, counters: Counters, update_s: float = 0.0
    ) -> int | None:
        """Give how many updates can be made before something may be due that depends on them.

        Args:
            now_s: seconds of training so far, earlier starts included.
            counters: how far training is.
            update_s: that an update takes, >= 0; 0 if that is not known.

        Returns:
            At least 1, as what is due is asked for after an update; None for any number.
        """
        updates, periods = counters.updates, self._periods
        until: list[int] = []
        if periods.publish_updates:
            until.append(self._updates_until_publication(now_s, updates, update_s))
        if periods.checkpoint_updates:
            until.append((self._checkpoints + 1) * periods.checkpoint_updates - updates)
        if self._limits.updates:
            until.append(self._limits.updates - updates)
        if self._takes_snapshots:
            until.append(self._updates_until_snapshot(counters))
        # What has been due for a while waits for its time, and not for a number of updates.
        ahead = [count for count in until if count > 0]
        return min(ahead, default=None)

    def _updates_until_publication(self, now_s: float, updates: int, update_s: float) -> int:
        """Give how many updates it takes until both enough of them and enough time have passed."""
        count = self._published_updates + self._periods.publish_updates - updates
        left_s = self._published_s + self._publish_interval_s - now_s
        return max(count, math.ceil(left_s / update_s)) if left_s > 0 and update_s > 0 else count

    @property
    def _publish_interval_s(self) -> float:
        return self._pace.interval_s if self._pace is not None else 0.0

    def _updates_until_snapshot(self, counters: Counters) -> int:
        last, periods = self._snapshot_at, self._periods
        if last is None:
            return 1
        if self._reaches_snapshot(last, counters):
            return 1
        if not periods.snapshot_updates:
            return 0
        return last.updates + periods.snapshot_updates - counters.updates

    def takes_last_snapshot(self, reason: str, updates: int) -> bool:
        """Whether the final weights are to be evaluated too.

        Args:
            reason: what `end` named.
            updates: made so far.

        Returns:
            False if they were, or if an evaluation of weights just before them ended training.
        """
        return bool(reason) and reason != "evaluation_return" and self.snapshot_updates != updates

    def note_snapshot(self, counters: Counters) -> None:
        """Take note of a snapshot that was not due, such as the last one."""
        self._snapshot_at = counters

    def _begin(self, now_s: float, counters: Counters) -> None:
        self._began = True
        self._reports.begin(now_s, counters.updates)
        period = self._periods.checkpoint_updates
        self._checkpoints = counters.updates // period if period else 0

    def _publish_is_due(self, first: bool, now_s: float, updates: int) -> bool:
        period = self._periods.publish_updates
        if not period:
            return False
        enough = updates - self._published_updates >= period
        waited_s = now_s - self._published_s
        if not (first or (enough and waited_s >= self._publish_interval_s)):
            return False
        self._published_updates, self._published_s = updates, now_s
        return True

    def _republish_is_due(self, now_s: float) -> bool:
        period_s = self._periods.republish_s
        if not period_s or now_s - self._published_s <= period_s:
            return False
        self._published_s = now_s
        return True

    def _snapshot_is_due(self, counters: Counters) -> bool:
        if not self._takes_snapshots:
            return False
        if self._snapshot_at is not None and not self._reaches_snapshot(
            self._snapshot_at, counters
        ):
            return False
        self._snapshot_at = counters
        return True

    def _reaches_snapshot(self, last: Counters, counters: Counters) -> bool:
        steps, updates = self._periods.snapshot_environment_steps, self._periods.snapshot_updates
        episodes = self._periods.snapshot_episodes
        return bool(
            (steps and counters.environment_steps - last.environment_steps >= steps)
            or (updates and counters.updates - last.updates >= updates)
            or (episodes and counters.episodes - last.episodes >= episodes)
        )

    def _checkpoint_is_due(self, updates: int) -> bool:
        period = self._periods.checkpoint_updates
        if not period or updates // period <= self._checkpoints:
            return False
        self._checkpoints = updates // period
        return True
