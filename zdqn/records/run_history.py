"""What a run's files say of how it went so far, read while they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import msgspec

from zdqn.records.table_tails import TableTails

_MOST_POINTS = 512
_MOST_ROWS = 20


class ScoreRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``evaluations.csv``, as far as it is shown.

    Attributes:
        environment_steps: of all collectors when the snapshot was taken.
        mean: return.
        deviation: of the returns.
        minimum: return.
        maximum: return.
    """

    environment_steps: int
    mean: float
    deviation: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class History:
    """How a run went so far.

    Attributes:
        returns: environment steps and the mean return of the collectors' last episodes.
        scores: environment steps and the mean return of evaluations.
        newest: the last evaluations.
        best: the one with the highest mean; None before the first.
        evaluations: how many there were.
    """

    returns: tuple[tuple[float, float], ...] = ()
    scores: tuple[tuple[float, float], ...] = ()
    newest: tuple[ScoreRow, ...] = ()
    best: ScoreRow | None = None
    evaluations: int = 0


class _MetricsPoint(msgspec.Struct):
    environment_steps: int = 0
    episode_return_mean: float | None = None


class BoundedCurve:
    """Points of a curve, of which two become one when there are too many.

    Args:
        most: points kept, even, >= 2.
    """

    def __init__(self, most: int = _MOST_POINTS) -> None:
        self._most = most
        self._together = 1
        self._begun: list[tuple[float, float]] = []
        self._points: list[tuple[float, float]] = []

    def add(self, x: float, y: float) -> None:
        """Add a point at the end."""
        self._begun.append((x, y))
        if len(self._begun) < self._together:
            return
        self._points.append(_mean(self._begun))
        self._begun = []
        if len(self._points) >= self._most:
            pairs = zip(self._points[::2], self._points[1::2], strict=False)
            self._points = [_mean(pair) for pair in pairs]
            self._together *= 2

    def points(self) -> tuple[tuple[float, float], ...]:
        """Give the points; the last may be the mean of those that are still to come together."""
        return (*self._points, _mean(self._begun)) if self._begun else tuple(self._points)


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return points[-1][0], sum(y for _, y in points) / len(points)


class HistoryReader:
    """Reads metrics and evaluations of a run as they are added.

    Files that are missing are empty, lines that are damaged are left out: a display does not fail.

    Args:
        run_directory: of the run.
    """

    def __init__(self, run_directory: Path) -> None:
        self._tails = TableTails(run_directory, metrics=_MetricsPoint, evaluations=ScoreRow)
        self._forget()

    def _forget(self) -> None:
        self._returns, self._scores = BoundedCurve(), BoundedCurve()
        self._newest: list[ScoreRow] = []
        self._best: ScoreRow | None = None
        self._count = 0

    def read(self) -> History:
        """Take what has been added, and give everything."""
        if self._tails.begin_again():
            self._forget()
        for point in self._tails.metrics():
            if point.episode_return_mean is not None:
                self._returns.add(point.environment_steps, point.episode_return_mean)
        for row in self._tails.evaluations():
            self._add_evaluation(row)
        return History(
            returns=self._returns.points(),
            scores=self._scores.points(),
            newest=tuple(self._newest),
            best=self._best,
            evaluations=self._count,
        )

    def _add_evaluation(self, row: ScoreRow) -> None:
        if not isfinite(row.mean):
            return
        self._count += 1
        self._scores.add(row.environment_steps, row.mean)
        self._newest = [*self._newest, row][-_MOST_ROWS:]
        if self._best is None or row.mean > self._best.mean:
            self._best = row
