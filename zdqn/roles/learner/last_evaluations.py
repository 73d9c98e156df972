"""What evaluators still have to bring when training is over, and what never comes."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from zdqn.config import Config

logger = logging.getLogger("zdqn.learner")

_POLL_S = 0.02


class Evaluators(Protocol):
    """Those who evaluate; a `zdqn.roles.learner.model_server.ModelServer` knows them."""

    def living(self, role: str) -> int:
        """Count the living clients of a role."""

    @property
    def unevaluated(self) -> int:
        """Snapshots that may still get a result."""


class Snapshots(Protocol):
    """Where snapshots come from; a `zdqn.roles.learner.loop.TrainingLoop` is one."""

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
    """

    def __init__(
        self, config: Config, evaluators: Evaluators, board: Board, stop: threading.Event
    ) -> None:
        self._config = config
        self._evaluators = evaluators
        self._board = board
        self._stop = stop

    def wait(self, snapshots: Snapshots, limit: str) -> None:
        """Wait for the evaluations that are due, for one of the final weights, and the best again.

        If an evaluation has ended training, what else is due is not waited for.

        Args:
            snapshots: where they come from.
            limit: that ended training.
        """
        if limit != "evaluation_return":
            self._wait_for_the_rest(snapshots, limit)
        if self._evaluators.living("evaluator") and snapshots.offer_best():
            self._board.enter("scoring the best network again")
            while not (snapshots.best_is_scored_again or self._stop.wait(_POLL_S)):
                snapshots.take_evaluations()
                if not self._evaluators.living("evaluator"):
                    logger.warning("the best network was not scored again: no evaluator is left")
                    return

    def _wait_for_the_rest(self, snapshots: Snapshots, limit: str) -> None:
        if self._evaluators.living("evaluator"):
            snapshots.offer_last_snapshot(limit)
            self._board.enter("waiting for evaluations")
            while self._missing(snapshots) and self._evaluators.living("evaluator"):
                if self._stop.wait(_POLL_S):
                    return
        left = self._missing(snapshots)
        if left and not self._stop.is_set():
            logger.warning(
                "%d %s without a score: no evaluator is left (one that is silent for "
                "links.dead_after_s = %g s counts as dead). `zdqn evaluate` can score the networks "
                "in the run's checkpoints.",
                left,
                "snapshot stays" if left == 1 else "snapshots stay",
                self._config.links.dead_after_s,
            )

    def _missing(self, snapshots: Snapshots) -> int:
        """Take what has come, and count what has not."""
        snapshots.take_evaluations()
        left = self._evaluators.unevaluated
        if left:
            self._board.waits_for(f"{left} evaluations")
        return left
