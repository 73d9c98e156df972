"""What several runs say together: interquartile means, bootstrap intervals, times not reached.

The aggregates are those of Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the
Statistical Precipice", arXiv:2108.13264. What draws is seeded from outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

RESAMPLES = 2_000
CONFIDENCE = 0.95
_AT_ONCE = 4_000_000
"""Values that are drawn before their statistics are taken: a bound on memory, not on results."""


class Interval(NamedTuple):
    """Where a figure may well be; both ends are NaN where that is not known.

    Attributes:
        low: its lower end.
        high: its upper end; infinite where more than can be told lies beyond.
    """

    low: float
    high: float


UNKNOWN = Interval(math.nan, math.nan)


def interquartile_mean(values: Values) -> Values:
    """Give the mean of the middle half: a quarter of the values, rounded down, goes at each end.

    Args:
        values: shape (..., n), n >= 1, finite. Of fewer than four none goes: it is their mean.

    Returns:
        Shape (...,).

    Reference:
        Agarwal et al. 2021, section 4.3.
    """
    count = values.shape[-1]
    cut = count // 4
    ordered = np.sort(values, axis=-1)[..., cut : count - cut]
    means: Values = ordered.mean(axis=-1)
    return means


def bootstrap_interval(
    values: Values,
    generator: np.random.Generator,
    *,
    statistic: Callable[[Values], Values] = interquartile_mean,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> tuple[Values, Values]:
    """Give the percentile bootstrap interval of a statistic of runs.

    So many runs as there are are drawn from them with replacement, again and again. With few runs
    such an interval is too narrow: of five, one of 95 % holds the true value less often than that.

    Args:
        values: shape (..., runs). The same runs are drawn for all that goes before.
        generator: draws runs.
        statistic: of an array (..., runs), along its last axis.
        resamples: how often they are drawn, >= 1.
        confidence: in (0, 1).

    Returns:
        Lower and upper ends, each of shape (...,); NaN for a single run, which says nothing of
        others.

    Reference:
        Efron 1979; Agarwal et al. 2021, section 4.1.
    """
    runs = values.shape[-1]
    if runs < 2:
        nothing = np.full(values.shape[:-1], math.nan)
        return nothing, nothing.copy()
    rows = max(_AT_ONCE // max(values.size, 1), 1)
    statistics = [
        statistic(values[..., generator.integers(0, runs, size=(min(rows, resamples - row), runs))])
        for row in range(0, resamples, rows)
    ]
    return _ends(np.concatenate(statistics, axis=-1), confidence)


def mean_interval(values: Sequence[float], *, seed: int = 0) -> Interval | None:
    """Give the bootstrap interval of the mean of what a single network has returned.

    Args:
        values: finite, independent of each other.
        seed: of what is drawn; the same values have the same interval.

    Returns:
        The interval, of `CONFIDENCE`; None of fewer than two values, which say nothing of others.
    """
    if len(values) < 2:
        return None
    generator = np.random.default_rng(seed)
    low, high = bootstrap_interval(
        np.asarray(values, np.float64), generator, statistic=lambda drawn: drawn.mean(axis=-1)
    )
    return Interval(float(low), float(high))


def probability_of_improvement(ours: Values, theirs: Values) -> float:
    """Give the share of pairs of runs in which ours is the better one; equal ones count half.

    Args:
        ours: shape (n,), n >= 1.
        theirs: shape (m,), m >= 1.

    Returns:
        In [0, 1]; 0.5 where neither is better.

    Reference:
        Agarwal et al. 2021, section 4.3, after Mann and Whitney 1947.
    """
    return float(_improvement(ours[np.newaxis], theirs[np.newaxis])[0])


def improvement_interval(
    ours: Values,
    theirs: Values,
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Give the bootstrap interval of `probability_of_improvement`; both sides are drawn anew.

    Args:
        ours: shape (n,).
        theirs: shape (m,).
        generator: draws runs.
        resamples: as for `bootstrap_interval`.
        confidence: as for `bootstrap_interval`.
    """
    if min(len(ours), len(theirs)) < 2:
        return UNKNOWN
    of_ours = ours[generator.integers(0, len(ours), size=(resamples, len(ours)))]
    of_theirs = theirs[generator.integers(0, len(theirs), size=(resamples, len(theirs)))]
    low, high = _ends(_improvement(of_ours, of_theirs), confidence)
    return Interval(float(low), float(high))


def _improvement(ours: Values, theirs: Values) -> Values:
    """Compare each pair: (resamples, n) with (resamples, m) to (resamples,)."""
    one, other = ours[:, :, np.newaxis], theirs[:, np.newaxis, :]
    shares: Values = ((one > other) + 0.5 * (one == other)).mean(axis=(1, 2))
    return shares


# --- what takes its time, and may never come ----------------------------------------------------


class Wait(NamedTuple):
    """How long a run took to get somewhere, or how long it was watched in vain.

    Attributes:
        length: until then, in whatever unit; >= 0.
        reached: whether it got there. If not, all that is known is that it takes longer.
    """

    length: float
    reached: bool


def share_waiting(waits: Sequence[Wait]) -> tuple[Values, Values]:
    """Estimate which share of runs has not got there yet, after so long.

    A run that was watched in vain counts for as long as it was watched (it is censored), and says
    nothing afterwards.

    Args:
        waits: of at least one run.

    Returns:
        Lengths at which some got there, rising, shape (k,); and the share that is still waiting
        right after each, shape (k,). Before the first it is 1.

    Reference:
        Kaplan and Meier 1958, the product-limit estimate.
    """
    times = sorted({wait.length for wait in waits if wait.reached})
    share, shares = 1.0, []
    for time in times:
        watched = sum(wait.length >= time for wait in waits)
        got_there = sum(wait.reached and wait.length == time for wait in waits)
        share *= 1 - got_there / watched
        shares.append(share)
    return np.array(times, dtype=np.float64), np.array(shares, dtype=np.float64)


def median_wait(waits: Sequence[Wait]) -> float:
    """Give the length after which half of the runs have got there.

    Args:
        waits: of at least one run.

    Returns:
        The least length by which half have; infinite if fewer than half ever did, as far as they
        were watched.
    """
    times, shares = share_waiting(waits)
    half = np.flatnonzero(shares <= 0.5 + 1e-12)
    return float(times[half[0]]) if len(half) else math.inf


def median_wait_interval(
    waits: Sequence[Wait],
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Give the bootstrap interval of `median_wait`; an end may be infinite.

    Args:
        waits: of runs.
        generator: draws runs.
        resamples: as for `bootstrap_interval`.
        confidence: as for `bootstrap_interval`.
    """
    if len(waits) < 2:
        return UNKNOWN
    drawn = generator.integers(0, len(waits), size=(resamples, len(waits)))
    medians = np.array([median_wait([waits[run] for run in runs]) for runs in drawn.tolist()])
    low, high = _ends(medians, confidence)
    return Interval(float(low), float(high))


def _ends(statistics: Values, confidence: float) -> tuple[Any, Any]:
    """Cut the same share off both ends of a bootstrapped distribution, along its last axis."""
    tail = round((1 - confidence) / 2, 12)  # 1 - 0.95 is a little more than 0.05
    # a value that occurred, as between a finite one and an infinite one there is none
    low, high = np.quantile(statistics, (tail, 1 - tail), axis=-1, method="inverted_cdf")
    return low, high
