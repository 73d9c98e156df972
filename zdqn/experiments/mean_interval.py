"""Where the mean of what was sampled may well be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
_RESAMPLES = 2_000


class MeanInterval(NamedTuple):
    """A confidence interval of a mean.

    Attributes:
        low: its lower end.
        high: its upper end.
    """

    low: float
    high: float


def mean_interval(values: Sequence[float], *, seed: int = 0) -> MeanInterval | None:
    """Give the percentile bootstrap interval of a mean, of `CONFIDENCE`.

    As many values as there are are drawn from them with replacement, again and again; the interval
    holds the middle of the means.

    Args:
        values: finite, independent of each other.
        seed: of what is drawn; the same values have the same interval.

    Returns:
        The interval; None of fewer than two values, which say nothing of others.

    Reference:
        Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    count = len(values)
    if count < 2:
        return None
    generator = np.random.default_rng(seed)
    known = np.asarray(values, np.float64)
    means = [known[generator.integers(0, count, count)].mean() for _ in range(_RESAMPLES)]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return MeanInterval(float(low), float(high))
