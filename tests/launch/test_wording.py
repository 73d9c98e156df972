"""Numbers and times as a person reads them."""

import math

import pytest

from zdqn.launch.wording import (
    alike,
    byte_size,
    counted,
    duration,
    elapsed,
    lasting,
    number,
    rate,
    score,
    share,
    time_left,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1:00 min"), (3725, "1:02:05 h"), (86_399, "23:59:59 h"),
     (200_000, "2 d 7:33 h"), (None, ""), (True, ""), (math.nan, ""), (math.inf, ""),
     (10**400, "")],
)  # fmt: skip
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (9_949, "9.9 kB"), (9_960, "10 kB"),
     (71_680, "72 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (6_800_000, "6.8 MB"),
     (3_200_000_000, "3.2 GB"), (4_000_000_000_000, "4,000 GB")],
)  # fmt: skip
def test_bytes(count, text):
    assert byte_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, ""), (0.99, ""), (1, "1 s"), (61, "1:01 min"), (None, "")]
)
def test_what_has_just_begun_has_no_figure(seconds, text):
    assert elapsed(seconds) == text
    assert lasting(seconds) == (f" for {text}" if text else "")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (None, "-"), (True, "-"), ("x", "-"), (10**400, "-")]
)
def test_number(value, text):
    assert number(value, absent="-") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, ""), (0, "0"), (187.25, "187.2"), (-20.6, "-20.6"), (9999.4, "9999"),
     (1_234_567.8, "1,234,568"), (1.5e15, "1.5e+15"), (10**400, "")],
)  # fmt: skip
def test_score(value, text):
    assert score(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "a few s left"), (12, "10 s left"), (58, "60 s left"), (89, "90 s left"),
     (91, "2 min left"), (5_000, "83 min left"), (6_000, "1 h 40 min left"),
     (7_190, "2 h left"), (170_000, "47 h 10 min left"), (500_000, "6 days left"),
     (1e9, "years left")],
)  # fmt: skip
def test_time_left(seconds, text):
    assert time_left(seconds) == text


@pytest.mark.parametrize(
    ("per_s", "text"),
    [(None, ""), (0, "0/s"), (0.254, "0.25/s"), (9.96, "10/s"), (1234.5, "1,234/s")],
)
def test_rate(per_s, text):
    assert rate(per_s) == text


def test_counts():
    assert (counted(1, "collector"), counted(2, "collector")) == ("1 collector", "2 collectors")
    assert (counted(0, "update"), counted(1_234_567, "update")) == (
        "0 updates",
        "1,234,567 updates",
    )
    assert share(0.125) == "12 %"


@pytest.mark.parametrize(
    ("values", "form"),
    [([], "{:,.0f}"), ([500.0, 9.0], "{:,.0f}"), ([9.83, 0.64], "{:,.2f}"),
     ([204.5, 61.6], "{:,.1f}"), ([12_345.6], "{:,.0f}"), ([1.5e15], "{:.4g}"),
     ([0.001], "{:.3g}")],
)  # fmt: skip
def test_numbers_of_a_table_are_written_alike(values, form):
    assert alike(values) == form


def test_not_finite():
    assert score(math.inf) == "inf"
