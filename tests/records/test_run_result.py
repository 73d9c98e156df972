"""How a run went: what is known of it at once, and what is read from its folder."""

import copy
import json

import cloudpickle
import numpy as np
import pytest

from tests.roles.conftest import quick_config
from zdqn.errors import FileError, UsageError
from zdqn.records.run_result import RunResult, run_directory_of
from zdqn.roles.single import Single

SUMMARY = {
    "stop_reason": "updates",
    "updates": 60,
    "environment_steps": 123,
    "episodes": 9,
    "wall_s": 1.5,
    "best_evaluation_return": 20,
    "best_rescored_return": None,
    "final_evaluation_return": 19.5,
    "of": "a later version",
}


@pytest.fixture
def result(tmp_path):
    return RunResult(tmp_path, SUMMARY)


def test_what_every_run_has_is_an_attribute(result):
    assert (result.stop_reason, result.updates, result.environment_steps) == ("updates", 60, 123)
    assert (result.episodes, result.wall_s) == (9, 1.5)
    assert (result.best_evaluation_return, result.final_evaluation_return) == (20.0, 19.5)
    assert type(result.best_evaluation_return) is float
    assert result.best_rescored_return is None
    assert result.summary["of"] == "a later version"


def test_a_run_that_was_ended_before_it_began_has_nothing_to_tell(tmp_path):
    result = RunResult(tmp_path)
    assert (result.stop_reason, result.updates, result.best_evaluation_return) == ("", 0, None)
    assert (result.best_checkpoint, result.learning_curve) == (None, None)
    assert repr(result) == f"RunResult({str(tmp_path)!r})"


def test_it_cannot_be_changed_and_travels(result):
    with pytest.raises(AttributeError):
        result.run_directory = "elsewhere"
    assert cloudpickle.loads(cloudpickle.dumps(result)) == result == copy.deepcopy(result)


def test_it_is_shown_short(result):
    assert repr(result) == (
        f"RunResult({str(result.run_directory)!r}, stop_reason='updates', updates=60, "
        f"environment_steps=123, best_evaluation_return=20)"
    )


def test_it_is_given_as_json_with_its_places(result, tmp_path):
    assert result.to_dict() == {**SUMMARY, "run_directory": str(tmp_path)}
    (tmp_path / "learning_curve.png").touch()
    assert json.loads(json.dumps(result.to_dict())) == {
        **SUMMARY,
        "run_directory": str(tmp_path),
        "learning_curve": str(tmp_path / "learning_curve.png"),
    }


def test_a_run_is_opened_as_it_was_given_back(tmp_path):
    config = quick_config("evaluator.period_updates=20")
    with Single(config, run_directory=tmp_path) as single:
        given = single.run()
    opened = RunResult.open(str(tmp_path))
    assert opened == given
    assert opened.config() == config
    assert opened.best_checkpoint == tmp_path / "best.pt"
    evaluations, metrics = opened.evaluations(), opened.metrics()
    assert evaluations["snapshot"].tolist() == [0, 1, 2, 3]
    assert evaluations["mean"].max() == opened.best_evaluation_return
    assert evaluations["evaluator"].tolist() == ["train"] * 4
    assert metrics["updates"][-1] == opened.updates == 60
    assert np.all(np.diff(metrics["environment_steps"]) >= 0)


def test_a_run_that_was_killed_or_goes_on_has_no_summary(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    assert RunResult.open(tmp_path) == RunResult(tmp_path)
    ended = {**SUMMARY, "metrics_bytes": 3}
    (tmp_path / "summary.json").write_text(json.dumps(ended))
    assert RunResult.open(tmp_path) == RunResult(tmp_path, ended)
    (tmp_path / "metrics.jsonl").write_text("{}\n{}\n")
    assert RunResult.open(tmp_path) == RunResult(tmp_path), "the summary is of an earlier start"


def test_a_folder_without_a_run_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(FileError, match=r"holds no run.*Give the folder"):
            RunResult.open(folder)


def test_the_folder_of_a_run_is_known_in_each_form(result, tmp_path):
    for run in (result, tmp_path, str(tmp_path)):
        assert run_directory_of(run) == tmp_path
    with pytest.raises(UsageError, match=r"5 is a int, no run. Give a run directory"):
        run_directory_of(5)  # type: ignore[arg-type]
