"""The tables of a run, read by columns: its metrics and its evaluations."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.errors import FileError, what_went_wrong
from zdqn.records.run_directory import EVALUATION_COLUMNS
from zdqn.records.run_files import RunFiles
from zdqn.wire.status import MetricsRow

_TEXT = "evaluator"
_NEEDED = ("snapshot", "environment_steps", "mean")


def read_metrics(run_directory: Path) -> dict[str, NDArray[np.float64]]:
    """Read a run's ``metrics.jsonl``; a file that is missing counts as empty.

    Args:
        run_directory: of a run, which may go on.

    Returns:
        Name to values, shape (rows,), float64, in the order of the file; NaN where a value is
        absent. A line that is still being written is left out.

    Raises:
        FileError: when the file cannot be read.
    """
    path = RunFiles(run_directory).metrics
    try:
        rows = [json.loads(line) for line in _whole_lines(path)]
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError("a line that is no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error
    return _columns(rows, MetricsRow.__struct_fields__)


def read_evaluations(run_directory: Path) -> dict[str, NDArray[Any]]:
    """Read a run's ``evaluations.csv``; a file that is missing counts as empty.

    Args:
        run_directory: of a run, which may go on.

    Returns:
        Name to values, shape (rows,), by the number of the snapshot; float64, NaN where a value is
        absent, and text for ``"evaluator"``. A line that is still being written is left out.

    Raises:
        FileError: when the file cannot be read.
    """
    rows = _evaluations(run_directory)
    rows.sort(key=lambda row: row["snapshot"])
    columns: dict[str, NDArray[Any]] = {
        **_columns(rows, [name for name in EVALUATION_COLUMNS if name != _TEXT])
    }
    columns[_TEXT] = np.array([row[_TEXT] for row in rows], dtype=np.str_)
    return columns


def read_best_evaluation(run_directory: Path) -> dict[str, Any] | None:
    """Find the evaluation of the network that was kept as the best.

    Args:
        run_directory: of a run, which may go on.

    Returns:
        Its row of ``evaluations.csv``, name to value: that with the highest mean, the first of them
        that came; None if there is no finite mean.

    Raises:
        FileError: when the file cannot be read.
    """
    rows = [row for row in _evaluations(run_directory) if math.isfinite(row["mean"])]
    return max(rows, key=lambda row: float(row["mean"]), default=None)


def _evaluations(run_directory: Path) -> list[dict[str, Any]]:
    """Read the evaluations in the order in which they came."""
    path = RunFiles(run_directory).evaluations
    try:
        return [_evaluation(row) for row in csv.DictReader(_whole_lines(path))]
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _evaluation(row: Mapping[str, str | None]) -> dict[str, Any]:
    """Turn the words of a row into numbers.

    Raises:
        ValueError: when it is no row of evaluations.
    """
    known = {name: row.get(name) for name in EVALUATION_COLUMNS}
    for name in _NEEDED:
        if known[name] is None:
            raise ValueError(f"a row without {name}")
    return {
        name: (text or "") if name == _TEXT else math.nan if text is None else float(text)
        for name, text in known.items()
    }


def _columns(
    rows: Sequence[Mapping[str, Any]], known: Iterable[str]
) -> dict[str, NDArray[np.float64]]:
    names = {
        **dict.fromkeys(known),
        **{name: None for row in rows for name in row if name != _TEXT},
    }
    return {
        name: np.array([_number(row.get(name)) for row in rows], dtype=np.float64) for name in names
    }


def _number(value: Any) -> float:
    """Give a number; NaN for whatever is none."""
    return float(value) if isinstance(value, int | float) else math.nan


def _whole_lines(path: Path) -> list[str]:
    """Give the lines of a file that have an end, without what is empty; none if it is missing."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    *lines, _ = text.split("\n")
    return [line for line in lines if line.strip()]


def _unreadable(path: Path, error: BaseException) -> FileError:
    return FileError(f"Cannot read {path}: {what_went_wrong(error)}.")
