"""A run of Weights & Biases, kept in the run directory; ``wandb sync`` sends it on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zdqn.config import Config, flatten
from zdqn.core.agenda import Counters
from zdqn.errors import FileError
from zdqn.records.sink_names import metrics_by_name, scores_by_name
from zdqn.records.sinks import GOES_ON_FROM, OwnSink
from zdqn.records.snapshots import Evaluation
from zdqn.wire.status import MetricsRow

_STEP = "environment_steps"
"""What curves are drawn over: evaluations come later than rows that are newer."""


class WandbSink(OwnSink):
    """Tells the client of W&B, which writes and, unless it is offline, sends from its own process.

    Args:
        run_directory: in whose ``wandb/`` it writes; the run has the folder's name.
    """

    def __init__(self, run_directory: Path) -> None:
        self._directory = run_directory
        self._run: Any = None
        self._goes_on_from: dict[str, int] = {}

    def go_on_from(self, counters: Counters) -> None:
        """Take note of it for the configuration: the run is a new one, which begins there."""
        self._goes_on_from = {GOES_ON_FROM: counters.environment_steps}

    def begin(self, config: Config) -> None:
        """Begin a run, with the configuration.

        Raises:
            FileError: when the client cannot.
        """
        import wandb

        with _named("begin a run"):
            self._run = wandb.init(
                project="zdqn",
                name=self._directory.resolve().name,
                dir=str(self._directory),
                config={**flatten(config), **self._goes_on_from},
                mode=os.environ.get("WANDB_MODE") or "offline",
                settings=wandb.Settings(silent=True, console="off"),
            )
            self._run.define_metric("*", step_metric=_STEP)

    def add_metrics(self, row: MetricsRow) -> None:
        """Tell a row.

        Raises:
            FileError: when the client does not take it.
        """
        self._log(row.environment_steps, metrics_by_name(row))

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Tell scores, at the step at which their snapshot was taken.

        Raises:
            FileError: when the client does not take them.
        """
        self._log(evaluation.snapshot.environment_steps, scores_by_name(evaluation))

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Tell how the run ended, and end it there.

        Raises:
            FileError: when the client does not take it.
        """
        if self._run is not None:
            with _named("take the summary"):
                self._run.summary.update(dict(summary))
                self._finish(0)

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        if self._run is not None:
            with _named("take numbers"):
                self._run.log({_STEP: step, **values})

    def _finish(self, exit_code: int) -> None:
        run, self._run = self._run, None
        run.finish(exit_code=exit_code)

    def close(self) -> None:
        """End the run as one that has failed, if it has not ended."""
        if self._run is not None:
            self._finish(1)


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # its classes are many, and it may have none installed
        raise FileError(
            f"sinks.wandb: W&B's client did not {what}: {type(error).__name__}: {error}."
        ) from error
