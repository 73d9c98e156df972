"""What a learner's sinks are told, from its process to the one that has launched it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from zdqn.config import Config, from_dict, to_dict
from zdqn.data import EvaluationScores
from zdqn.errors import FileError
from zdqn.records.sinks import Sink, ends_training
from zdqn.records.snapshots import Evaluation, FrozenSnapshot
from zdqn.wire.status import MetricsRow

logger = logging.getLogger("zdqn")


class TellingSink(Sink):
    """Tells another process what it is told; but for updates, of which there are too many.

    Args:
        tell: takes the name of a sink's method, and what it was given, as JSON has it.
    """

    def __init__(self, tell: Callable[[str, Any], None]) -> None:
        self._tell = tell

    def begin(self, config: Config) -> None:
        """Tell the configuration."""
        self._tell("begin", to_dict(config))

    def add_metrics(self, row: MetricsRow) -> None:
        """Tell a row."""
        self._tell("add_metrics", msgspec.structs.asdict(row))

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Tell scores, without the weights."""
        snapshot = {**vars(evaluation.snapshot), "arrays": {}}
        self._tell(
            "add_evaluation",
            {**vars(evaluation), "snapshot": snapshot, "scores": vars(evaluation.scores)},
        )

    def add_checkpoint(self, path: Path) -> None:
        """Tell where it is."""
        self._tell("add_checkpoint", str(path))

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Tell all of it."""
        self._tell("write_summary", dict(summary))


def pass_on(method: str, what: Any, sinks: Sequence[Sink]) -> bool:
    """Tell sinks what a `TellingSink` of another process was told.

    A `FileError` is logged, as where sinks are told by a learner; other errors are raised.

    Args:
        method: of a sink.
        what: it was given.
        sinks: to be told.

    Returns:
        Whether one of them has said that training should end.
    """
    given = _READ[method](what)
    end = False
    for sink in sinks:
        try:
            end |= ends_training(getattr(sink, method)(given))
        except FileError as error:
            logger.warning("%s Training goes on; what was to be written will have a gap.", error)
    return end


def _read_evaluation(what: dict[str, Any]) -> Evaluation:
    scores = what["scores"]
    return Evaluation(
        snapshot=FrozenSnapshot(**what["snapshot"]),
        scores=EvaluationScores(tuple(scores["returns"]), tuple(scores["lengths"]), scores["cut"]),
        evaluator=what["evaluator"],
        duration_s=what["duration_s"],
    )


_READ: dict[str, Callable[[Any], Any]] = {
    "begin": lambda values: from_dict(values, source="the learner's configuration"),
    "add_metrics": lambda row: MetricsRow(**row),
    "add_evaluation": _read_evaluation,
    "add_checkpoint": Path,
    "write_summary": dict,
}
