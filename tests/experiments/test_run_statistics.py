"""Aggregates of runs, against slow and obvious oracles."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.experiments import run_statistics
from zdqn.experiments.run_statistics import (
    UNKNOWN,
    Wait,
    bootstrap_interval,
    improvement_interval,
    interquartile_mean,
    mean_interval,
    median_wait,
    median_wait_interval,
    probability_of_improvement,
    share_waiting,
)

SCORES = st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=13)


def generator():
    return np.random.default_rng(7)


def slow_interquartile_mean(values):
    kept = sorted(values)
    for _ in range(len(values) // 4):
        kept.remove(min(kept))
        kept.remove(max(kept))
    return sum(kept) / len(kept)


@given(SCORES)
def test_the_interquartile_mean_leaves_a_quarter_out_at_each_end(values):
    assert float(interquartile_mean(np.array(values))) == pytest.approx(
        slow_interquartile_mean(values)
    )


def test_it_is_taken_along_the_last_axis():
    values = np.random.default_rng(0).normal(size=(3, 2, 8))
    means = interquartile_mean(values)
    assert means.shape == (3, 2)
    assert means[2, 1] == pytest.approx(slow_interquartile_mean(values[2, 1]))


def test_one_wild_run_of_five_does_not_move_it_and_of_three_does():
    assert interquartile_mean(np.array([1.0, 2, 3, 4, 1e9])) == 3
    assert interquartile_mean(np.array([1.0, 2, 1e9])) > 1e8


def slow_quantile(values, share):
    """The least value that so large a share does not exceed."""
    ordered = sorted(values)
    return next(
        value
        for count, value in enumerate(ordered, 1)
        if Fraction(count, len(ordered)) >= Fraction(share).limit_denominator(10_000)
    )


@given(st.lists(st.integers(-9, 9).map(float), min_size=2, max_size=7))
def test_the_bootstrap_interval_is_that_of_runs_drawn_one_by_one(values):
    low, high = bootstrap_interval(np.array(values), generator(), resamples=200)
    draws = generator().integers(0, len(values), size=(200, len(values))).tolist()
    means = [slow_interquartile_mean([values[run] for run in runs]) for runs in draws]
    assert float(low) == pytest.approx(slow_quantile(means, 0.025))
    assert float(high) == pytest.approx(slow_quantile(means, 0.975))


def test_what_is_drawn_does_not_depend_on_how_much_is_drawn_at_once(monkeypatch):
    values = np.random.default_rng(5).normal(size=(3, 7))
    whole = bootstrap_interval(values, generator(), resamples=100)
    for at_once in (1, 21, 200, 21 * 99):
        monkeypatch.setattr(run_statistics, "_AT_ONCE", at_once)
        parts = bootstrap_interval(values, generator(), resamples=100)
        np.testing.assert_array_equal(parts, whole)


def test_of_a_curve_the_same_runs_are_drawn_at_every_place():
    runs = np.array([1.0, 5, 2, 9])
    low, high = bootstrap_interval(np.stack([runs, runs + 100]), generator())
    assert low[1] == low[0] + 100
    assert high[1] == high[0] + 100


def test_confidence_and_statistic_count():
    values = np.array([1.0, 5, 2, 9, 4, 4])
    low, high = bootstrap_interval(values, generator(), confidence=0.95)
    narrow_low, narrow_high = bootstrap_interval(values, generator(), confidence=0.5)
    assert low < narrow_low < narrow_high < high
    top, _ = bootstrap_interval(values, generator(), statistic=lambda v: v.max(axis=-1))
    assert top > low


def test_runs_that_agree_leave_no_doubt_and_a_single_one_leaves_all():
    low, high = bootstrap_interval(np.full(5, 3.0), generator())
    assert low == high == 3
    low, high = bootstrap_interval(np.zeros((4, 1)), generator())
    assert low.shape == high.shape == (4,)
    assert np.isnan(low).all()
    assert np.isnan(high).all()


@pytest.mark.parametrize("values", [(), (3.0,)])
def test_one_value_has_no_interval_of_its_mean(values):
    assert mean_interval(values) is None


def test_the_interval_of_a_mean_of_many_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(10.0, 2.0, 400)
    found = mean_interval(list(values))
    assert found is not None
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.05)
    assert found.high == pytest.approx(values.mean() + half, abs=0.05)


def test_the_interval_of_a_mean_is_not_that_of_its_middle_half():
    values = [0.0] * 9 + [100.0]
    found = mean_interval(values)
    assert found is not None
    assert found.high >= 20
    assert found == mean_interval(values)


def test_of_five_runs_an_interval_is_too_narrow_and_of_forty_it_is_not():
    """As docs/studies.md says: how often 95 % hold the true value, of normal scores around 0."""

    def coverage(runs):
        drawing = np.random.default_rng(3)
        held = 0
        for _ in range(400):
            low, high = bootstrap_interval(drawing.normal(size=runs), drawing, resamples=300)
            held += int(low <= 0 <= high)
        return held / 400

    assert 0.75 < coverage(5) < 0.9
    assert 0.9 < coverage(40) < 0.98


def slow_improvement(ours, theirs):
    points = [Fraction(int(a > b) * 2 + int(a == b), 2) for a in ours for b in theirs]
    return float(sum(points) / len(points))


@given(SCORES, SCORES)
def test_the_probability_of_improvement_counts_pairs(ours, theirs):
    found = probability_of_improvement(np.array(ours), np.array(theirs))
    assert found == pytest.approx(slow_improvement(ours, theirs))
    other = probability_of_improvement(np.array(theirs), np.array(ours))
    assert found + other == pytest.approx(1)


def test_its_interval_draws_both_sides():
    ours, theirs = np.array([1.0, 4, 6]), np.array([2.0, 3, 3, 5])
    low, high = improvement_interval(ours, theirs, generator(), resamples=300)
    drawing = generator()
    of_ours = ours[drawing.integers(0, 3, size=(300, 3))]
    of_theirs = theirs[drawing.integers(0, 4, size=(300, 4))]
    slow = [slow_improvement(a, b) for a, b in zip(of_ours, of_theirs, strict=True)]
    assert low == pytest.approx(slow_quantile(slow, 0.025))
    assert high == pytest.approx(slow_quantile(slow, 0.975))


def test_where_one_side_is_better_throughout_there_is_no_doubt_left():
    assert improvement_interval(np.array([5.0, 6]), np.array([1.0, 2]), generator()) == (1, 1)


def test_one_run_alone_has_no_interval():
    assert all(map(math.isnan, improvement_interval(np.ones(1), np.ones(4), generator())))
    assert all(map(math.isnan, median_wait_interval([Wait(3, True)], generator())))
    assert all(map(math.isnan, UNKNOWN))


# --- waiting ------------------------------------------------------------------------------------

WAITS = st.lists(
    st.tuples(st.integers(1, 8).map(float), st.booleans()).map(lambda pair: Wait(*pair)),
    min_size=1,
    max_size=12,
)


def redistributed(waits):
    """Efron 1967: who is watched no longer gives its mass to all who are watched on.

    Gives length to the share still waiting after it.
    """
    ordered = sorted(waits, key=lambda wait: (wait.length, not wait.reached))
    mass = [Fraction(1, len(ordered))] * len(ordered)
    waiting, share = {}, Fraction(1)
    for place, wait in enumerate(ordered):
        if wait.reached:
            share -= mass[place]
            waiting[wait.length] = share
            continue
        later = len(ordered) - place - 1
        for heir in range(place + 1, len(ordered)):
            mass[heir] += mass[place] / later
    return waiting


@given(WAITS)
def test_the_share_that_waits_is_the_product_limit(waits):
    times, shares = share_waiting(waits)
    slow = redistributed(waits)
    assert times.tolist() == list(slow)
    assert shares.tolist() == pytest.approx([float(share) for share in slow.values()], abs=1e-12)


@given(WAITS)
def test_the_median_is_where_half_have_got_there(waits):
    slow = redistributed(waits)
    half = [length for length, share in slow.items() if share <= Fraction(1, 2)]
    assert median_wait(waits) == (half[0] if half else math.inf)


def test_a_run_that_never_got_there_is_no_missing_value():
    reached = [Wait(10, True), Wait(20, True)]
    assert median_wait(reached) == 10
    assert median_wait([*reached, Wait(50, False)]) == 20
    assert median_wait([*reached, *[Wait(50, False)] * 3]) == math.inf


def test_who_was_watched_for_less_counts_for_less():
    early = [Wait(5, False), Wait(10, True), Wait(20, True)]
    late = [Wait(50, False), Wait(10, True), Wait(20, True)]
    assert share_waiting(early)[1].tolist() == [0.5, 0]
    assert share_waiting(late)[1].tolist() == pytest.approx([2 / 3, 1 / 3])


def test_the_interval_of_a_median_may_be_without_end():
    waits = [Wait(10, True), Wait(20, True), Wait(30, True), Wait(40, False), Wait(40, False)]
    low, high = median_wait_interval(waits, generator(), resamples=400)
    draws = generator().integers(0, 5, size=(400, 5)).tolist()
    slow = []
    for runs in draws:
        shares = redistributed([waits[run] for run in runs])
        slow.append(min((k for k, v in shares.items() if v <= Fraction(1, 2)), default=math.inf))
    assert low == slow_quantile(slow, 0.025)
    assert high == slow_quantile(slow, 0.975) == math.inf
