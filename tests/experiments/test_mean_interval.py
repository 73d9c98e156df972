"""Intervals of means, against what is known of them."""

import numpy as np
import pytest

from zdqn.experiments.mean_interval import mean_interval


@pytest.mark.parametrize("values", [(), (3.0,)])
def test_one_value_says_nothing_of_others(values):
    assert mean_interval(values) is None


def test_of_equal_values_it_is_that_value():
    assert mean_interval([3.0] * 5) == (3.0, 3.0)


def test_of_many_values_it_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(10.0, 2.0, 400)
    found = mean_interval(list(values))
    assert found is not None
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.05)
    assert found.high == pytest.approx(values.mean() + half, abs=0.05)


def test_it_holds_the_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(60):
        found = mean_interval(list(generator.exponential(1.0, 40)))
        assert found is not None
        held += found.low <= 1.0 <= found.high
    assert 48 <= held <= 60  # 57 are expected; with skewed values a few fewer


def test_the_same_values_have_the_same_interval():
    values = [1.0, 2.0, 4.0, 8.0]
    assert mean_interval(values) == mean_interval(values)
