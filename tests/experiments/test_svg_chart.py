"""A chart as text: what is drawn is inside, and text from elsewhere is only text."""

import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.experiments.svg_chart import HEIGHT, WIDTH, ChartLine, line_chart, ticks

X = np.array([0.0, 10, 20])


def parsed(text):
    """Read the SVG of a chart, which is XML."""
    return ElementTree.fromstring(text[text.index("<svg") : text.index("</figure>")])


def points(element):
    return [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]


def test_a_line_goes_from_left_to_right_and_up():
    chart = line_chart("T", "steps", [ChartLine("a", X, X)])
    (line,) = parsed(chart).iter("polyline")
    places = points(line)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)


@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=20))
def test_everything_is_inside(values):
    y = np.array(values)
    chart = line_chart(
        "T", "x", [ChartLine("a", np.arange(len(y), dtype=np.float64), y, y - 1, y + 1)]
    )
    drawing = parsed(chart)
    for element in (*drawing.iter("polyline"), *drawing.iter("polygon")):
        for across, height in points(element):
            assert 0 <= across <= WIDTH
            assert 0 <= height <= HEIGHT


def test_what_is_not_finite_is_left_out():
    y = np.array([1.0, np.nan, 3])
    (line,) = parsed(line_chart("T", "x", [ChartLine("a", X, y)])).iter("polyline")
    assert len(points(line)) == 2


def test_nothing_is_no_chart():
    assert line_chart("T", "x", []) == ""
    assert line_chart("T", "x", [ChartLine("a", X, np.full(3, np.nan))]) == ""


def test_a_single_point_is_a_dot():
    drawing = parsed(line_chart("T", "x", [ChartLine("a", X[:1], X[:1])]))
    assert len(list(drawing.iter("circle"))) == 1


def test_many_points_are_thinned_and_the_ends_stay():
    x = np.arange(100_000, dtype=np.float64)
    chart = line_chart("T", "x", [ChartLine("a", x, x)])
    assert len(chart) < 20_000
    (line,) = parsed(chart).iter("polyline")
    first, last = points(line)[0], points(line)[-1]
    assert first[0] < 80
    assert last[0] > WIDTH - 40


def test_a_goal_is_a_line_unless_it_is_far_away():
    def goals(goal):
        chart = parsed(line_chart("T", "x", [ChartLine("a", X, X)], goal=goal))
        return [line for line in chart.iter("line") if line.get("class") == "goal"]

    assert len(goals(25.0)) == len(goals(0.0)) == 1
    assert goals(1e9) == []
    assert goals(None) == []


def test_names_are_only_text():
    chart = line_chart("<b>&", "<i>", [ChartLine('"><script>', X, X)])
    assert "<script>" not in chart
    assert "<b>" not in chart
    assert "&lt;b&gt;&amp;" in chart
    parsed(chart)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-3, 7, [-2, 0, 2, 4, 6]),
        (95_000, 105_000, [96_000, 98_000, 100_000, 102_000, 104_000]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high, 5) == pytest.approx(expected)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_and_between(low, span):
    found = ticks(low, low + span)
    assert len(found) <= 7
    slack = span * 1e-6 + math.ulp(abs(low) + span)  # no number lies between
    assert all(low - slack <= tick <= low + span + slack for tick in found)
