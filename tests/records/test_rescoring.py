"""The best network is scored again, and both of its scores are told."""

import json

import numpy as np
import pytest

from tests.roles.conftest import quick_config
from zdqn.core.agenda import Counters
from zdqn.data import EnvironmentSpec, EvaluationScores, WeightVersion
from zdqn.records.recorder import Recorder
from zdqn.records.run_directory import RunDirectory
from zdqn.records.snapshots import Evaluation

SPEC = EnvironmentSpec((4,), "float32", 2)


@pytest.fixture
def recorder(tmp_path):
    return Recorder(quick_config(), RunDirectory(tmp_path))


def evaluate(recorder, updates, score):
    arrays = {"weight": np.full(3, updates, np.float32)}
    snapshot = recorder.freeze(arrays, Counters(10, updates, 2), WeightVersion(1, updates))
    recorder.add_evaluation(Evaluation(snapshot, EvaluationScores((score,), (1,)), "e", 0.5), SPEC)


def test_the_best_network_goes_out_under_a_number_of_its_own(recorder):
    for updates, score in ((1, 5.0), (2, 9.0), (3, 7.0)):
        evaluate(recorder, updates, score)
    best = recorder.freeze_best()
    assert (best.number, best.updates, best.environment_steps) == (3, 2, 10)
    np.testing.assert_array_equal(best.arrays["weight"], [2, 2, 2])


def test_both_scores_are_told_and_the_second_changes_neither_best_nor_last(recorder, tmp_path):
    for updates, score in ((1, 9.0), (2, 7.0)):
        evaluate(recorder, updates, score)
    rows = (tmp_path / "evaluations.csv").read_text()
    again = EvaluationScores((12.0, 1.0), (1, 1))
    recorder.add_evaluation(Evaluation(recorder.freeze_best(), again, "e", 0.5), SPEC)
    recorder.write_summary(Counters(), "updates", {})
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["best_evaluation_return"], summary["best_rescored_return"]) == (9.0, 6.5)
    assert (summary["final_evaluation_return"], summary["evaluations"]) == (7.0, 2)
    assert (tmp_path / "evaluations.csv").read_text() == rows


def test_where_nothing_was_scored_there_is_nothing_to_score_again(recorder):
    assert recorder.freeze_best() is None
    assert recorder.write_summary(Counters(), "updates", {})["best_rescored_return"] is None


def test_a_best_network_that_cannot_be_read_is_said_and_ends_nothing(recorder, tmp_path, caplog):
    (tmp_path / "best.pt").write_bytes(b"half")
    assert recorder.freeze_best() is None
    assert "the best network is not scored again" in caplog.text
