"""A whole launch with real processes, every host played by this machine."""

import json
import os
import re
import signal
import threading
from concurrent.futures import Future
from dataclasses import replace

import pytest

from tests.launch.cluster.clusters import agents_of, tiny_plan
from tests.roles.conftest import eventually
from zdqn.errors import (
    ConfigError,
    FileError,
    PeerUnavailableError,
    RunDirectoryTakenError,
    ZdqnError,
)
from zdqn.launch.cluster.cluster_entry import LaunchOptions, check, chosen_folder, launch
from zdqn.launch.cluster.host_connector import HostConnector
from zdqn.records.run_result import RunResult
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


@pytest.fixture
def begun(tmp_path):
    """A launch whose learner has a checkpoint, on a host whose agent can be killed."""
    made = Begun(tmp_path / "run")
    yield made
    made.stop.set_for("SIGINT")
    made.thread.join(120)
    assert not made.thread.is_alive()
    eventually(lambda: agents_of(tmp_path) == [], "the end of roles whose agent was killed")


class Begun:
    def __init__(self, run):
        self.run, self.stop = run, StopEvent()
        self.ended: Future[RunResult] = Future()
        plan = tiny_plan()
        self._plan = replace(
            plan, config=plan.config.replace("learner.checkpoint_period_updates", 20)
        )
        self.thread = threading.Thread(target=self._launch)
        self.thread.start()
        self.wait_for(lambda: list((run / "checkpoints").glob("update-*.pt")), "a checkpoint")

    def _launch(self):
        options = LaunchOptions(self.run, local=True, progress=False)
        try:
            self.ended.set_result(launch(self._plan, options, stop=self.stop))
        except ZdqnError as error:
            self.ended.set_exception(error)

    def wait_for(self, condition, what):
        eventually(lambda: self.ended.done() or condition(), what)
        assert not self.ended.done(), self.ended.result()

    def kill_agent(self):
        """Kill the agent of the host of both servers, with which its roles end."""
        told = json.loads((self.run / "hosts" / "a" / "agent.json").read_text())
        os.kill(told["agent"][0], signal.SIGKILL)


@pytest.mark.timeout(300)
def test_a_learner_whose_host_was_lost_goes_on_when_that_is_back(begun):
    begun.kill_agent()

    def since_it_resumed():
        return (begun.run / "logs" / "learner.log").read_text().partition("resuming from ")[2]

    begun.wait_for(lambda: re.search(r"evaluation [1-9]", since_it_resumed()), "it goes on")
    begun.stop.set_for("SIGINT")
    result = begun.ended.result(120)
    assert result.stop_reason == "SIGINT"
    assert result.summary["learner_epoch"] == 2


@pytest.mark.timeout(300)
def test_a_run_that_is_ended_while_that_is_away_says_where_what_it_learned_is(begun, monkeypatch):
    tried = threading.Event()

    def fail(*_):
        tried.set()
        raise PeerUnavailableError("a: it is down")

    monkeypatch.setattr(HostConnector, "connect", fail)
    begun.kill_agent()
    begun.wait_for(tried.is_set, "an attempt to connect")
    begun.stop.set_for("SIGINT")
    with pytest.raises(PeerUnavailableError, match=r"as a, the host of its learner, .*--resume"):
        begun.ended.result(120)


def test_a_look_starts_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    findings = check(tiny_plan(), local=True)
    assert [(finding.host, finding.verdict) for finding in findings] == [
        ("a", "good"), ("b", "good"),
    ]  # fmt: skip
    assert not list(tmp_path.iterdir())
