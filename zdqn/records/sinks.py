"""Where the numbers of a run go: its directory, and whatever else takes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.records.snapshots import Evaluation
from zdqn.wire.status import MetricsRow


class TakesRows(Protocol):
    """Takes what a run writes down, as a `zdqn.records.run_directory.RunDirectory` does."""

    def add_metrics(self, row: MetricsRow) -> None:
        """Take a row of metrics."""

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Take the scores of a snapshot."""

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Take what there is to say at the end."""


class Sink(TakesRows, Protocol):
    """Takes what a run brings, as it comes.

    Subclass it and write the methods that you want; the others do nothing. They are called in the
    process and the thread that trains, which waits for them.

    A method may raise `zdqn.errors.FileError`: it is logged, training goes on, and what it did not
    take is missing there. That of `write_summary` is raised once all have been told. Any other
    error ends the training.
    """

    def begin(self, config: Config) -> None:
        """Take note that training begins, with this configuration."""
        return

    def add_metrics(self, row: MetricsRow) -> None:
        """Take a row of metrics."""
        return

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Take the scores of a snapshot."""
        return

    def add_updates(self, updates: int) -> None:
        """Take note that so many updates have been made; one or several since the last time."""
        return

    def add_checkpoint(self, path: Path) -> None:
        """Take note of a checkpoint that was written."""
        return

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Take what there is to say at the end."""
        return


class OwnSink(Sink, Closing):
    """A sink that the configuration asks for; whoever made it closes it.

    What comes before `begin` is of a training that never began: there is nothing to be kept then.
    """

    def close(self) -> None:
        """Let go of what it holds."""
