"""How old the weights were that collected what is learned from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zdqn.data import WeightVersion


class Staleness:
    """How old the weights were that collected what is learned from, in published versions.

    Transitions of an earlier learner epoch are left out: versions of two epochs cannot be
    subtracted.
    """

    def __init__(self) -> None:
        self._sum = 0
        self._count = 0

    def add(self, weight_versions: NDArray[np.int64], current: WeightVersion) -> None:
        """Take note of sampled transitions.

        Args:
            weight_versions: packed versions they were collected with, shape (B,), int64.
            current: version of the weights that learn from them.
        """
        ages = current.pack() - weight_versions
        ages = ages[(weight_versions >> 32) == current.learner_epoch]
        self._sum += int(ages.sum())
        self._count += len(ages)

    @property
    def mean(self) -> float:
        """Mean age over everything sampled so far; 0 if nothing was."""
        return self._sum / self._count if self._count else 0.0
