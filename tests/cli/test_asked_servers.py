"""Who is asked for a target, and what is known of who did not answer."""

from pathlib import Path

import pytest

from zdqn.cli.asked_servers import ask, run_directory_of, server_addresses, show_what_is_left
from zdqn.errors import FileError, PeerUnavailableError, UsageError
from zdqn.launch.run_inquiry import Asked
from zdqn.records.endpoints import record_endpoints
from zdqn.records.run_files import RunFiles


@pytest.fixture
def run_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    record_endpoints(folder, "memory", {"samples": "tcp://m:2", "transitions": "tcp://m:1"})
    record_endpoints(folder, "learner", {"model": "tcp://l:1", "metrics": "http://l:3/metrics"})
    return folder


def test_of_a_folder_the_learner_is_asked_first(run_directory):
    assert server_addresses(str(run_directory)) == [
        ("learner", "tcp://l:1"), ("memory", "tcp://m:2"),
    ]  # fmt: skip
    assert server_addresses("tcp://l:1") == [(None, "tcp://l:1")]


def test_without_a_target_it_is_the_newest_run(run_directory):
    assert run_directory_of(None) == Path("runs/one")
    assert run_directory_of("tcp://l:1") is None


def test_where_there_is_no_run_that_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no run"):
        server_addresses(None)
    assert isinstance(ask(str(tmp_path), None).failures[0], FileError)


def test_who_did_not_answer_is_known_if_anybody_is(run_directory, monkeypatch):
    def fetch(address, *_):
        if address == "tcp://l:1":
            raise PeerUnavailableError("nobody")
        return {"role": "memory", "size": 3}

    monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", fetch)
    asked = ask(str(run_directory), None)
    assert asked.answers.keys() == {"memory"}
    assert asked.answers["memory"]["size"] == 3
    assert asked.in_vain == ("learner",)
    assert Asked({"learner": {}}, []).in_vain == ()


def test_a_run_that_has_ended_is_called_as_it_is_here(run_directory, capsys):
    RunFiles(run_directory).summary.write_text('{"updates": 5, "run_directory": "/there/one"}')
    assert show_what_is_left(Path("runs/one"), as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "the run has ended",
        "updates           5",
        "run directory     runs/one",
    ]
