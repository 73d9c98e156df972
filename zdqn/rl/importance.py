"""Importance weights: undo the bias of drawing some transitions more often than others."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from zdqn.errors import UsageError


def importance_weights(probabilities: NDArray[np.floating], exponent: float) -> NDArray[np.float32]:
    """Compute `(N * P)^-exponent`, divided by the largest in the batch.

    With that division the size N of the replay cancels, and what is left is
    `(P / min(P))^-exponent`.

    Args:
        probabilities: chance with which each transition was drawn, shape (..., B), > 0.
        exponent: how much of the bias to undo (beta), in [0, 1]; 0 gives weights of 1.

    Returns:
        Weights, of the same shape, float32, in [0, 1]; the rarest transition of each batch (along
        the last axis) has 1.

    Raises:
        UsageError: if a probability is not a finite number above 0.

    Reference:
        Schaul et al. 2016, arXiv:1511.05952, section 3.4.
    """
    chances = np.asarray(probabilities, np.float64)
    if chances.size == 0:
        return np.ones(chances.shape, np.float32)
    if not (chances.min() > 0.0 and chances.max() < math.inf):
        wrong = int(np.flatnonzero(~((chances > 0.0) & (chances < math.inf)))[0])
        raise UsageError(
            f"probability number {wrong} of {chances.size} is {chances.flat[wrong]}: a transition "
            "that was drawn has a finite probability above 0."
        )
    smallest = chances.min(axis=-1, keepdims=True)
    weights: NDArray[np.float32] = ((smallest / chances) ** exponent).astype(np.float32)
    return weights
