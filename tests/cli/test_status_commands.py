"""`zdqn status` and `zdqn stop`: a run that goes on somewhere else."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from zdqn.cli.application import application
from zdqn.errors import NotAllowedError, PeerUnavailableError
from zdqn.launch.canvas import Paper
from zdqn.records.endpoints import record_endpoints
from zdqn.records.run_files import RunFiles
from zdqn.records.run_lock import RunLock


def test_status_and_stop_ask_the_servers_of_a_run(monkeypatch, tmp_path):
    answers: dict[str, dict[str, Any]] = {
        "tcp://l:1": {"role": "learner", "run": {"phase": "training", "wall_s": 61.0}},
        "tcp://m:2": {
            "role": "memory",
            "size": 12_345,
            "clients": [{"name": "collector-0", "role": "collector", "state": "living"}],
        },
    }
    asked = []
    monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", lambda at, *_: dict(answers[at]))
    monkeypatch.setattr(
        "zdqn.wire.remote_control.request_stop", lambda *args: asked.append(args[0])
    )
    record_endpoints(tmp_path, "memory", {"samples": "tcp://m:2"})
    record_endpoints(tmp_path, "learner", {"model": "tcp://l:1"})
    shown = CliRunner().invoke(application, ["status", str(tmp_path)]).output
    assert "training  1:01 min" in shown
    assert "12,345" in shown
    assert "collector-0" in shown
    printed = CliRunner().invoke(application, ["status", str(tmp_path), "--json"]).stdout
    assert set(json.loads(printed)) == {"learner", "memory"}
    CliRunner().invoke(application, ["stop", str(tmp_path)])
    assert asked == ["tcp://l:1"]


def test_who_may_not_ask_is_told_so_though_the_run_goes_on(monkeypatch, run_directory):
    def fetch(*_):
        raise NotAllowedError("a key is wanted")

    monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", fetch)
    with RunLock(RunFiles(Path(run_directory)).lock):
        result = CliRunner().invoke(application, ["status", run_directory])
    assert result.exit_code == 77
    assert "a key is wanted" in result.output


def test_the_folder_of_keys_is_given_or_that_of_the_run(monkeypatch, run_directory, tmp_path):
    asked = []
    monkeypatch.setattr("zdqn.wire.keys.role_keys.open_keys", lambda *args: asked.append(args))
    monkeypatch.setattr("zdqn.wire.remote_control.request_stop", lambda *_: None)
    path = RunFiles(Path(run_directory)).config
    path.write_text('[security]\nkeys = "/lab/keys"\n')
    CliRunner().invoke(application, ["stop", run_directory])
    CliRunner().invoke(application, ["stop", run_directory, "--keys", "other"])
    CliRunner().invoke(application, ["stop", "tcp://l:1"])
    assert asked == [("/lab/keys", "operator"), (Path("other"), "operator"), (None, "operator")]


def refuse(*_):
    raise PeerUnavailableError("nobody answers")


@pytest.fixture
def run_directory(tmp_path):
    record_endpoints(tmp_path, "memory", {"samples": "tcp://m:2"})
    record_endpoints(tmp_path, "learner", {"model": "tcp://l:1"})
    return str(tmp_path)


def test_stop_asks_the_memory_when_the_learner_is_gone(monkeypatch, run_directory):
    asked = []

    def request(address, *_):
        asked.append(address)
        if address == "tcp://l:1":
            refuse()

    monkeypatch.setattr("zdqn.wire.remote_control.request_stop", request)
    stopped = CliRunner().invoke(application, ["stop", run_directory])
    assert stopped.exit_code == 0
    assert asked == ["tcp://l:1", "tcp://m:2"]


@pytest.mark.parametrize("command", ["status", "stop"])
def test_a_run_of_which_nobody_answers(monkeypatch, run_directory, command):
    monkeypatch.setattr("zdqn.wire.remote_control.request_stop", refuse)
    monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", refuse)
    result = CliRunner().invoke(application, [command, run_directory])
    assert result.exit_code == 69
    assert result.stderr == "error: nobody answers\n"


def test_status_of_what_is_left_of_a_run(monkeypatch, run_directory):
    def fetch(address, *_):
        if address == "tcp://l:1":
            refuse()
        return {"role": "memory", "size": 12_345}

    monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", fetch)
    result = CliRunner().invoke(application, ["status", run_directory])
    assert result.exit_code == 0
    assert "12,345" in result.stdout
    assert "warning: nobody answers" in result.stderr


def test_a_folder_that_names_no_server(tmp_path):
    (tmp_path / "endpoints.json").write_text("{}")
    result = CliRunner().invoke(application, ["status", str(tmp_path)])
    assert result.exit_code == 74
    assert "names no server" in result.stderr


@pytest.fixture
def silent(monkeypatch):
    monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", refuse)


@pytest.mark.parametrize("servers", [True, False])
def test_of_a_run_that_has_ended_the_summary_is_shown(silent, tmp_path, servers):
    if servers:
        record_endpoints(tmp_path, "learner", {"model": "tcp://l:1"})
    RunFiles(tmp_path).summary.write_text('{"stop_reason": "updates", "updates": 1234}')
    shown = CliRunner().invoke(application, ["status", str(tmp_path)])
    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[0] == "the run has ended"
    assert "updates           1,234" in shown.stdout
    printed = CliRunner().invoke(application, ["status", str(tmp_path), "--json"])
    assert json.loads(printed.stdout) == {"summary": {"stop_reason": "updates", "updates": 1234}}


def test_a_run_that_has_ended_cannot_be_stopped_and_that_is_said(monkeypatch, run_directory):
    monkeypatch.setattr("zdqn.wire.remote_control.request_stop", refuse)
    files = RunFiles(Path(run_directory))
    files.summary.write_text('{"stop_reason": "updates", "updates": 1234}')
    stopped = CliRunner().invoke(application, ["stop", run_directory])
    assert stopped.exit_code == 69
    assert f"{run_directory} has ended already (stop.updates was reached, on 20" in stopped.stderr
    with RunLock(files.lock):  # it goes on: the summary is of an earlier start
        stopped = CliRunner().invoke(application, ["stop", run_directory])
    assert stopped.exit_code == 69
    assert stopped.stderr == "error: nobody answers\n"


def of_another_run(address, *_):
    """Answer at the addresses of a run, as a server of another one."""
    if address == "tcp://l:1":
        return {"role": "learner", "run": {"run_id": "new-1"}}
    return {"role": "memory", "run_id": "new-1"}


@pytest.fixture
def killed(run_directory):
    """A run that was killed."""
    files = RunFiles(Path(run_directory))
    files.metrics.write_text("{}")
    files.identity.write_text("old-1\n")
    return run_directory


@pytest.mark.parametrize("command", ["status", "stop", "top --once"])
def test_another_run_at_its_addresses_is_not_shown_and_not_stopped(monkeypatch, killed, command):
    asked = []
    monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", of_another_run)
    monkeypatch.setattr("zdqn.wire.remote_control.request_stop", lambda *_: asked.append(_))
    result = CliRunner().invoke(application, [*command.split(), killed])
    assert (result.exit_code, asked) == (69, [])
    assert "of the run old-1 was, that of another run answers now: new-1" in result.stderr
    assert "it was killed" in result.stderr
    RunFiles(Path(killed)).identity.write_text("new-1\n")
    if command == "stop":
        assert CliRunner().invoke(application, [command, killed]).exit_code == 0
        assert len(asked) == 1


@pytest.mark.parametrize("command", ["status", "stop"])
def test_whoever_refuses_to_answer_may_be_another_run(monkeypatch, killed, command):
    def refuse_key(*_):
        raise NotAllowedError("another key")

    monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", refuse_key)
    monkeypatch.setattr("zdqn.wire.remote_control.request_stop", refuse_key)
    result = CliRunner().invoke(application, [*command.split(), killed])
    assert result.exit_code == 77
    assert f"another key No process uses {killed}: what answers there may be" in result.stderr
    with RunLock(RunFiles(Path(killed)).lock):
        result = CliRunner().invoke(application, [*command.split(), killed])
    assert (result.exit_code, result.stderr) == (77, "error: another key\n")


def test_a_run_that_was_killed_is_not_stopped_without_a_word(monkeypatch, killed):
    monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", refuse)
    stopped = CliRunner().invoke(application, ["stop", killed])
    assert stopped.exit_code == 69
    assert "nobody answers" in stopped.stderr
    assert "it was killed" in stopped.stderr
    assert "Nothing is left to end." in stopped.stderr


def test_a_run_of_one_process_is_ended_where_it_runs_and_that_is_said(tmp_path):
    with RunLock(RunFiles(tmp_path).lock):
        stopped = CliRunner().invoke(application, ["stop", str(tmp_path)])
    assert stopped.exit_code == 2
    assert f"(process {os.getpid()} on " in stopped.stderr
    assert "End it where it runs: with Ctrl-C" in stopped.stderr
    stopped = CliRunner().invoke(application, ["stop", str(tmp_path)])
    assert stopped.exit_code == 74
    assert "has no endpoints.json" in stopped.stderr


def test_a_run_of_one_process_is_shown_with_who_trains_it(silent, tmp_path):
    RunFiles(tmp_path).summary.write_text('{"updates": 1234}')  # of an earlier start
    with RunLock(RunFiles(tmp_path).lock):
        shown = CliRunner().invoke(application, ["status", str(tmp_path)])
        printed = CliRunner().invoke(application, ["status", str(tmp_path), "--json"])
    assert shown.exit_code == 0
    assert f"(process {os.getpid()} on " in shown.stdout
    assert "1,234" not in shown.stdout
    assert f"(process {os.getpid()} on " in json.loads(printed.stdout)["held_by"]


def test_the_summary_of_an_earlier_start_is_not_taken_for_that_of_a_killed_one(
    silent, run_directory
):
    files = RunFiles(Path(run_directory))
    files.summary.write_text('{"updates": 1234, "metrics_bytes": 0}')
    files.metrics.write_text("{}")
    shown = CliRunner().invoke(application, ["status", run_directory])
    assert shown.exit_code == 69
    assert "it was killed" in shown.stderr
    assert f"--resume {run_directory}" in shown.stderr


LEARNER: dict[str, Any] = {
    "role": "learner",
    "run": {"phase": "training", "wall_s": 61.0},
    "progress": {"updates": 77, "environment_steps": 1_234},
    "verdict": "\x1b[2J[/red] learner-bound",
    "clients": [
        {"name": "[/red] me", "role": "collector", "state": "living", "last_seen_s": 0.5,
         "environment_steps": 600, "collecting_s": 3.0, "blocked_s": 1.5, "epsilon": 0.25},
    ],
}  # fmt: skip
MEMORY = {"role": "memory", "size": 12_345, "reading": False}


@pytest.fixture
def answering(monkeypatch):
    """Servers that answer so often, and then no more."""

    def answer(times=1_000, at_the_end=lambda: None):
        left = [2 * times]

        def fetch(address, *_):
            left[0] -= 1
            if left[0] < 0:
                at_the_end()
                refuse()
            return dict(LEARNER if address == "tcp://l:1" else MEMORY)

        monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", fetch)

    return answer


def test_status_is_a_table_for_a_person_and_steers_nothing(answering, run_directory):
    answering()
    shown = CliRunner().invoke(application, ["status", run_directory])
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[-2:] == [
        "collector   steps/s   steps   epsilon   held back   state",
        "[/red] me       200     600      0.25        50 %   living",
    ]
    assert "?[2J[/red] learner-bound" in lines
    assert "\x1b" not in shown.output
    assert "reading" not in shown.output


def test_status_shows_how_the_run_went_so_far(answering, run_directory):
    answering()
    RunFiles(Path(run_directory)).metrics.write_text(
        '{"environment_steps": 5, "episode_return_mean": 20.0}\n'
        '{"environment_steps": 9, "episode_return_mean": 31.5}\n'
    )
    RunFiles(Path(run_directory)).config.write_text('[environment]\nid = "Acrobot-v1"\n')
    shown = CliRunner().invoke(application, ["status", run_directory]).stdout
    assert shown.startswith("Acrobot-v1  training  1:01 min")
    assert "31.5, while exploring, from 20 to 31.5" in shown


def test_all_numbers(answering, run_directory):
    answering()
    shown = CliRunner().invoke(application, ["status", run_directory, "--all"])
    assert shown.exit_code == 0, shown.output
    assert "12,345" in shown.stdout
    assert "reading" in shown.stdout
    assert "\x1b" not in shown.output


@pytest.fixture
def without_pauses(monkeypatch):
    monkeypatch.setattr("zdqn.cli.status_commands._WATCH_PERIOD_S", 0)


def test_watching_ends_with_the_run_and_says_how(answering, without_pauses, run_directory):
    summary = RunFiles(Path(run_directory)).summary
    answering(times=3, at_the_end=lambda: summary.write_text('{"updates": 1234}'))
    shown = CliRunner().invoke(application, ["status", run_directory, "--watch"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.count("training  1:01 min") == 3
    assert shown.stdout.endswith("the run has ended\nupdates           1,234\n")


def test_watching_ends_at_ctrl_c_and_says_no_more(
    answering, without_pauses, run_directory, monkeypatch
):
    answering()
    draw = Paper.draw

    def interrupted(page, lines):
        os.kill(os.getpid(), signal.SIGINT)
        draw(page, lines)

    monkeypatch.setattr(Paper, "draw", interrupted)
    shown = CliRunner().invoke(application, ["status", run_directory, "--watch"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.count("training  1:01 min") == 1
    assert shown.stdout.splitlines()[-1].startswith("[/red] me")
