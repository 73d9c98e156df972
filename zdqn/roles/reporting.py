"""The learner's numbers: rows of metrics, the status, the summary."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from zdqn.core.snapshots import Evaluation
from zdqn.rl.staleness import Staleness

if TYPE_CHECKING:
    from zdqn.rl.optimizer import Update


class Reporter:
    """Counts and times what a learner does.

    Args:
        report_period_s: seconds between two rows of metrics.

    Attributes:
        best_return: the highest mean return of an evaluation so far, or None.
        last_return: that of the newest evaluation, or None.
        evaluations: how many there were.
    """

    def __init__(self, report_period_s: float) -> None:
        self._period_s = report_period_s
        self._started_s = time.monotonic()
        self._earlier_s = 0.0
        self._last_row_s = time.monotonic()
        self._last_counts = (0, 0)
        self._first_counts = (0, 0)
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
            "best_return": self.best_return,
            "last_return": self.last_return,
            "evaluations": self.evaluations,
        }

    def load_state_dict(self, state: dict[str, Any], environment_steps: int, updates: int) -> None:
        """Count on from where `state_dict` was taken.

        Args:
            state: what it gave.
            environment_steps: at that moment.
            updates: at that moment.
        """
        self._first_counts = self._last_counts = (environment_steps, updates)
        self._earlier_s = state["wall_s"]
        self.best_return, self.last_return = state["best_return"], state["last_return"]
        self.evaluations = state["evaluations"]

    def due(self) -> bool:
        """Whether a row of metrics is due."""
        return time.monotonic() - self._last_row_s >= self._period_s

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
        *,
        environment_steps: int,
        transitions: int,
        updates: int,
        episodes: int,
        update: Update | None,
        collectors: Iterable[dict[str, int | float | str | bool]],
    ) -> dict[str, Any]:
        """Make a row of metrics.

        Args:
            environment_steps: of all collectors.
            transitions: stored.
            updates: of the learner.
            episodes: of all collectors.
            update: the newest, or None.
            collectors: last statistics of the living ones.

        Returns:
            Numbers by name; None where there is none yet.
        """
        now_s = time.monotonic()
        elapsed_s = max(now_s - self._last_row_s, 1e-9)
        steps_before, updates_before = self._last_counts
        self._last_row_s, self._last_counts = now_s, (environment_steps, updates)
        returns = _mean_of(collectors, "episode_return_mean")
        return {
            "wall_s": round(self.wall_s, 3),
            "environment_steps": environment_steps,
            "transitions": transitions,
            "updates": updates,
            "episodes": episodes,
            "environment_steps_per_s": round((environment_steps - steps_before) / elapsed_s, 1),
            "updates_per_s": round((updates - updates_before) / elapsed_s, 1),
            "loss": _number(update.loss if update else None),
            "td_error_mean": _number(update.priorities.mean() if update else None),
            "q_mean": _number(update.metrics.get("q_mean") if update else None),
            "gradient_norm": _number(update.gradient_norm if update else None),
            "staleness_mean": round(self.staleness.mean, 3),
            "epsilon": _mean_of(collectors, "epsilon"),
            "episode_return_mean": returns,
            "last_evaluation_return": self.last_return,
            "best_evaluation_return": self.best_return,
        }

    def summary(
        self,
        *,
        environment_steps: int,
        transitions: int,
        updates: int,
        episodes: int,
        stop_reason: str,
    ) -> dict[str, Any]:
        """Make the part of the summary that every kind of run has.

        Args:
            environment_steps: of all collectors.
            transitions: stored.
            updates: of the learner.
            episodes: of all collectors.
            stop_reason: why training ended.
        """
        steps_per_s, updates_per_s = self._rates(environment_steps, updates)
        return {
            "environment_steps": environment_steps,
            "transitions": transitions,
            "updates": updates,
            "episodes": episodes,
            "wall_s": round(self.wall_s, 3),
            "stop_reason": stop_reason,
            "best_evaluation_return": self.best_return,
            "final_evaluation_return": self.last_return,
            "evaluations": self.evaluations,
            "environment_steps_per_s": round(steps_per_s, 1),
            "updates_per_s": round(updates_per_s, 1),
            "staleness_mean": round(self.staleness.mean, 4),
        }

    def _rates(self, environment_steps: int, updates: int) -> tuple[float, float]:
        """Give environment steps and updates per second of this start."""
        elapsed_s = max(self.wall_s - self._earlier_s, 1e-9)
        steps_before, updates_before = self._first_counts
        return (environment_steps - steps_before) / elapsed_s, (
            updates - updates_before
        ) / elapsed_s


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if np.isfinite(number) else None


def _mean_of(rows: Iterable[dict[str, int | float | str | bool]], key: str) -> float | None:
    values = [value for row in rows if isinstance(value := row.get(key), int | float)]
    return round(float(np.mean(values)), 4) if values else None
