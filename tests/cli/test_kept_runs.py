"""What `zdqn status` and `zdqn stop` do besides for a run that its hosts keep."""

import json
import os
import signal

import pytest
from click.testing import CliRunner

from tests.launch.cluster.clusters import agents_of, tiny_plan
from zdqn.cli.application import application
from zdqn.cli.kept_runs import is_kept
from zdqn.launch.cluster.cluster_entry import LaunchOptions, launch_detached


@pytest.fixture
def kept(tmp_path):
    directory = tmp_path / "run"
    launch_detached(tiny_plan(hosts=("a",)), LaunchOptions(directory, local=True, progress=False))
    yield directory
    for identity in agents_of(directory):
        os.kill(identity[0], signal.SIGKILL)


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
    assert "asked its hosts to end what they keep" in stopped.output
    assert stopped.exit_code == 137, stopped.output
    assert agents_of(kept) == []


def test_another_run_is_not_kept(tmp_path):
    assert not is_kept(tmp_path)
    assert not is_kept(None)
