"""Which run is meant, where its servers are, and what they answer."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.launch.cluster.clusters import small_plan
from zdqn.errors import FileError, PeerUnavailableError, UsageError
from zdqn.launch.cluster.cluster_record import ClusterRecord, write_record
from zdqn.launch.run_inquiry import (
    ask_servers,
    directory_of_target,
    identity_of,
    operator_keys,
    plan_of,
    server_addresses,
)
from zdqn.launch.run_view import RunPlan
from zdqn.records.endpoints import record_endpoints
from zdqn.records.run_files import RunFiles


def test_an_address_is_no_directory_and_nothing_means_the_newest(tmp_path, monkeypatch):
    assert directory_of_target("tcp://l:1") is None
    assert directory_of_target("runs/first") == Path("runs/first")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no run under"):
        directory_of_target(None)
    (tmp_path / "runs/second").mkdir(parents=True)
    record_endpoints(tmp_path / "runs/second", "learner", {"model": "tcp://l:1"})
    assert directory_of_target(None) == Path("runs/second")


def test_the_learner_is_asked_first(tmp_path):
    record_endpoints(tmp_path, "memory", {"samples": "tcp://m:2", "transitions": "tcp://m:1"})
    record_endpoints(tmp_path, "learner", {"model": "tcp://l:1"})
    found = server_addresses(str(tmp_path), tmp_path)
    assert found == [("learner", "tcp://l:1"), ("memory", "tcp://m:2")]
    assert server_addresses("tcp://x:1", None) == [(None, "tcp://x:1")]


def test_a_folder_without_servers_is_refused(tmp_path):
    with pytest.raises(FileError):
        server_addresses(str(tmp_path), tmp_path)


def test_who_answers_and_who_does_not(monkeypatch):
    def fetch(address, *_):
        if address == "tcp://m:2":
            raise PeerUnavailableError("nobody")
        return {"role": "learner", "verdict": "x"}

    monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", fetch)
    asked = ask_servers([("learner", "tcp://l:1"), ("memory", "tcp://m:2")], None)
    assert asked.answers == {"learner": {"address": "tcp://l:1", "role": "learner", "verdict": "x"}}
    assert [str(error) for error in asked.failures] == ["nobody"]
    assert asked.in_vain == ("memory",)


@pytest.mark.parametrize(
    ("run_id", "roles"),
    [("", {"learner", "memory"}), ("new", {"learner", "memory"}), ("old", {"memory"})],
)
def test_a_server_of_another_run_has_not_answered(monkeypatch, run_id, roles):
    def fetch(address, *_):
        if address == "tcp://m:2":
            return {"role": "memory", "run_id": ""}  # no learner has joined it
        return {"role": "learner", "run": {"run_id": "new"}}

    monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", fetch)
    asked = ask_servers([("learner", "tcp://l:1"), ("memory", "tcp://m:2")], None, run_id)
    assert set(asked.answers) == roles
    assert len(asked.failures) == 2 - len(roles)
    assert all("another run answers now: new" in str(error) for error in asked.failures)


def test_an_identity_is_known_once_a_learner_has_begun(tmp_path):
    assert identity_of(None) == identity_of(tmp_path) == ""
    RunFiles(tmp_path).identity.write_text("lab-1\n")
    assert identity_of(tmp_path) == "lab-1"


def test_keys_and_plan_come_from_the_runs_own_configuration(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("zdqn.wire.keys.role_keys.open_keys", lambda *args: asked.append(args))
    operator_keys(None, tmp_path)
    assert plan_of(tmp_path) == plan_of(None) == RunPlan()
    RunFiles(tmp_path).config.write_text(
        '[security]\nkeys = "/lab/keys"\n[environment]\nid = "Acrobot-v1"\n'
    )
    operator_keys(None, tmp_path)
    operator_keys(Path("other"), tmp_path)
    assert asked == [
        (None, "operator"), ("/lab/keys", "operator"), (Path("other"), "operator")
    ]  # fmt: skip
    assert plan_of(tmp_path).environment == "Acrobot-v1"


def test_what_hosts_keep_has_a_plan_before_its_files_are_here(tmp_path):
    plan = small_plan()
    config = plan.config.replace("environment.id", "Acrobot-v1")
    write_record(tmp_path, ClusterRecord(replace(plan, config=config), "run", detached=True))
    assert plan_of(tmp_path).environment == "Acrobot-v1"
