"""Batches as a replay samples them, and importance weights, for tests of what learns from them."""

from dataclasses import replace
from typing import Any

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


def make_masked_batch(count: int, seed: int = 0) -> Batch:
    """Make one whose actions are allowed, and with nothing allowed after some of its ends."""
    rng = np.random.default_rng((seed, 1))
    batch = make_batch(count, seed)
    allowed, next_allowed = rng.random((2, count, 4)) < 0.5
    allowed[np.arange(count), batch.actions] = True
    goes_on = batch.discounts > 0
    next_allowed[goes_on, rng.integers(4, size=count)[goes_on]] = True
    return replace(batch, allowed=allowed, next_allowed=next_allowed)


def make_weights(count: int) -> NDArray[np.float64]:
    return np.random.default_rng(1).uniform(0.2, 1.0, size=count)


def arrays_of(batch: Batch) -> dict[str, NDArray[Any]]:
    """Give the arrays of a batch by name, those that it has."""
    return {name: array for name, array in vars(batch).items() if array is not None}
