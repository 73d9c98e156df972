"""Runs that have ended are told of from their folders alone."""

import json
import os

import pytest
from click.testing import CliRunner

from tests.launch.cluster.clusters import small_plan
from zdqn.cli.application import application
from zdqn.cli.ended_runs import ends_of_ended
from zdqn.launch.cluster.cluster_record import ClusterRecord, write_record
from zdqn.records.endpoints import record_endpoints
from zdqn.records.run_files import RunFiles
from zdqn.records.run_lock import RunLock


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch):
    for name in (
        "zdqn.wire.remote_control.fetch_status",
        "zdqn.wire.remote_control.request_stop",
        "zdqn.launch.keepers.visit",
        "zdqn.launch.cluster.visits.Visit",
    ):
        monkeypatch.setattr(name, None)


@pytest.fixture
def ended(tmp_path):
    """A run whose port another one has by now."""
    record_endpoints(tmp_path, "learner", {"model": "tcp://l:1"})
    files = RunFiles(tmp_path)
    files.metrics.write_text("{}")
    files.summary.write_text('{"stop_reason": "updates", "updates": 1234}')
    return tmp_path


def invoke(*words):
    return CliRunner().invoke(application, [str(word) for word in words])


def test_only_what_has_certainly_ended_has(ended):
    files = RunFiles(ended)
    assert ends_of_ended(ended) == {}
    for lock in (files.lock, files.launch_lock):
        with RunLock(lock):
            assert ends_of_ended(ended) is None
    files.summary.write_text('{"updates": 1234, "metrics_bytes": 1}')
    assert ends_of_ended(ended) is None  # it has been gone on with, and killed
    files.summary.unlink()
    assert ends_of_ended(ended) is None
    assert ends_of_ended(None) is None


@pytest.mark.parametrize("words", [("status",), ("status", "--all"), ("status", "--watch"),
                                   ("top", "--once")])  # fmt: skip
def test_it_is_shown_without_asking_anybody(ended, words):
    shown = invoke(*words, ended)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("the run has ended\n")
    assert "1,234" in shown.stdout


def test_it_is_shown_to_programs(ended):
    summary = json.loads(invoke("status", ended, "--json").stdout)["summary"]
    assert summary["updates"] == 1234


def test_it_cannot_be_ended_and_it_is_said_since_when(ended):
    os.utime(RunFiles(ended).metrics, (0, 0))
    os.utime(RunFiles(ended).summary, (86_400 * 365, 86_400 * 365))
    stopped = invoke("stop", ended)
    assert stopped.exit_code == 69
    assert "has ended already (stop.updates was reached, on 1971-01-01" in stopped.stderr
    assert "nothing is left to end" in stopped.stderr


@pytest.mark.parametrize(
    ("ends", "code", "named"),
    [
        ({"memory": 0, "learner": 0}, 0, ()),
        ({"memory": 0, "learner": 0, "c": 70, "d": -9}, 137, ("c ended with", "d ended with")),
        ({"memory": 0, "learner": None}, 69, ("learner: how it ended is not known",)),
    ],
)
def test_of_what_hosts_kept_the_exit_code_is_the_worst_of_all(ended, ends, code, named):
    plan = small_plan()
    write_record(ended, ClusterRecord(plan, "run", detached=True))
    assert ends_of_ended(ended) is None  # the summary may be of a start before
    write_record(ended, ClusterRecord(plan, "run", detached=True, ends=ends))
    for command in ("status", "stop"):
        found = invoke(command, ended)
        assert found.exit_code == code, found.output
        assert all(line in found.stderr for line in named)
    assert "has ended already (stop.updates was reached, on 20" in invoke("stop", ended).stdout
