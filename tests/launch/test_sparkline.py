"""Curves and bars of exactly the width that they are given."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.launch.lines import ASCII, UNICODE, Part, text_of
from zdqn.launch.sparkline import progress_bar, sparkline, tall_curve, with_bar

LEVELS = UNICODE.levels


def curve(*values):
    return [(float(x), float(y)) for x, y in enumerate(values)]


@pytest.mark.parametrize(
    ("points", "width", "drawn"),
    [
        (curve(), 5, ""),
        (curve(3), 5, "▄"),
        (curve(3, 3, 3), 5, "▄▄▄"),
        (curve(0, 1), 5, "▁█"),
        (curve(-21, 0, 21), 5, "▁▅█"),
        (curve(1, 1, 2, 2, 8, 8), 3, "▁▂█"),
        (curve(1, math.nan, math.inf, 8), 5, "▁█"),
    ],
)
def test_a_curve(points, width, drawn):
    assert sparkline(points, width, LEVELS) == drawn


def test_cells_are_shares_of_the_way_and_not_of_the_number_of_points():
    early = [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (100.0, 8.0)]
    assert sparkline(early, 3, LEVELS) == "▁▁█"


def test_a_mean_of_the_largest_numbers_is_drawn_too():
    assert len(sparkline([(0.0, 1.7e308), (1.0, 1.7e308), (2.0, 0.0)], 2, UNICODE.levels)) == 2


@given(
    st.lists(st.tuples(st.floats(0, 1e9), st.floats()), max_size=200),
    st.integers(1, 60),
    st.sampled_from([UNICODE.levels, ASCII.levels]),
)
def test_a_curve_is_never_wider_than_its_room(points, width, levels):
    drawn = sparkline(sorted(points), width, levels)
    known = sum(math.isfinite(y) for _, y in points)
    assert len(drawn) == min(known, width)
    assert set(drawn) <= set(levels)


@pytest.mark.parametrize(
    ("done", "bar"),
    [(0, "──────────"), (0.04, "──────────"), (0.5, "━━━━━─────"), (0.999, "━━━━━━━━━─"),
     (1, "━━━━━━━━━━"), (7, "━━━━━━━━━━"), (-1, "──────────")],
)  # fmt: skip
def test_a_bar_is_full_only_at_the_end(done, bar):
    assert "".join(progress_bar(done, 10, UNICODE)) == bar


@pytest.mark.parametrize(
    ("points", "width", "rows", "drawn"),
    [
        (curve(), 5, 2, ["", ""]),
        (curve(0, 1), 5, 1, ["▁█"]),
        (curve(0, 1), 5, 2, [" █", "▁█"]),
        (curve(0, 15), 5, 2, [" █", "▁█"]),
        (curve(0, 7, 8, 15), 9, 2, ["  ▁█", "▁███"]),
        (curve(3, 3), 5, 2, ["  ", "██"]),
        (curve(1, math.nan, math.inf, 8), 5, 3, [" █", " █", "▁█"]),
        (curve(1, 1, 2, 2, 8, 8), 3, 2, ["  █", "▁▃█"]),
    ],
)
def test_a_tall_curve(points, width, rows, drawn):
    assert tall_curve(points, width, rows, LEVELS) == drawn


def test_the_lowest_row_of_a_tall_curve_has_every_point():
    lines = tall_curve(curve(*range(40)), 40, 4, LEVELS)
    assert len(lines) == 4
    assert all(len(line) == 40 for line in lines)
    assert " " not in lines[-1]
    assert lines[0].count("█") == 1


def test_a_bar_takes_what_room_a_text_leaves_and_none_where_that_is_little():
    text = (Part("3 of 4"),)
    assert text_of(with_bar(0.75, text, 28, ASCII)) == "###############-----  3 of 4"
    assert text_of(with_bar(0.75, text, 18, ASCII)) == "#######---  3 of 4"
    assert with_bar(0.75, text, 17, ASCII) == text
