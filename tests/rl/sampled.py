"""Batches as a replay samples them, and importance weights, for tests of what learns from them."""

import numpy as np
from numpy.typing import NDArray

from zdqn.data import Batch


def make_batch(count: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    return Batch(
        observations=rng.normal(size=(count, 3)).astype(np.float32),
        actions=rng.integers(4, size=count),
        rewards=rng.normal(0, 3, size=count).astype(np.float32),
        discounts=rng.choice(np.array([0, 0.9], np.float32), size=count),
        next_observations=rng.normal(size=(count, 3)).astype(np.float32),
        keys=np.arange(count),
        probabilities=np.full(count, 0.1),
        weight_versions=np.zeros(count, np.int64),
    )


def make_weights(count: int) -> NDArray[np.float64]:
    return np.random.default_rng(1).uniform(0.2, 1.0, size=count)
