"""The columns of a run's tables as they grow, in no more rows than a picture has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import msgspec

from zdqn.records.run_history import ScoreRow
from zdqn.records.table_tails import TableTails
from zdqn.wire.status import MetricsRow

PROGRESS = ("environment_steps", "wall_s", "updates")
"""What a curve can be drawn over: columns that only go up within one start of a run."""

MOST_ROWS = 400
_NEWEST = 20

Columns = Mapping[str, Sequence[float | None]]
"""Name to values, all of one length; None where there is none."""


class EvaluationRow(ScoreRow, frozen=True):
    """A row of ``evaluations.csv``, as far as a curve or a table shows it.

    Attributes:
        wall_s: seconds of training when the snapshot was taken.
        updates: of the learner then.
        episodes: that were played.
        length_mean: of those, in steps.
        evaluator: who played them.
    """

    wall_s: float = 0.0
    updates: int = 0
    episodes: int = 0
    length_mean: float = 0.0
    evaluator: str = ""


@dataclass(frozen=True)
class Series:
    """How a run went so far, by columns.

    Attributes:
        version: another one each time that anything was added.
        metrics: columns of ``metrics.jsonl``.
        evaluations: ``mean``, ``minimum`` and ``maximum`` of each evaluation, over `PROGRESS`.
        last: the newest row of metrics; None before the first.
        newest: the last evaluations, oldest first.
        best: the one with the highest mean; None before the first.
        count: how many evaluations there were.
    """

    version: int = 0
    metrics: Columns = field(default_factory=dict)
    evaluations: Columns = field(default_factory=dict)
    last: MetricsRow | None = None
    newest: tuple[EvaluationRow, ...] = ()
    best: EvaluationRow | None = None
    count: int = 0


class BoundedTable:
    """Rows of numbers over the progress of training, of which two become one where there are many.

    Of rows that become one each progress is the last's, and any other number the mean of those
    that are known. A row that is behind the last one, as after a run went on from a checkpoint,
    takes the place of all that it has overtaken.

    Args:
        columns: names of the numbers, besides `PROGRESS`.
        most: rows kept, even, >= 2.
    """

    def __init__(self, columns: Sequence[str], most: int = MOST_ROWS) -> None:
        self._columns = tuple(columns)
        self._most = most
        self._together = 1
        self._begun: list[_Row] = []
        self._rows: list[_Row] = []

    def add(self, progress: Sequence[float], values: Sequence[float | None]) -> None:
        """Add a row.

        Args:
            progress: as `PROGRESS` names it.
            values: as the columns are named; what is no finite number is unknown.
        """
        known = tuple(value if value is not None and isfinite(value) else None for value in values)
        row = _Row(tuple(progress), known)
        for kept in (self._begun, self._rows):
            while kept and kept[-1].progress[0] > row.progress[0]:
                kept.pop()
        self._begun.append(row)
        if len(self._begun) < self._together:
            return
        self._rows.append(_mean(self._begun))
        self._begun = []
        if len(self._rows) >= self._most:
            pairs = zip(self._rows[::2], self._rows[1::2], strict=False)
            self._rows = [_mean(pair) for pair in pairs]
            self._together *= 2

    def columns(self) -> dict[str, list[float | None]]:
        """Give the columns; their last row may be the mean of those that are still to come."""
        rows = [*self._rows, _mean(self._begun)] if self._begun else self._rows
        names = (*PROGRESS, *self._columns)
        return {name: [row.all[place] for row in rows] for place, name in enumerate(names)}


class _Row(msgspec.Struct, frozen=True):
    progress: tuple[float, ...]
    values: tuple[float | None, ...]

    @property
    def all(self) -> tuple[float | None, ...]:
        return (*self.progress, *self.values)


def _mean(rows: Sequence[_Row]) -> _Row:
    if len(rows) == 1:
        return rows[0]
    means = []
    for column in zip(*(row.values for row in rows), strict=True):
        known = [value for value in column if value is not None]
        means.append(sum(known) / len(known) if known else None)
    return _Row(rows[-1].progress, tuple(means))


_METRICS = tuple(name for name in MetricsRow.__struct_fields__ if name not in PROGRESS)
_SCORES = ("mean", "minimum", "maximum")


class SeriesTables:
    """Puts a run's series together, row by row.

    Attributes:
        version: counts what was added.
    """

    def __init__(self) -> None:
        self.version = 0
        self._metrics, self._scores = BoundedTable(_METRICS), BoundedTable(_SCORES)
        self._last: MetricsRow | None = None
        self._newest: list[EvaluationRow] = []
        self._best: EvaluationRow | None = None
        self._count = 0

    def add_metrics(self, row: MetricsRow) -> None:
        """Add a row of metrics."""
        self._last = row
        self._metrics.add(_of(row, PROGRESS), _of(row, _METRICS))
        self.version += 1

    def add_evaluation(self, row: EvaluationRow) -> None:
        """Add an evaluation; one without a finite mean is left out."""
        if not isfinite(row.mean):
            return
        self._count += 1
        self._scores.add(_of(row, PROGRESS), _of(row, _SCORES))
        self._newest = [*self._newest, row][-_NEWEST:]
        if self._best is None or row.mean > self._best.mean:
            self._best = row
        self.version += 1

    def series(self) -> Series:
        """Give everything that was added so far."""
        return Series(
            version=self.version,
            metrics=self._metrics.columns(),
            evaluations=self._scores.columns(),
            last=self._last,
            newest=tuple(self._newest),
            best=self._best,
            count=self._count,
        )


def _of(row: msgspec.Struct, names: Sequence[str]) -> list[float]:
    return [getattr(row, name) for name in names]


class SeriesReader:
    """Reads metrics and evaluations of a run as they are added.

    Files that are missing are empty, lines that are damaged are left out: a picture does not fail.

    Args:
        run_directory: of the run.
    """

    def __init__(self, run_directory: Path) -> None:
        self._tails = TableTails(run_directory, metrics=MetricsRow, evaluations=EvaluationRow)
        self._tables = SeriesTables()
        self._series = self._tables.series()

    def read(self) -> Series:
        """Take what has been added, and give everything."""
        if self._tails.begin_again():
            began = self._tables.version + 1
            self._tables = SeriesTables()
            self._tables.version = began
        for metrics in self._tails.metrics():
            self._tables.add_metrics(metrics)
        for evaluation in self._tails.evaluations():
            self._tables.add_evaluation(evaluation)
        if self._tables.version != self._series.version:
            self._series = self._tables.series()
        return self._series
