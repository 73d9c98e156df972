"""What runs have come to, and what those of a variant say together."""

import math

import numpy as np
import pytest

from tests.experiments.studies.made_studies import make_study
from zdqn.experiments.return_curves import ReturnCurve
from zdqn.experiments.run_statistics import Wait
from zdqn.experiments.studies.study_outcomes import read_outcome, wait_for


@pytest.fixture
def outcome(tmp_path):
    def make(returns, **given):
        plan, files = make_study(tmp_path / "study", returns, **given)
        return read_outcome(plan, files)

    return make


def test_final_scores_are_compared_with_those_of_the_baseline(outcome):
    found = outcome({"a": [[1, 10], [2, 20]], "b": [[1, 30], [9, 20]]})
    a, b = found.variants
    assert a.final.of_runs == (10, 20)
    assert a.final.value == 15
    assert a.improvement is None
    assert b.final.value == 25
    # of four pairs three are won and one is drawn
    assert b.improvement.value == 0.875
    assert 0 <= b.improvement.interval.low <= 0.875 <= b.improvement.interval.high == 1


def test_another_baseline(outcome):
    found = outcome({"a": [[1], [2]], "b": [[3], [4]]}, baseline="b")
    assert found.variants[0].improvement.value == 0
    assert found.variants[1].improvement is None


def test_the_final_score_may_be_of_several_evaluations(outcome):
    assert outcome({"a": [[9, 1, 3]]}, final_evaluations=2).variants[0].final.value == 2


def test_more_are_asked_for_than_there_are(outcome):
    assert outcome({"a": [[1, 3]]}, final_evaluations=9).variants[0].final.value == 2


def test_runs_that_are_not_finished_are_named_and_left_out(outcome):
    found = outcome({"a": [[1], None], "b": [None, [5]]})
    assert found.unfinished == ("b/seed-0", "a/seed-1")
    assert [len(variant.runs) for variant in found.variants] == [1, 1]
    assert [variant.planned for variant in found.variants] == [2, 2]
    assert not found.is_empty


def test_a_study_without_a_finished_run(outcome):
    found = outcome({"a": [None], "b": [None]})
    assert found.is_empty
    assert math.isnan(found.variants[0].final.value)
    assert math.isnan(found.variants[1].improvement.value)
    assert math.isnan(found.variants[0].steps_to_threshold.value)


def test_runs_without_evaluations_have_speeds_alone(outcome):
    (variant,) = outcome({"a": [[], []]}, threshold=5.0).variants
    assert math.isnan(variant.final.value)
    assert math.isnan(variant.steps_to_threshold.value)
    assert variant.bands == {"steps": None, "time": None}
    assert variant.steps_per_s.value == 100


def test_steps_and_seconds_to_the_threshold(outcome):
    (variant,) = outcome({"a": [[1, 5, 9], [5, 5, 5], [1, 1, 1]]}, threshold=5.0).variants
    assert variant.reached == 2
    assert [run.steps_to_threshold for run in variant.runs] == [
        Wait(200, True), Wait(100, True), Wait(300, False)
    ]  # fmt: skip
    assert [run.seconds_to_threshold.length for run in variant.runs] == [2, 1, 3]
    assert variant.steps_to_threshold.value == 200
    assert variant.seconds_to_threshold.value == 2
    assert variant.steps_to_threshold.of_runs == (200, 100)


def test_where_fewer_than_half_get_there_the_median_is_beyond(outcome):
    (variant,) = outcome({"a": [[9], [1], [1]]}, threshold=5.0).variants
    assert variant.steps_to_threshold.value == math.inf


def test_without_a_threshold_there_is_no_time_to_it(outcome):
    (variant,) = outcome({"a": [[9], [1]]}).variants
    assert variant.runs[0].steps_to_threshold is None
    assert variant.reached == 0


@pytest.mark.parametrize(
    ("threshold", "wait"), [(0, Wait(10, True)), (5, Wait(30, True)), (7, Wait(30, False))]
)
def test_the_threshold_is_reached_by_what_is_as_high(threshold, wait):
    x = np.array([10.0, 20, 30])
    curve = ReturnCurve({"steps": x, "time": x, "episodes": x}, np.array([0.0, 4, 5]))
    assert wait_for(curve, "steps", threshold) == wait


def test_the_same_files_give_the_same_intervals(tmp_path):
    plan, files = make_study(tmp_path / "s", {"a": [[1], [5], [2], [9]], "b": [[3], [4], [1], [1]]})
    first, second = read_outcome(plan, files), read_outcome(plan, files)
    for one, other in zip(first.variants, second.variants, strict=True):
        assert one.final == other.final
        assert one.improvement == other.improvement
