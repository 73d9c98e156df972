"""Event files of a run, for TensorBoard: curves over environment steps, and the configuration."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zdqn.config import Config, to_toml
from zdqn.core.agenda import Counters
from zdqn.records.event_file import EventFile, encode_scalars, encode_text
from zdqn.records.sink_names import metrics_by_name, scores_by_name
from zdqn.records.sinks import OwnSink
from zdqn.records.snapshots import Evaluation
from zdqn.wire.status import MetricsRow


class TensorBoardSink(OwnSink):
    """Writes an event file for each start of a learner; the step is the run's environment steps.

    Args:
        run_directory: where.
        clock: seconds since 1970.
    """

    def __init__(self, run_directory: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = run_directory
        self._clock = clock
        self._file: EventFile | None = None
        self._step = 0
        self._first_step = 0

    def go_on_from(self, counters: Counters) -> None:
        """Have TensorBoard forget what was written from after a checkpoint."""
        self._step = counters.environment_steps
        self._first_step = self._step + 1  # what was told of the checkpoint's own step is not again

    def begin(self, config: Config) -> None:
        """Make the file, with the configuration as a text.

        Raises:
            FileError: when it cannot be written.
        """
        self._file = EventFile(self._folder, self._clock(), self._first_step)
        self._add_text("configuration", to_toml(config), "toml")

    def add_metrics(self, row: MetricsRow) -> None:
        """Write a row.

        Raises:
            FileError: when it cannot be written.
        """
        self._step = row.environment_steps
        self._add_scalars(row.environment_steps, metrics_by_name(row))

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Write scores, at the step at which their snapshot was taken.

        Raises:
            FileError: when it cannot be written.
        """
        self._add_scalars(evaluation.snapshot.environment_steps, scores_by_name(evaluation))

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write the summary as a text.

        Raises:
            FileError: when it cannot be written.
        """
        self._add_text("summary", json.dumps(summary, indent=2), "json")

    def _add_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        if self._file is not None:
            self._file.add(encode_scalars(self._clock(), step, scalars))

    def _add_text(self, tag: str, text: str, language: str) -> None:
        if self._file is not None:
            fenced = f"```{language}\n{text}\n```"
            self._file.add(encode_text(self._clock(), self._step, tag, fenced))
