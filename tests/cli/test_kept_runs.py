"""What `zdqn status` and `zdqn stop` do besides for a run that its hosts keep."""

import json
import os
import signal
from dataclasses import replace

import click
import pytest
from click.testing import CliRunner

from tests.launch.cluster.clusters import agents_of, kill_all_of, tiny_plan
from tests.roles.conftest import eventually
from zdqn.cli.application import application
from zdqn.cli.kept_runs import exit_with_the_worst, is_kept
from zdqn.launch.cluster.cluster_entry import LaunchOptions, launch_detached


@pytest.fixture
def kept(tmp_path):
    directory = tmp_path / "run"
    launch_detached(tiny_plan(hosts=("a",)), LaunchOptions(directory, local=True, progress=False))
    yield directory
    kill_all_of(directory)


def invoke(*words):
    return CliRunner().invoke(application, [str(word) for word in words])


def test_it_is_shown_and_stopped_with_its_results_fetched(kept):
    assert is_kept(kept)
    shown = invoke("status", kept, "--all")
    assert shown.exit_code == 0, shown.output
    assert "keys" in shown.output
    stopped = invoke("stop", kept)
    assert stopped.exit_code == 0, stopped.output
    assert "asked tcp://127.0.0.1" in stopped.output
    assert agents_of(kept) == []
    if (kept / "summary.json").exists():
        assert json.loads((kept / "summary.json").read_text())["stop_reason"].startswith(
            "zdqn stop"
        )


def test_one_whose_servers_are_dead_is_ended_by_its_hosts(kept):
    told = json.loads((kept / "hosts" / "a" / "agent.json").read_text())
    os.kill(told["processes"]["learner"][0], signal.SIGKILL)
    (kept / "endpoints.json").write_text('{"learner": {"model": "tcp://127.0.0.1:9"}}')
    stopped = invoke("stop", kept)
    assert "asked a to end what they keep" in stopped.output
    assert stopped.exit_code == 137, stopped.output
    assert "learner ended with SIGKILL" in stopped.output
    assert agents_of(kept) == []


def test_one_whose_learner_is_away_is_ended_by_its_memory_and_its_hosts(kept):
    endpoints = json.loads((kept / "endpoints.json").read_text())
    endpoints["learner"]["model"] = "tcp://127.0.0.1:9"
    (kept / "endpoints.json").write_text(json.dumps(endpoints))
    stopped = invoke("stop", kept)
    assert "the learner does not answer; asked a to end what they keep" in stopped.output
    assert agents_of(kept) == []


def test_one_whose_role_stays_dead_tells_so_when_it_has_ended(tmp_path):
    directory, plan = tmp_path / "run", tiny_plan(hosts=("a",))
    plan = replace(plan, config=plan.config.replace("launch.max_restarts", 0))
    launch_detached(plan, LaunchOptions(directory, local=True, progress=False))
    try:
        eventually(lambda: (directory / "metrics.jsonl").exists(), "training")
        place = directory / "hosts" / "a" / "agent.json"
        os.kill(json.loads(place.read_text())["processes"]["evaluator-0@a"][0], signal.SIGKILL)
        eventually(lambda: "evaluator-0@a" in json.loads(place.read_text())["ends"], "its end")
        for command in ("stop", "status"):
            ended = invoke(command, directory)
            assert ended.exit_code == 137, ended.output
            assert "evaluator-0@a ended with SIGKILL" in ended.output
            assert "zdqn stop by" in ended.output
    finally:
        kill_all_of(directory)


def test_one_whose_host_was_killed_and_came_back_has_nothing_left_to_end(kept, monkeypatch):
    eventually(lambda: (kept / "metrics.jsonl").exists(), "training")
    kill_all_of(kept)
    eventually(lambda: not agents_of(kept), "the end of all")
    first = invoke("stop", kept)
    assert "nothing is left to end" in first.output
    assert "it was killed" in first.output
    monkeypatch.setattr("zdqn.launch.keepers.visit", None)  # nobody is asked again
    for command in ("stop", "status"):
        again = invoke(command, kept)
        assert again.exit_code == first.exit_code == 69
        assert "learner: how it ended is not known" in again.output
        assert "it was killed" in again.output
    assert "has ended already" in invoke("stop", kept).output


@pytest.mark.parametrize(
    ("ends", "code", "said"),
    [
        ({}, 0, ""),
        ({"learner": 0, "memory": 0}, 0, ""),
        ({"learner": None, "memory": 0}, 69, "learner: how it ended is not known, as its host or "
         "agent was killed before it\n"),
        ({"learner": 0, "collector-0@a": 70}, 70, "collector-0@a ended with exit code 70\n"),
        ({"a": -9, "b": 78}, 137, "a ended with SIGKILL\nb ended with exit code 78\n"),
    ],
)  # fmt: skip
def test_the_exit_code_is_the_worst_of_all_that_have_ended(ends, code, said):
    found = CliRunner().invoke(click.Command("ended", callback=lambda: exit_with_the_worst(ends)))
    assert (found.exit_code, found.output) == (code, said)


def test_another_run_is_not_kept(tmp_path):
    assert not is_kept(tmp_path)
    assert not is_kept(None)
