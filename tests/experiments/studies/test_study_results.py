"""Tables of a study: everything that is drawn or summed up is in a file, and nothing is hidden."""

import csv
import math

import pytest

from tests.experiments.studies.made_studies import make_study
from zdqn.experiments.run_statistics import UNKNOWN, Interval
from zdqn.experiments.studies.study_outcomes import Estimate, read_outcome
from zdqn.experiments.studies.study_results import (
    differences,
    estimate,
    results_lines,
    score_lines,
    write_results,
    write_tables,
)

RETURNS = {"a": [[1, 10], [2, 20]], "b": [[1, 30], None]}


@pytest.fixture
def study(tmp_path):
    plan, files = make_study(tmp_path / "study", RETURNS, threshold=15.0)
    return read_outcome(plan, files), files


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_run_and_every_evaluation_has_a_row(study):
    outcome, files = study
    write_tables(outcome, files)
    runs = rows_of(files.table("runs"))
    assert [(row["variant"], row["seed"], row["final"]) for row in runs] == [
        ("a", "0", "10.0"), ("a", "1", "20.0"), ("b", "0", "30.0")
    ]  # fmt: skip
    assert [row["reached"] for row in runs] == ["0", "1", "1"]
    assert [row["steps_to_threshold"] for row in runs] == ["200.0"] * 3
    evaluations = rows_of(files.table("evaluations"))
    assert [float(row["return"]) for row in evaluations] == [1, 10, 2, 20, 1, 30]


def test_what_is_drawn_is_in_a_file(study):
    outcome, files = study
    write_tables(outcome, files)
    rows = rows_of(files.table("curves"))
    kinds = {(row["variant"], row["axis"], row["runs"]) for row in rows}
    assert kinds == {("a", "steps", "2"), ("a", "time", "2"), ("b", "steps", "1"),
                     ("b", "time", "1")}  # fmt: skip
    ends = [row for row in rows if row["variant"] == "a" and row["axis"] == "steps"]
    assert (float(ends[-1]["x"]), float(ends[-1]["middle"])) == (200, 15)
    assert rows[-1]["low"] == ""  # a single run has no interval


def test_what_is_summed_up_is_in_a_file(study):
    outcome, files = study
    write_tables(outcome, files)
    a, b = rows_of(files.table("variants"))
    assert (a["planned"], a["finished"], a["reached"], a["final"]) == ("2", "2", "1", "15.0")
    assert (a["final_low"], a["final_high"]) == ("10.0", "20.0")
    assert (a["improvement"], b["improvement"], b["final_low"]) == ("", "1.0", "")


def test_the_page_has_tables_pictures_and_what_is_missing(study):
    outcome, files = study
    path = write_results(outcome, files, [files.picture("curves")], jobs=2)
    text = path.read_text()
    for words in (
        "# A study", "3 of 4 runs: 2 variants, seeds 0, 1, each by `zdqn train`, 2 at once.",
        "**Missing**: b/seed-1.", "| a | 2 of 2 | 15 (10 to 20) | 10, 20 | - |",
        "| b | 1 of 2 | 30 | 30 | 1.00 |", "| a | 1 of 2 | 200", "200 steps or more",
        "![curves](curves.png)", "`algorithm.learning_rate` | 0.001 | 0.002", "| machine |",
    ):  # fmt: skip
        assert words in text, words


def test_runs_that_ended_at_their_goal_are_said_to_be_chosen_for_it(tmp_path):
    plan, files = make_study(tmp_path / "s", {"a": [[1, 9], [1, 2]]})
    first = files.run_directory(plan.runs()[0]) / "summary.json"
    first.write_text(first.read_text().replace('environment_steps"', 'evaluation_return"', 1))
    text = "\n".join(results_lines(read_outcome(plan, files), [], jobs=1))
    assert "chosen for being high: a (1 of 2)" in text
    assert "one at a time" in text


def test_without_a_threshold_there_is_no_table_of_it(tmp_path):
    plan, files = make_study(tmp_path / "s", {"a": [[1, 9]]})
    assert "others watched for" not in "\n".join(
        results_lines(read_outcome(plan, files), [], jobs=1)
    )


@pytest.mark.parametrize(
    ("what", "form", "written"),
    [
        (Estimate(math.nan, UNKNOWN), "", "-"),
        (Estimate(0.0, Interval(0.0, 0.0)), "", "0 (0 to 0)"),
        (Estimate(187.25, UNKNOWN), "", "187.2"),
        (Estimate(12_345.6, Interval(9_000.0, math.inf)), "", "12,346 (9,000 to not reached)"),
        (Estimate(math.inf, Interval(10.0, math.inf)), "", "not reached (10 to not reached)"),
        (Estimate(math.inf, Interval(math.inf, math.inf)), "", "not reached"),
        (Estimate(0.5, Interval(0.25, 0.875)), "{:.2f}", "0.50 (0.25 to 0.88)"),
    ],
)
def test_numbers_with_their_intervals(what, form, written):
    assert estimate(what, form) == written


def test_a_line_for_each_variant_on_the_terminal(study):
    outcome, _ = study
    assert score_lines(outcome) == [
        "a  final return 15 (10 to 20), 15 reached by 1 of 2",
        "b  final return 30, 15 reached by 1 of 1",
    ]


def test_one_variant_differs_from_nothing(tmp_path):
    plan, _ = make_study(tmp_path / "s", {"a": [[1]]})
    assert differences(plan) == ["There is one variant alone."]
