"""The other runs in a run's folder."""

import json
import os

import pytest

from zdqn.experiments.dashboard import earlier_runs
from zdqn.experiments.dashboard.earlier_runs import EarlierRuns
from zdqn.records.run_files import RunFiles


@pytest.fixture
def make(tmp_path):
    def make_run(name, age=0, **summary):
        files = RunFiles(tmp_path / name)
        files.path.mkdir()
        files.metrics.write_text('{"environment_steps": 10, "loss": 0.5}\n')
        files.config.write_text('[environment]\nid = "Acrobot-v1"\n')
        if summary:
            files.summary.write_text(json.dumps(summary))
        os.utime(files.metrics, (1_000_000 - age, 1_000_000 - age))
        return files.path

    return make_run


def test_the_newest_is_first_and_the_own_is_left_out(make):
    own = make("own")
    make("old", age=90, best_evaluation_return=187.25, environment_steps=12_345,
         stop_reason="updates", wall_s=61)  # fmt: skip
    make("new", age=5)
    (own.parent / "no run").mkdir()
    (own.parent / "a file").write_text("")
    rows = EarlierRuns(own).describe()
    assert [row["name"] for row in rows] == ["new", "old"]
    assert rows[0]["end"] == "no summary"
    old = {key: value for key, value in rows[1].items() if key != "key"}
    assert old == {
        "name": "old", "environment": "Acrobot-v1", "best": "187.2", "steps": "12,345",
        "time": "1:01 min", "end": "stop.updates was reached",
    }  # fmt: skip


def test_curves_are_read_by_a_key_that_was_given_and_by_no_other(make):
    own = make("own")
    other = make("other")
    runs = EarlierRuns(own)
    assert runs.series("other") is None
    (row,) = runs.describe()
    series = runs.series(row["key"])
    assert series is not None
    assert series.metrics["loss"] == [0.5]
    for key in ("", "other", str(other), "../other", "..", row["key"] + "/.."):
        assert runs.series(key) is None


def test_a_run_that_was_written_to_is_looked_at_anew(make):
    own, other = make("own"), RunFiles(make("other"))
    runs = EarlierRuns(own)
    assert runs.describe()[0]["end"] == "no summary"
    other.summary.write_text('{"stop_reason": "SIGINT"}')
    os.utime(other.metrics)
    assert runs.describe()[0]["end"] == "stopped by SIGINT"


def test_damaged_files_of_others_are_no_error(make):
    own, other = make("own"), RunFiles(make("other"))
    other.config.write_text("nonsense")
    other.summary.write_text("nonsense")
    assert EarlierRuns(own).describe()[0]["environment"] == ""


def test_of_too_many_runs_the_newest_are_shown(make, monkeypatch):
    monkeypatch.setattr(earlier_runs, "MOST_RUNS", 2)
    own = make("own")
    for age in range(4):
        make(f"run-{age}", age=age)
    assert [row["name"] for row in EarlierRuns(own).describe()] == ["run-0", "run-1"]


@pytest.mark.parametrize("name", ["config.toml", "summary.json", "metrics.jsonl"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_folder_of_somebody_else_makes_nobody_wait(make, name, kind):
    own, other = make("own"), make("other")
    (other / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(other / name)
    else:
        (other / name).symlink_to("/dev/zero")
    runs = EarlierRuns(own)
    for row in runs.describe():
        assert runs.series(row["key"]) is not None


@pytest.mark.parametrize(
    "summary", ["[]", "null", '{"wall_s": NaN}', f'{{"wall_s": 1{"0" * 400}}}']
)
def test_a_summary_that_no_run_has_written_hides_no_other_run(make, summary):
    own, other = make("own"), RunFiles(make("other"))
    make("third")
    other.summary.write_text(summary)
    assert len(EarlierRuns(own).describe()) == 2
