"""What evaluators still have to bring when training is over, and what never comes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from zdqn.config import Config

logger = logging.getLogger("zdqn.learner")

_POLL_S = 0.02
_ON_ITS_WAY_S = 60.0
_TOO_LATE = "stop.wall_s is over, and a tenth of it, at least links.dead_after_s, more"


class Evaluators(Protocol):
    """Those who evaluate; a `zdqn.roles.learner.model_server.ModelServer` knows them."""

    def living(self, role: str) -> int:
        """Count the living clients of a role."""

    @property
    def unevaluated(self) -> int:
        """Snapshots that may still get a result."""


class Snapshots(Protocol):
    """Where snapshots come from; a `zdqn.roles.learner.training_loop.TrainingLoop` is one."""

    def offer_last_snapshot(self, limit: str) -> None:
        """Have the final weights evaluated, unless they were."""

    def take_evaluations(self) -> None:
        """Write down what evaluators have found."""

    def offer_best(self) -> bool:
        """Have the best network scored again; False if there is none."""

    @property
    def best_is_scored_again(self) -> bool:
        """Whether that score has come."""


class Board(Protocol):
    """Where it is said what is waited for."""

    def enter(self, phase: str) -> None:
        """Say what the learner does now."""

    def waits_for(self, what: str) -> None:
        """Say what is waited for."""


class LastEvaluations:
    """Waits for the evaluations that are due, and says which will never come.

    Args:
        config: of the run.
        evaluators: who evaluates.
        board: told what is waited for.
        stop: ends waiting.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        config: Config,
        evaluators: Evaluators,
        board: Board,
        stop: threading.Event,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._evaluators = evaluators
        self._board = board
        self._stop = stop
        self._clock = clock

    def wait_for_the_first_evaluator(self, patience_s: float) -> None:
        """Wait for an evaluator that is on its way: training may be over before it has joined.

        Args:
            patience_s: how long to wait at most; a minute is enough for any.
        """
        until_s = self._clock() + min(patience_s, _ON_ITS_WAY_S)
        if not self._evaluators.living("evaluator"):
            self._board.enter("waiting for an evaluator to join")
        while not self._evaluators.living("evaluator") and self._clock() < until_s:
            if self._stop.wait(_POLL_S):
                return

    def wait(self, snapshots: Snapshots, limit: str, patience_s: float) -> None:
        """Wait for the evaluations that are due, for one of the final weights, and the best again.

        If an evaluation has ended training, what else is due is not waited for.

        Args:
            snapshots: where they come from.
            limit: that ended training.
            patience_s: how long to wait at most; may be infinite.
        """
        until_s = self._clock() + patience_s
        if limit != "evaluation_return":
            self._wait_for_the_rest(snapshots, limit, until_s)
        if self._evaluators.living("evaluator") and snapshots.offer_best():
            self._board.enter("scoring the best network again")
            while not (snapshots.best_is_scored_again or self._stop.wait(_POLL_S)):
                snapshots.take_evaluations()
                in_time = self._clock() < until_s
                if not (in_time and self._evaluators.living("evaluator")):
                    why = self._no_evaluator() if in_time else _TOO_LATE
                    logger.warning("the best network was not scored again: %s", why)
                    return

    def _wait_for_the_rest(self, snapshots: Snapshots, limit: str, until_s: float) -> None:
        in_time = True
        if self._evaluators.living("evaluator"):
            snapshots.offer_last_snapshot(limit)
            self._board.enter("waiting for evaluations")
            while self._missing(snapshots) and self._evaluators.living("evaluator"):
                in_time = self._clock() < until_s
                if not in_time:
                    break
                if self._stop.wait(_POLL_S):
                    return
        left = self._missing(snapshots)
        if left and not self._stop.is_set():
            logger.warning(
                "%d %s without a score: %s. `zdqn evaluate` can score the networks in the run's "
                "checkpoints.",
                left,
                "snapshot stays" if left == 1 else "snapshots stay",
                self._no_evaluator() if in_time else _TOO_LATE,
            )

    def _no_evaluator(self) -> str:
        dead_after_s = self._config.links.dead_after_s
        return (
            f"no evaluator is left (one that is silent for links.dead_after_s = {dead_after_s:g} s "
            f"counts as dead)"
        )

    def _missing(self, snapshots: Snapshots) -> int:
        """Take what has come, and count what has not."""
        snapshots.take_evaluations()
        left = self._evaluators.unevaluated
        if left:
            self._board.waits_for("1 evaluation" if left == 1 else f"{left} evaluations")
        return left
