"""Two runs side by side: every difference, and results with what is known of their chance."""

import math

import numpy as np
import pytest

from tests.experiments.made_runs import make_run
from zdqn.config import Config
from zdqn.errors import FileError
from zdqn.experiments.run_comparison import compare_runs, score_of


@pytest.fixture
def compared(tmp_path):
    changed = Config().replace({"algorithm.double": True, "replay.capacity": 5000})
    one = make_run(tmp_path / "one", [1, 10], summary={"verdict": "learner-bound: it computes"})
    other = make_run(tmp_path / "other", [1, 14], config=changed, stop_reason="updates")
    return compare_runs(one, other)


def test_every_value_that_differs_is_named(compared):
    assert compared.configuration == [
        ("algorithm.double", "false", "true"), ("replay.capacity", "100,000", "5,000")
    ]  # fmt: skip


def test_results_stand_side_by_side_with_intervals(compared):
    rows = {name: values for name, *values in compared.results}
    assert rows["ended by"] == ["environment_steps", "updates"]
    assert rows["environment steps"] == ["200", "200"]
    assert rows["bottleneck"] == ["learner-bound: it computes", "-"]
    # five episodes with a deviation of 4: a standard error of 2
    assert rows["last evaluation"] == ["10 (6.08 to 13.92)", "14 (10.08 to 17.92)"]
    reach = 1.96 * math.sqrt(8)
    assert rows["  second less first"] == ["", f"4 ({4 - reach:.4g} to {4 + reach:.4g})"]
    assert "samples per insert" not in rows
    assert "several of each" in compared.note


def test_the_same_configuration_has_no_differences(tmp_path):
    runs = [make_run(tmp_path / name, [1]) for name in "ab"]
    assert compare_runs(*runs).configuration == []


def test_a_value_that_is_absent_is_shown_as_such(tmp_path):
    goal = Config().replace("stop.evaluation_return", 9.0)
    one, other = make_run(tmp_path / "a", [1], config=goal), make_run(tmp_path / "b", [1])
    assert compare_runs(one, other).configuration == [("stop.evaluation_return", "9", "-")]


def test_a_run_without_evaluations_and_one_that_goes_on(tmp_path):
    one = make_run(tmp_path / "a")
    other = make_run(tmp_path / "b", [3], stop_reason=None)
    rows = {name: values for name, *values in compare_runs(one, other).results}
    assert rows["last evaluation"][0] == "-"
    assert "  second less first" not in rows
    with pytest.raises(FileError, match="holds no run"):
        compare_runs(one, tmp_path / "nowhere")


def test_the_standard_error_is_that_of_the_mean():
    returns = np.array([3.0, 9, 4, 4, 7])
    score = score_of(returns.mean(), returns.std(), 5)
    assert score.error == pytest.approx(returns.std(ddof=1) / math.sqrt(5))
    assert all(map(math.isnan, score_of(3.0, 0.0, 1).interval))
    assert score_of(3.0, 0.0, 9).interval == (3, 3)
