"""The arithmetic of figures: medians, ratios, goals, and how they are written."""

import itertools
import json
import math

import pytest

from zdqn.benchmarks.measuring import (
    COLUMNS,
    Effort,
    Figure,
    Goal,
    Result,
    alternate,
    divide,
    figure_cells,
    print_result,
    rate_of,
    rate_of_counter,
    to_json,
    write_number,
)
from zdqn.errors import RoleFailedError


class Clock:
    """A clock that goes on only when somebody works or sleeps."""

    def __init__(self):
        self.now_s = 0.0

    def perf_counter(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr("zdqn.benchmarks.measuring.time", made)
    return made


def test_the_median_is_the_middle_of_the_repetitions():
    assert Figure("x", "s", (5.0, 1.0, 2.0)).median == 2
    assert Figure("x", "s", (1.0, 3.0)).median == 2


def test_a_ratio_compares_repetitions_with_each_other():
    """The ratio of medians would be 1 here: the machine became twice as fast between."""
    figure = Figure("x", "s", (10.0, 20.0, 30.0), bound=(20.0, 20.0, 60.0))
    assert figure.ratio == 0.5
    assert Figure("x", "s", (10.0,)).ratio is None


def test_over_divides_one_figure_by_another():
    ratio = Figure("a", "s", (1.0, 9.0)).over(Figure("b", "s", (2.0, 3.0)), "a_to_b", Goal(1.5))
    assert (ratio.name, ratio.unit, ratio.values) == ("a_to_b", "", (0.5, 3.0))
    assert ratio.met is True


def test_division_by_nothing():
    assert divide((1.0, 0.0, 3.0), (0.0, 0.0, 2.0)) == (math.inf, 0.0, 1.5)
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        divide((1.0, 2.0), (1.0,))


def test_scaled_keeps_the_ratio_and_drops_the_goal():
    figure = Figure("x", "t/s", (2.0,), bound=(4.0,), goal=Goal(1)).scaled("y", "B/s", 100)
    assert (figure.values, figure.ratio, figure.goal) == ((200.0,), 0.5, None)


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (Goal(2), 2.0, True),
        (Goal(2), 1.9, False),
        (Goal(2, at_most=True), 2.0, True),
        (Goal(2, at_most=True), 2.1, False),
    ],
)
def test_goals(goal, value, met):
    assert goal.met(value) is met
    assert Figure("x", "s", (value,), goal=goal).met is met


def test_a_figure_without_a_goal_neither_meets_nor_misses_it():
    assert Figure("x", "s", (1.0,)).met is None


def test_alternate_forgets_the_first_round_and_takes_turns():
    calls = []

    def measure(name):
        numbers = itertools.count()

        def once():
            calls.append(name)
            return next(numbers)

        return once

    columns = alternate(Effort(repeats=2), measure("a"), measure("b"))
    assert columns == [(1, 2), (1, 2)]
    assert calls == ["a", "b"] * 3


def test_rate_of_counts_until_the_time_is_over(clock):
    def work():
        clock.now_s += 0.25
        return 3

    assert rate_of(work, 1.0) == 12
    assert rate_of(work, 0.0) == 12  # once in any case


def test_a_counter_that_jumps_is_read_at_its_jumps(clock):
    """It rises by 10 every second; reading in between must not count."""
    rate = rate_of_counter(lambda: 10 * math.floor(clock.now_s), 5.5)
    assert rate == pytest.approx(10, rel=0.01)


def test_a_counter_that_stands_still_is_an_error(clock):
    with pytest.raises(RoleFailedError, match="stood still at 7"):
        rate_of_counter(lambda: 7, 1.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.95, "0.950"),
        (1.0, "1.00"),
        (12.34, "12.3"),
        (999.0, "999"),
        (8467.2, "8,470"),
        (1_234_567.0, "1,235,000"),
        (0.00001234, "0.000012"),
        (math.inf, "inf"),
        (-4.0, "-4.00"),
    ],
)
def test_numbers_have_as_many_digits_as_they_deserve(value, text):
    assert write_number(value) == text


def test_cells_fit_the_columns():
    cells = dict(
        zip(COLUMNS, figure_cells(Figure("x", "s", (1.0, 3.0), (4.0, 4.0), Goal(2))), strict=True)
    )
    assert cells == {
        "figure": "x", "median": "2.00", "spread": "1.00 to 3.00", "unit": "s", "bound": "4.00",
        "ratio": "0.50", "goal": ">= 2.00", "met": "yes",
    }  # fmt: skip


def test_json_is_one_object_by_name():
    results = {
        "one": Result([Figure("one.a", "s", (1.0, 2.0, 4.0), (1.0, 1.0, 1.0), Goal(3))]),
        "two": Result([Figure("two.b", "", (0.5,))], ["a note"]),
    }
    figures = json.loads(to_json(results))
    assert list(figures) == ["one.a", "two.b"]
    assert figures["one.a"] == {
        "unit": "s", "median": 2.0, "minimum": 1.0, "maximum": 4.0, "values": [1.0, 2.0, 4.0],
        "bound": 1.0, "ratio_to_bound": 2.0, "goal": ">= 3.00", "met": False,
    }  # fmt: skip
    assert "goal" not in figures["two.b"]


def test_a_table_is_printed_with_its_notes(capsys):
    print_result("one", Result([Figure("one.a", "s", (1.0,))], ["left out [bench]"]))
    printed = capsys.readouterr().out
    assert "one.a" in printed
    assert "left out [bench]" in printed
