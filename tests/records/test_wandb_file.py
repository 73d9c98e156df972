"""What the real client of W&B has written of a run, as W&B's own command reads it."""

import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from tests.records.told_rows import EVALUATION, ROW, SUMMARY
from zdqn.config import Config, flatten
from zdqn.core.agenda import Counters
from zdqn.records.sink_names import metrics_by_name, scores_by_name
from zdqn.records.wandb_sink import WandbSink

DEADLINE_S = 120.0
READ = (sys.executable, "-m", "wandb", "leet", "inspect", "--json")
CONFIG = Config().replace({"run.seed": 5, "environment.kwargs": {"gravity": 9.5}})


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Tell a sink something; give the records that its file holds, by their types."""
    wandb = pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    for folder in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{folder}_DIR", str(tmp_path / folder))
    help_of_it = run(*READ[:-1], "--help")
    if help_of_it.returncode or "--json" not in help_of_it.stdout:
        pytest.skip(f"wandb {wandb.__version__} has no command that reads such a file")

    def tell(use, config=CONFIG):
        directory = tmp_path / "first"
        directory.mkdir()
        with WandbSink(directory) as sink:
            use(sink)
        wandb.teardown()
        (file,) = directory.glob("wandb/offline-run-*/run-*.wandb")
        done = run(*READ, str(file))
        assert done.returncode == 0, done.stderr
        records: dict[str, list[dict[str, Any]]] = {}
        for record in map(json.loads, done.stdout.splitlines()):
            records.setdefault(record["type"], []).append(record[record["type"]])
        return records

    return tell


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def items(records):
    """Give what each record of the history holds, without what the client itself adds."""
    return [
        {name: value for name, value in record["item"].items() if not name.startswith("_")}
        for record in records["history"]
    ]


def config_of(records):
    (update,) = [run["config"]["update"] for run in records["run"] if "config" in run]
    update.pop("_wandb", None)
    return update


def test_the_file_has_all_that_was_told(told):
    later = msgspec.structs.replace(ROW, environment_steps=150, loss=0.25)
    summary = {**SUMMARY, "environment_steps": 150, "best": None, "lost": {"a": 1}}

    def use(sink):
        sink.begin(CONFIG)
        sink.add_metrics(ROW)
        sink.add_metrics(later)
        sink.add_evaluation(EVALUATION)
        sink.write_summary(summary)

    records = told(use)
    assert {(run["project"], run["display_name"]) for run in records["run"]} == {("zdqn", "first")}
    assert config_of(records) == flatten(CONFIG)
    assert items(records) == [
        {"environment_steps": 120, **metrics_by_name(ROW)},
        {"environment_steps": 150, **metrics_by_name(later)},
        {"environment_steps": 100, **scores_by_name(EVALUATION)},
    ]
    assert {"glob_name": "*", "step_metric": "environment_steps"}.items() <= (
        records["metric"][0].items()
    )
    kept: dict[str, Any] = {}
    for update in records["summary"]:
        kept |= update["update"]
    assert {key: kept[key] for key in summary} == summary
    assert records["exit"] == [{"exit_code": 0}]


def test_of_a_run_that_breaks_off_there_is_what_was_told_until_then(told):
    def use(sink):
        sink.go_on_from(Counters(environment_steps=90))
        sink.begin(Config())
        sink.add_metrics(ROW)

    records = told(use)
    assert config_of(records)["goes_on_from.environment_steps"] == 90
    assert set(flatten(Config())) <= set(config_of(records)), "a key without a value stands there"
    assert items(records) == [{"environment_steps": 120, **metrics_by_name(ROW)}]
    assert records["exit"] == [{"exit_code": 1}]
