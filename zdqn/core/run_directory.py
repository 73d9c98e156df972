"""The files of a run: metrics, evaluations, summary, and what makes a restart newer."""

from __future__ import annotations

import csv
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from zdqn.core.snapshots import Evaluation
from zdqn.errors import FileError

EVALUATION_COLUMNS = (
    "snapshot",
    "environment_steps",
    "updates",
    "episodes_trained",
    "wall_s",
    "mean",
    "deviation",
    "minimum",
    "maximum",
    "length_mean",
    "episodes",
    "duration_s",
    "evaluator",
)


class RunDirectory:
    """Writes a run's files. Every line is flushed, so that a killed run keeps what it wrote.

    Args:
        path: the folder; made (for its owner alone) if it is missing.

    Raises:
        FileError: when it cannot be made or written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(path, os.W_OK):
                raise FileError(
                    f"The run directory {path} is not writable. Give another --run-dir."
                )
        except OSError as error:
            raise FileError(
                f"Cannot make the run directory {path}: {error.strerror}. Give another --run-dir."
            ) from error

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint with the best evaluation."""
        return self.path / "best.pt"

    def write_config(self, toml: str) -> None:
        """Write the resolved configuration."""
        self._replace("config.toml", toml)

    def add_metrics(self, row: dict[str, Any]) -> None:
        """Append a line to ``metrics.jsonl``."""
        self._append("metrics.jsonl", json.dumps(row) + "\n")

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Append a row to ``evaluations.csv``."""
        snapshot, scores = evaluation.snapshot, evaluation.scores
        row = (
            snapshot.number,
            snapshot.environment_steps,
            snapshot.updates,
            snapshot.episodes,
            round(snapshot.wall_s, 3),
            scores.mean,
            scores.deviation,
            min(scores.returns),
            max(scores.returns),
            sum(scores.lengths) / len(scores.lengths),
            len(scores.returns),
            round(evaluation.duration_s, 3),
            evaluation.evaluator,
        )
        path = self.path / "evaluations.csv"
        new = not path.exists()
        try:
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                if new:
                    writer.writerow(EVALUATION_COLUMNS)
                writer.writerow(row)
        except OSError as error:
            raise self._unwritable("evaluations.csv", error) from error

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write ``summary.json``."""
        self._replace("summary.json", json.dumps(summary, indent=2) + "\n")

    def next_learner_epoch(self) -> int:
        """Count this start of a learner, on disk before anything is published with it."""
        path = self.path / "learner_epoch"
        try:
            epoch = int(path.read_text()) + 1 if path.exists() else 1
        except (OSError, ValueError) as error:
            raise FileError(
                f"Cannot read {path}, which counts the starts of this run's learner: {error}. "
                f"Restore it, or start a new run directory."
            ) from error
        self._replace("learner_epoch", f"{epoch}\n")
        return epoch

    def _append(self, name: str, text: str) -> None:
        try:
            with (self.path / name).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise self._unwritable(name, error) from error

    def _replace(self, name: str, text: str) -> None:
        path = self.path / name
        temporary = path.with_name(f".{name}.{os.getpid()}")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise self._unwritable(name, error) from error

    def _unwritable(self, name: str, error: OSError) -> FileError:
        return FileError(f"Cannot write {self.path / name}: {error.strerror}.")
