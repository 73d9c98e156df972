"""The numbers of a training: rows of metrics, rates, the best evaluation, and the summary."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zdqn.core.agenda import Counters
from zdqn.records.snapshots import Evaluation
from zdqn.rl.staleness import Staleness
from zdqn.wire.status import CollectorStatistics, MetricsRow

if TYPE_CHECKING:
    from zdqn.rl.update_rule import Update


class Metrics:
    """Counts and times what a learner does.

    Attributes:
        best_return: the highest mean return of an evaluation so far, or None.
        last_return: that of the newest evaluation, or None.
        evaluations: how many there were.
    """

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._earlier_s = 0.0
        self._last_row_s = time.monotonic()
        self._first = self._last = Counters()
        self.staleness = Staleness()
        self.best_return: float | None = None
        self.last_return: float | None = None
        self.evaluations = 0

    @property
    def wall_s(self) -> float:
        """Seconds of training, earlier starts included."""
        return self._earlier_s + time.monotonic() - self._started_s

    def state_dict(self) -> dict[str, Any]:
        """Give all that a later start of the learner must know, as plain values."""
        return {
            "wall_s": self.wall_s,
            "last_return": self.last_return,
            "evaluations": self.evaluations,
        }

    def load_state_dict(
        self,
        state: dict[str, Any],
        counters: Counters,
        best_return: float | None,
        *,
        evaluations: int = 0,
    ) -> None:
        """Count on from where `state_dict` was taken.

        Args:
            state: what it gave.
            counters: at that moment.
            best_return: of the network that is kept as the best: that may be from later on.
            evaluations: that are known to have been made: that may be more.
        """
        self._first = self._last = counters
        self._earlier_s = state["wall_s"]
        self.best_return, self.last_return = best_return, state["last_return"]
        self.evaluations = max(state["evaluations"], evaluations)

    def add_evaluation(self, evaluation: Evaluation) -> bool:
        """Take note of an evaluation; True if it is the best so far."""
        self.evaluations += 1
        self.last_return = evaluation.scores.mean
        if self.best_return is None or self.last_return > self.best_return:
            self.best_return = self.last_return
            return True
        return False

    def row(
        self,
        counters: Counters,
        *,
        update: Update | None,
        collectors: Sequence[CollectorStatistics],
    ) -> MetricsRow:
        """Make a row of metrics.

        Args:
            counters: how far training is.
            update: the newest, or None.
            collectors: last statistics of the living ones.

        Returns:
            Numbers by name; None where there is none yet.
        """
        now_s = time.monotonic()
        elapsed_s = max(now_s - self._last_row_s, 1e-9)
        last, self._last, self._last_row_s = self._last, counters, now_s
        return MetricsRow(
            wall_s=round(self.wall_s, 3),
            environment_steps=counters.environment_steps,
            transitions=counters.transitions,
            updates=counters.updates,
            episodes=counters.episodes,
            environment_steps_per_s=round(
                (counters.environment_steps - last.environment_steps) / elapsed_s, 1
            ),
            updates_per_s=round((counters.updates - last.updates) / elapsed_s, 1),
            loss=_number(update.loss if update else None),
            td_error_mean=_number(update.priorities.mean() if update else None),
            q_mean=_number(update.metrics.get("q_mean") if update else None),
            gradient_norm=_number(update.gradient_norm if update else None),
            staleness_mean=round(self.staleness.mean, 3),
            epsilon=_mean(collector.epsilon for collector in collectors),
            episode_return_mean=_mean(collector.episode_return_mean for collector in collectors),
            last_evaluation_return=self.last_return,
            best_evaluation_return=self.best_return,
        )

    def summary(self, counters: Counters, stop_reason: str) -> dict[str, Any]:
        """Make the part of the summary that every kind of run has.

        Args:
            counters: how far training came.
            stop_reason: why it ended.
        """
        elapsed_s = max(self.wall_s - self._earlier_s, 1e-9)
        first = self._first
        steps_per_s = (counters.environment_steps - first.environment_steps) / elapsed_s
        updates_per_s = (counters.updates - first.updates) / elapsed_s
        return {
            "environment_steps": counters.environment_steps,
            "transitions": counters.transitions,
            "updates": counters.updates,
            "episodes": counters.episodes,
            "wall_s": round(self.wall_s, 3),
            "stop_reason": stop_reason,
            "best_evaluation_return": self.best_return,
            "final_evaluation_return": self.last_return,
            "evaluations": self.evaluations,
            "environment_steps_per_s": round(steps_per_s, 1),
            "updates_per_s": round(updates_per_s, 1),
            "staleness_mean": round(self.staleness.mean, 4),
        }


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if np.isfinite(number) else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None
