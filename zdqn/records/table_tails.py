"""The rows that are added to a run's metrics and evaluations, while both are written."""

from __future__ import annotations

import csv
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from zdqn.records.file_tail import FileTail
from zdqn.records.run_files import RunFiles

M = TypeVar("M", bound=msgspec.Struct)
E = TypeVar("E", bound=msgspec.Struct)


class TableTails(Generic[M, E]):
    """Gives the rows that were added since the last look.

    Files that are missing are empty, lines that are damaged are left out: what shows a run does not
    fail of them.

    Args:
        run_directory: of the run.
        metrics: what a line of ``metrics.jsonl`` is read as.
        evaluations: what a line of ``evaluations.csv`` is read as, by the names of its columns.
    """

    def __init__(self, run_directory: Path, *, metrics: type[M], evaluations: type[E]) -> None:
        files = RunFiles(run_directory)
        self._metrics, self._evaluations = FileTail(files.metrics), FileTail(files.evaluations)
        self._decode = msgspec.json.Decoder(metrics).decode
        self._row = evaluations
        self._names: list[str] = []

    def begin_again(self) -> bool:
        """Whether other files have taken the place of one; the rows of both come anew then."""
        tails = (self._metrics, self._evaluations)
        others = [tail.is_another() for tail in tails]  # all are asked
        if not any(others):
            return False
        self._names = []
        for tail in tails:
            tail.start_again()
        return True

    def metrics(self) -> list[M]:
        """Give the new rows of metrics."""
        rows = []
        for line in self._metrics.lines():
            with suppress(msgspec.MsgspecError):
                rows.append(self._decode(line))
        return rows

    def evaluations(self) -> list[E]:
        """Give the new evaluations."""
        rows = []
        with suppress(csv.Error):
            for values in csv.reader(self._evaluations.lines()):
                if not self._names:
                    self._names = values
                    continue
                with suppress(ValueError, msgspec.ValidationError):
                    named = dict(zip(self._names, values, strict=True))
                    rows.append(msgspec.convert(named, self._row, strict=False))
        return rows
