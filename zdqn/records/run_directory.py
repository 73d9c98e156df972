"""Writes the files of a run."""

from __future__ import annotations

import csv
import json
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from zdqn.errors import FileError, what_went_wrong
from zdqn.records.replaced_files import replace_text
from zdqn.records.run_files import RunFiles, open_run_directory
from zdqn.records.snapshots import Evaluation
from zdqn.records.whole_lines import append_line, csv_line
from zdqn.wire.status import MetricsRow

_RUN_ID = re.compile(r"[\w.-]{1,100}-[0-9a-f]{8}", re.ASCII)
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
    "cut",
)


class RunDirectory(RunFiles):
    """Writes a run's files. Every line is flushed, so that a killed run keeps what it wrote.

    Args:
        path: the folder; made (for its owner alone) if it is missing.

    Raises:
        FileError: when it cannot be made or written to.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        open_run_directory(path)
        if not os.access(path, os.W_OK):
            raise FileError(f"The run directory {path} is not writable. Give another --run-dir.")

    def write_config(self, toml: str) -> None:
        """Write the resolved configuration."""
        replace_text(self.config, toml)

    def add_metrics(self, row: MetricsRow) -> None:
        """Append a line to ``metrics.jsonl``."""
        append_line(self.metrics, json.dumps(msgspec.structs.asdict(row)) + "\n")

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
            scores.cut,
        )
        append_line(self.evaluations, csv_line(row), header=csv_line(EVALUATION_COLUMNS))

    def evaluated_snapshots(self) -> list[int]:
        """Give the numbers of the snapshots in ``evaluations.csv``; what is damaged is left out."""
        try:
            with self.evaluations.open(newline="", encoding="utf-8", errors="replace") as file:
                numbers = [row[0] for row in csv.reader(file) if row]
        except (OSError, csv.Error):
            return []
        return [int(number) for number in numbers if number.isdecimal()]

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write ``summary.json``."""
        replace_text(self.summary, json.dumps(summary, indent=2) + "\n")

    def run_id(self, *, anew: bool = False) -> str:
        """Give the run's identity: made once, by chance, and kept with the run.

        Two runs never have the same, whatever their folders are called; a run that goes on in its
        folder keeps its own.

        Args:
            anew: for a run that takes the place of the one in the folder.

        Raises:
            FileError: when it cannot be read or written.
        """
        path = self.identity
        try:
            there = path.exists() and not anew
            known = path.read_text(encoding="utf-8").strip() if there else ""
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(
                f"Cannot read {path}, which tells this run from others: {what_went_wrong(error)}. "
                f"Restore it, or start a new run directory."
            ) from error
        if known and _RUN_ID.fullmatch(known) is None:
            raise FileError(
                f"{path} holds {known[:80]!r}, which is no identity of a run. Restore it, or start "
                f"a new run directory."
            )
        if not known:
            name = re.sub(r"[^\w.-]+", "-", self.path.resolve().name, flags=re.ASCII)[:100]
            known = f"{name or 'run'}-{secrets.token_hex(4)}"
            replace_text(path, f"{known}\n")
        return known

    def next_learner_epoch(self) -> int:
        """Count this start of a learner, on disk before anything is published with it."""
        path = self.learner_epoch
        try:
            epoch = int(path.read_text()) + 1 if path.exists() else 1
        except (OSError, ValueError) as error:
            raise FileError(
                f"Cannot read {path}, which counts the starts of this run's learner: "
                f"{what_went_wrong(error)}. Restore it, or start a new run directory."
            ) from error
        replace_text(path, f"{epoch}\n")
        return epoch
