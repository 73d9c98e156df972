"""Where the numbers of a run go: its directory, and whatever else takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from zdqn.records.snapshots import Evaluation
from zdqn.wire.status import MetricsRow


class Sink(Protocol):
    """Takes what a run brings, as it comes; a `zdqn.records.run_directory.RunDirectory` is one.

    A method may raise `zdqn.errors.FileError`: it is logged, training goes on, and what it did not
    take is missing there. That of `write_summary` is raised once all have been told.
    """

    def add_metrics(self, row: MetricsRow) -> None:
        """Take a row of metrics."""

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Take the scores of a snapshot."""

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Take what there is to say at the end."""
