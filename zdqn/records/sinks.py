"""Where the numbers of a run go: its directory, and whatever else takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from zdqn.records.snapshots import Evaluation
from zdqn.wire.status import MetricsRow


class Sink(Protocol):
    """Takes what a run brings, as it comes; a `zdqn.records.run_directory.RunDirectory` is one.

    Subclass it and write the methods that you want; the others do nothing. They are called in the
    process and the thread that trains, which waits for them.

    A method may raise `zdqn.errors.FileError`: it is logged, training goes on, and what it did not
    take is missing there. That of `write_summary` is raised once all have been told. Any other
    error ends the training.
    """

    def add_metrics(self, row: MetricsRow) -> None:
        """Take a row of metrics."""
        return

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Take the scores of a snapshot."""
        return

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Take what there is to say at the end."""
        return
