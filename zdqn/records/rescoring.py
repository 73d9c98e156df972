"""The best network of a run, scored once more: the highest of many noisy scores is too high."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from zdqn.core.agenda import Counters
from zdqn.errors import ZdqnError
from zdqn.records.checkpoints import load_checkpoint
from zdqn.records.snapshots import Evaluation, FrozenSnapshot

logger = logging.getLogger("zdqn.learner")


class Rescoring:
    """Gives the best network out as a snapshot, and keeps the score that comes back.

    Args:
        path: of ``best.pt``.

    Attributes:
        mean: of the returns on fresh episodes; None as long as there are none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number: int | None = None
        self._first: float | None = None
        self.mean: float | None = None

    def freeze(self, number: int, wall_s: float) -> FrozenSnapshot | None:
        """Give the best network, or None if there is none or it cannot be read.

        Args:
            number: of a new snapshot, which decides the episodes.
            wall_s: seconds of training so far.
        """
        if not self._path.exists():
            return None
        try:
            best = load_checkpoint(self._path)
        except ZdqnError as error:
            logger.warning("the best network is not scored again: %s", error)
            return None
        self._number, self._first = number, best.evaluation_return
        counters: Counters = best.counters
        return FrozenSnapshot(
            number=number,
            weight_version=0,
            environment_steps=counters.environment_steps,
            updates=counters.updates,
            episodes=counters.episodes,
            wall_s=wall_s,
            arrays={name: tensor.numpy() for name, tensor in best.online.items()},
        )

    def takes(self, evaluation: Evaluation) -> bool:
        """Keep an evaluation if it is of what `freeze` gave; False for any other."""
        if evaluation.snapshot.number != self._number:
            return False
        scores = evaluation.scores
        self.mean = scores.mean
        logger.info(
            "the best network, of %d updates, scored again on %d fresh episodes: mean %.1f, "
            "deviation %.1f; it was chosen for %.1f",
            evaluation.snapshot.updates,
            len(scores.returns),
            scores.mean,
            scores.deviation,
            scores.mean if self._first is None else self._first,
        )
        return True

    def summary(self) -> dict[str, Any]:
        """Give its part of the summary."""
        return {"best_rescored_return": self.mean}
