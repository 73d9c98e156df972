"""The tables of a run, by columns: what is absent is NaN, what is unfinished is left out."""

import json

import numpy as np
import pytest

from zdqn.errors import FileError
from zdqn.records.run_directory import EVALUATION_COLUMNS
from zdqn.records.run_tables import read_best_evaluation, read_evaluations, read_metrics
from zdqn.wire.status import MetricsRow


def test_a_run_that_has_written_nothing_has_empty_columns(tmp_path):
    metrics, evaluations = read_metrics(tmp_path), read_evaluations(tmp_path)
    assert list(metrics) == list(MetricsRow.__struct_fields__)
    assert set(evaluations) == set(EVALUATION_COLUMNS)
    assert all(column.shape == (0,) for column in (*metrics.values(), *evaluations.values()))


def test_metrics_that_are_absent_are_nan(tmp_path):
    rows = [{"updates": 0, "loss": None}, {"updates": 10, "loss": 0.5, "of": 7}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metrics = read_metrics(tmp_path)
    assert {column.dtype for column in metrics.values()} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(metrics["updates"], [0, 10])
    np.testing.assert_array_equal(metrics["loss"], [np.nan, 0.5])
    np.testing.assert_array_equal(metrics["of"], [np.nan, 7])
    assert np.isnan(metrics["epsilon"]).all()


def test_evaluations_come_in_the_order_of_their_snapshots(tmp_path):
    lines = ["snapshot,environment_steps,mean,evaluator", "1,200,2.5,b-0", "0,100,1.5,a-0"]
    (tmp_path / "evaluations.csv").write_text("\n".join(lines) + "\n")
    table = read_evaluations(tmp_path)
    assert table["mean"].tolist() == [1.5, 2.5]
    assert table["evaluator"].tolist() == ["a-0", "b-0"]
    assert table["cut"].dtype == np.float64
    assert np.isnan(table["cut"]).all()


def test_a_line_that_is_still_being_written_is_left_out(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"updates": 1}\n{"updates": 2')
    (tmp_path / "evaluations.csv").write_text("snapshot,environment_steps,mean\n0,1,2\n1,2,")
    assert read_metrics(tmp_path)["updates"].tolist() == [1]
    assert read_evaluations(tmp_path)["mean"].tolist() == [2]


@pytest.mark.parametrize("text", ["nonsense\n", "[1]\n", "[" * 100_000 + "\n"])
def test_spoiled_metrics_are_named(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(FileError, match=r"metrics\.jsonl"):
        read_metrics(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\n", "snapshot,environment_steps,mean\n0,1\n",
     "snapshot,environment_steps,mean\n0,1,x\n"],
)  # fmt: skip
def test_spoiled_evaluations_are_named(tmp_path, text):
    (tmp_path / "evaluations.csv").write_text(text)
    with pytest.raises(FileError, match=r"evaluations\.csv"):
        read_evaluations(tmp_path)


def test_the_best_evaluation_is_the_first_that_came_with_the_highest_mean(tmp_path):
    (tmp_path / "evaluations.csv").write_text(
        "snapshot,environment_steps,mean\n0,0,nan\n3,30,500\n2,20,500\n1,10,9\n"
    )
    best = read_best_evaluation(tmp_path)
    assert best is not None
    assert (best["snapshot"], best["environment_steps"], best["mean"]) == (3, 30, 500)


@pytest.mark.parametrize("rows", ["", "0,0,nan\n"])
def test_without_a_mean_no_evaluation_is_the_best(tmp_path, rows):
    (tmp_path / "evaluations.csv").write_text(f"snapshot,environment_steps,mean\n{rows}")
    assert read_best_evaluation(tmp_path) is None
