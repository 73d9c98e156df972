"""Numbers as a person writes them."""

import pytest

from zdqn.experiments.plain_numbers import plain_duration, plain_log_tick, plain_number, plain_tick


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (487.34, "487.3"), (12345.6, "12,346"), (-1600, "-1,600"), (-0.25, "-0.25"),
     (1e12, "1e+12"), (0.00012345, "0.0001234")],
)  # fmt: skip
def test_scores(value, text):
    assert plain_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (7.24, "7.2 s"), (9.97, "10 s"), (99, "99 s"), (100, "2 min"), (3600, "60 min"),
     (12240, "3.4 h")],
)  # fmt: skip
def test_durations(seconds, text):
    assert plain_duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "span", "text"),
    [(1500, 5000, "1,500"), (20_000_000, 2e7, "20,000,000"), (0.25, 1, "0.25"), (0.5, 1, "0.5"),
     (-1e-17, 1, "0"), (-1400, 1800, "-1,400"), (2.5, 10, "2.5"), (1e30, 1e31, "1e30"),
     (2e-6, 1e-5, "2e-6"), (100.02, 0.1, "100.02")],
)  # fmt: skip
def test_ticks(value, span, text):
    assert plain_tick(value, span) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(100, "100"), (1000, "1,000"), (0.001, "0.001"), (0.05, "0.05"), (1, "1"), (1e9, "1e9"),
     (1e-6, "1e-6"), (1e6, "1,000,000")],
)  # fmt: skip
def test_logarithmic_ticks(value, text):
    assert plain_log_tick(value) == text
