"""Functions of the user's that are told what happens; what one raises is named as theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from zdqn.errors import CallbackFailedError
from zdqn.records.sinks import Sink, ends_training
from zdqn.records.snapshots import Evaluation
from zdqn.wire.status import MetricsRow


def call(name: str, callback: Callable[..., object] | None, *arguments: object) -> object:
    """Call a function of the user's, if there is one.

    Args:
        name: of the parameter that it was given as.
        callback: the function, or None.
        arguments: what it is told.

    Returns:
        What it returns; None if there is none.

    Raises:
        CallbackFailedError: when it raises.
    """
    if callback is None:
        return None
    try:
        return callback(*arguments)
    except Exception as error:
        raise CallbackFailedError(
            f"The function that was given as {name} raised {type(error).__name__}: {error}. It is "
            f"part of your program: mend it, or let it catch what need not end this."
        ) from error


class Callbacks(Sink):
    """Functions that are told what a training brings, as a sink.

    They are called in the process and the thread that trains, which waits for them. One that
    returns False ends the training cleanly, with ``stop_reason`` "sink"; whatever else it returns
    is not looked at. What one raises is a `zdqn.errors.CallbackFailedError`, and ends the training.

    Args:
        on_update: told how many updates have been made, after one or several.
        on_metrics: told each row of metrics.
        on_evaluation: told the scores of each snapshot.
        on_checkpoint: told the path of each checkpoint that was written.
    """

    def __init__(
        self,
        *,
        on_update: Callable[[int], object] | None = None,
        on_metrics: Callable[[MetricsRow], object] | None = None,
        on_evaluation: Callable[[Evaluation], object] | None = None,
        on_checkpoint: Callable[[Path], object] | None = None,
    ) -> None:
        self._on_update = on_update
        self._on_metrics = on_metrics
        self._on_evaluation = on_evaluation
        self._on_checkpoint = on_checkpoint

    def add_updates(self, updates: int) -> bool | None:
        """Tell `on_update`."""
        return self._tell("on_update", self._on_update, updates)

    def add_metrics(self, row: MetricsRow) -> bool | None:
        """Tell `on_metrics`."""
        return self._tell("on_metrics", self._on_metrics, row)

    def add_evaluation(self, evaluation: Evaluation) -> bool | None:
        """Tell `on_evaluation`."""
        return self._tell("on_evaluation", self._on_evaluation, evaluation)

    def add_checkpoint(self, path: Path) -> bool | None:
        """Tell `on_checkpoint`."""
        return self._tell("on_checkpoint", self._on_checkpoint, path)

    def _tell(self, name: str, callback: Callable[..., object] | None, what: object) -> bool | None:
        return False if ends_training(call(name, callback, what)) else None
