"""Where the numbers of a run go: its directory, and whatever else takes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.core.agenda import Counters
from zdqn.records.snapshots import Evaluation
from zdqn.wire.status import MetricsRow

ENDED_BY_SINK = "sink"
"""Why a run has ended whose sink has said that it should."""
GOES_ON_FROM = "goes_on_from.environment_steps"
"""What tells that a run, of a sink that has one for each start, goes on from an earlier one's."""


class TakesRows(Protocol):
    """Takes what a run writes down, as a `zdqn.records.run_directory.RunDirectory` does."""

    def add_metrics(self, row: MetricsRow) -> bool | None:
        """Take a row of metrics."""

    def add_evaluation(self, evaluation: Evaluation) -> bool | None:
        """Take the scores of a snapshot."""

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Take what there is to say at the end."""


class Sink(TakesRows, Protocol):
    """Takes what a run brings, as it comes.

    Subclass it and write the methods that you want; the others do nothing. They are called in the
    process and the thread that trains, which waits for them.

    A method that returns False, other than that of `write_summary`, ends the training cleanly, as
    ``stop=`` of `zdqn.train` does; ``stop_reason`` is "sink" then. Anything else that it returns,
    None above all, changes nothing; nor does False once the training is ending.

    A method may raise `zdqn.errors.FileError`: it is logged, training goes on, and what it did not
    take is missing there. That of `write_summary` is raised once all have been told. Any other
    error ends the training.
    """

    def begin(self, config: Config) -> None:
        """Take note that training begins, with this configuration."""
        return

    def add_metrics(self, row: MetricsRow) -> bool | None:
        """Take a row of metrics."""
        return None

    def add_evaluation(self, evaluation: Evaluation) -> bool | None:
        """Take the scores of a snapshot."""
        return None

    def add_updates(self, updates: int) -> bool | None:
        """Take note that so many updates have been made; one or several since the last time."""
        return None

    def add_checkpoint(self, path: Path) -> bool | None:
        """Take note of a checkpoint that was written."""
        return None

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Take what there is to say at the end."""
        return


class OwnSink(Sink, Closing):
    """A sink that the configuration asks for; whoever made it closes it.

    Before `begin` it may be told where training goes on from. What else comes before that is of a
    training that never began: there is nothing to be kept then.
    """

    def go_on_from(self, counters: Counters) -> None:
        """Take note that training goes on from a checkpoint, which `begin` follows.

        What an earlier start has written from after it is overtaken: it is trained again, and what
        is told of that takes its place.

        Args:
            counters: of the checkpoint.
        """

    def close(self) -> None:
        """Let go of what it holds."""


def ends_training(answer: object) -> bool:
    """Whether what a sink's method has returned is False, Python's or NumPy's."""
    return isinstance(answer, bool | np.bool_) and not answer
