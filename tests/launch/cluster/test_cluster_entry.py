"""A whole launch with real processes, every host played by this machine."""

import json

import pytest

from tests.launch.cluster.clusters import agents_of, tiny_plan
from zdqn.errors import ConfigError, FileError, RunDirectoryTakenError
from zdqn.launch.cluster.cluster_entry import LaunchOptions, check, chosen_folder, launch
from zdqn.stopping import StopEvent


def test_a_run_trains_encrypted_and_leaves_nothing(tmp_path):
    options = LaunchOptions(tmp_path / "run", local=True, progress=False)
    result = launch(tiny_plan(steps=1_500), options)
    assert result.stop_reason == "environment_steps"
    assert result.run_directory == tmp_path / "run"
    assert result.summary["run_directory"] == str(tmp_path / "run")
    assert result.summary["blocks_lost"] == 0
    assert len(result.metrics()["updates"]) > 0
    logs = sorted(path.stem for path in (tmp_path / "run" / "logs").glob("*.log"))
    assert logs == ["collector-0@a", "collector-0@b", "evaluator-0@a", "learner", "memory"]
    for log in logs:
        host = "b" if log.endswith("@b") else "a"
        there = tmp_path / "run" / "hosts" / host / "logs" / f"{log}.log"
        assert there.read_text() == (tmp_path / "run" / "logs" / f"{log}.log").read_text()
    secrets = {path.parent.parent.name for path in tmp_path.rglob("*.secret")}
    assert secrets == {"a", "b", "run"}
    assert agents_of(tmp_path) == []
    with pytest.raises(RunDirectoryTakenError, match="already holds a run"):
        launch(tiny_plan(steps=1_500), options)


def test_it_goes_on_with_a_run(tmp_path):
    options = LaunchOptions(tmp_path / "run", local=True, progress=False)
    first = launch(tiny_plan(steps=1_000), options)
    again = LaunchOptions(tmp_path / "run", local=True, progress=False, resume=True)
    second = launch(tiny_plan(steps=2_000), again)
    assert second.summary["environment_steps"] > first.summary["environment_steps"]
    assert second.summary["updates"] > first.summary["updates"]
    with pytest.raises(FileError, match="no run of `zdqn launch`"):
        chosen_folder(tiny_plan(), None, tmp_path / "other", stem="x")


def test_without_keys_there_are_none(tmp_path):
    options = LaunchOptions(tmp_path / "run", local=True, progress=False, secure=False)
    launch(tiny_plan(steps=500, hosts=("a",)), options)
    assert not list(tmp_path.rglob("*.secret"))


def test_a_mistake_of_the_run_is_its_error_and_nothing_is_left(tmp_path):
    plan = tiny_plan(hosts=("a",))
    config = plan.config.replace("environment.id", "NoSuchEnvironment-v0")
    from dataclasses import replace

    options = LaunchOptions(tmp_path / "run", local=True, progress=False)
    with pytest.raises(ConfigError, match="NoSuchEnvironment"):
        launch(replace(plan, config=config), options)
    assert agents_of(tmp_path) == []


def test_a_launch_that_is_refused_leaves_no_folder(tmp_path, monkeypatch):
    def refuse(_findings):
        raise FileError("no")

    monkeypatch.setattr("zdqn.launch.cluster.cluster_entry.refuse_what_is_bad", refuse)
    with pytest.raises(FileError):
        launch(tiny_plan(), LaunchOptions(tmp_path / "run", local=True, progress=False))
    assert not list(tmp_path.iterdir())


def test_a_stop_ends_it_well(tmp_path, in_thread, until):
    stop = StopEvent()
    results = []
    options = LaunchOptions(tmp_path / "run", local=True, progress=False)
    in_thread(lambda: results.append(launch(tiny_plan(), options, stop=stop)))
    until(lambda: (tmp_path / "run" / "metrics.jsonl").exists())
    stop.set_for("SIGINT")
    until(lambda: results)
    assert results[0].stop_reason == "SIGINT"
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["stop_reason"] == "SIGINT"
    assert agents_of(tmp_path) == []


def test_a_look_starts_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    findings = check(tiny_plan(), local=True)
    assert [(finding.host, finding.verdict) for finding in findings] == [
        ("a", "good"), ("b", "good"),
    ]  # fmt: skip
    assert not list(tmp_path.iterdir())
