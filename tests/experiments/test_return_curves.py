"""Runs laid side by side: where a band begins and ends, and what is in its middle."""

import numpy as np
import pytest

from tests.experiments.made_runs import make_run
from zdqn.experiments.return_curves import ReturnCurve, common_band, read_return_curve, smoothed


def curve(steps, returns):
    x = np.array(steps, dtype=np.float64)
    return ReturnCurve(
        {"steps": x, "time": x / 10, "episodes": x / 2}, np.array(returns, dtype=np.float64)
    )


def band(*curves, axis="steps", points=5):
    return common_band(curves, axis, np.random.default_rng(0), points=points)


def test_evaluations_and_exploring_are_read_by_axis(tmp_path):
    make_run(tmp_path, [10, 20], exploring=[None, 7.0, 8.0], seconds_apart=2.0)
    evaluated = read_return_curve(tmp_path)
    assert evaluated.returns.tolist() == [10, 20]
    assert {axis: x.tolist() for axis, x in evaluated.x.items()} == {
        "steps": [100, 200], "time": [2, 4], "episodes": [5, 10]
    }  # fmt: skip
    exploring = read_return_curve(tmp_path, evaluations=False)
    assert exploring.returns.tolist() == [7, 8]
    assert exploring.x["steps"].tolist() == [200, 300]


def test_what_a_resumed_run_has_overtaken_is_left_out(tmp_path):
    make_run(tmp_path, [1, 2, 3])
    text = (tmp_path / "evaluations.csv").read_text()
    (tmp_path / "evaluations.csv").write_text(text + "3,150,0,0,9,7,0,7,7,9,5,0.1,train,0\n")
    assert read_return_curve(tmp_path).returns.tolist() == [1, 7]


def test_a_run_without_evaluations_is_an_empty_curve(tmp_path):
    make_run(tmp_path)
    assert len(read_return_curve(tmp_path).returns) == 0


def test_a_band_goes_from_where_all_have_begun_to_where_the_first_has_ended():
    found = band(curve([0, 100], [0, 100]), curve([20, 60], [7, 7]), points=3)
    assert found.x.tolist() == [20, 40, 60]
    assert found.runs == 2
    assert found.middle.tolist() == [(20 + 7) / 2, (40 + 7) / 2, (60 + 7) / 2]
    assert (found.low <= found.middle).all()
    assert (found.middle <= found.high).all()
    assert found.low[0] == 7
    assert found.high[0] == 20


def test_the_axis_says_what_lies_under_it():
    runs = curve([0, 100], [0, 1]), curve([0, 100], [1, 2])
    assert band(*runs, axis="time").x[-1] == 10
    assert band(*runs, axis="episodes").x[-1] == 50


def test_one_run_is_drawn_at_its_own_points_and_has_no_band():
    found = band(curve([3, 4, 9], [1, 5, 2]))
    assert found.x.tolist() == [3, 4, 9]
    assert found.middle.tolist() == [1, 5, 2]
    assert np.isnan(found.low).all()
    assert found.runs == 1


def test_runs_without_a_place_in_common_have_none():
    assert band(curve([0, 10], [1, 1]), curve([20, 30], [1, 1])) is None
    assert band(curve([], [])) is None
    assert band() is None


def test_runs_that_meet_in_one_place_have_a_band_of_one_point():
    found = band(curve([0, 10], [0, 4]), curve([10, 30], [6, 1]))
    assert found.x.tolist() == [10]
    assert found.middle.tolist() == [5]


def test_a_run_without_evaluations_does_not_take_the_others_away():
    found = band(curve([0, 10], [0, 4]), curve([], []))
    assert found.runs == 1


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (1, [0, 9, 0, 0, 9]),
        (3, [4.5, 3, 3, 3, 4.5]),
        (2, [4.5, 3, 3, 3, 4.5]),  # an even one counts as the next odd one
        (99, [3, 2.25, 3.6, 4.5, 3]),  # as long as the curve
    ],
)
def test_smoothing_is_a_moving_mean(window, expected):
    values = smoothed(curve(range(5), [0, 9, 0, 0, 9]), window).returns.tolist()
    assert values == pytest.approx(expected)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_is_too_short_is_left_as_it_is(count):
    short = curve(range(count), range(count))
    assert smoothed(short, 5).returns.tolist() == list(range(count))
