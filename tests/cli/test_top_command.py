"""`zdqn top`: what it begins with, what one picture holds, and how it ends, on a real terminal."""

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.launch.terminal import Terminal
from tests.launch.views import collector, status
from zdqn.cli.application import application
from zdqn.config import Config, to_toml
from zdqn.errors import NotAllowedError, PeerUnavailableError
from zdqn.records.endpoints import record_endpoints
from zdqn.records.run_directory import RunDirectory
from zdqn.records.run_files import RunFiles
from zdqn.records.run_lock import RunLock
from zdqn.wire.addresses import parse_address
from zdqn.wire.node import Node
from zdqn.wire.status import MetricsRow


def answer(address, *_):
    learner = {"role": "learner", **status().to_wire(), "clients": [collector(0, host="10.0.0.7")]}
    memory = {"role": "memory", "size": 12_345, "capacity": 50_000, "samples_per_insert": 3.5}
    return {"tcp://l:1": learner, "tcp://m:2": memory}[address]


def refuse(*_):
    raise PeerUnavailableError("nobody answers")


@pytest.fixture
def run_directory(tmp_path):
    record_endpoints(tmp_path, "memory", {"samples": "tcp://m:2"})
    record_endpoints(tmp_path, "learner", {"model": "tcp://l:1"})
    return str(tmp_path)


@pytest.fixture
def fetch(monkeypatch):
    """Let servers answer in this way."""

    def put(function):
        monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", function)

    return put


def top(*words):
    return CliRunner().invoke(application, ["top", *words])


def test_one_picture_of_a_run(fetch, run_directory):
    fetch(answer)
    result = top(run_directory, "--once")
    assert result.exit_code == 0, result.output
    for text in ("training  42 s", "12,345", "collector-0", "10.0.0.7", "learner-bound", "limiter"):
        assert text in result.stdout, result.stdout


def test_an_address_will_do(fetch):
    fetch(answer)
    result = top("tcp://l:1", "--once")
    assert result.exit_code == 0
    assert "training  42 s" in result.stdout


def test_where_there_is_no_terminal_one_picture_has_to_be_asked_for(fetch, run_directory):
    fetch(answer)
    result = top(run_directory)
    assert result.exit_code == 2
    assert "--once prints one picture" in result.stderr


def test_a_learner_that_is_away_is_no_end(fetch, run_directory):
    fetch(lambda address, *_: refuse() if address == "tcp://l:1" else answer(address))
    result = top(run_directory, "--once")
    assert result.exit_code == 0
    assert "the learner does not answer" in result.stdout
    assert "12,345" in result.stdout


def test_of_a_run_that_has_ended_the_summary_is_shown(fetch, run_directory):
    fetch(refuse)
    RunFiles(Path(run_directory)).summary.write_text('{"stop_reason": "updates", "updates": 1234}')
    result = top(run_directory, "--once")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "the run has ended"


def test_a_run_of_which_nobody_knows(fetch, run_directory):
    fetch(refuse)
    result = top(run_directory, "--once")
    assert (result.exit_code, result.stderr) == (69, "error: nobody answers\n")


def test_a_run_whose_servers_are_to_come_is_waited_for(fetch, run_directory):
    fetch(refuse)
    with RunLock(RunFiles(Path(run_directory)).launch_lock):
        result = top(run_directory, "--once")
    assert result.exit_code == 0
    assert "the learner does not answer" in result.stdout


def test_who_may_not_ask_is_told_so(fetch, run_directory):
    def not_allowed(*_):
        raise NotAllowedError("a key is wanted")

    fetch(not_allowed)
    result = top(run_directory, "--once")
    assert (result.exit_code, result.stderr) == (77, "error: a key is wanted\n")


def test_a_training_in_one_process_is_shown_by_its_files(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.write_config(to_toml(Config().replace("stop.updates", 500)))
    directory.add_metrics(MetricsRow(wall_s=4.0, updates=123, loss=0.25, episode_return_mean=9.5))
    with RunLock(directory.lock):
        result = top(str(tmp_path), "--once")
    assert result.exit_code == 0, result.output
    for text in ("123 of 500 updates", "loss 0.25", "return"):
        assert text in result.stdout, result.stdout


class Learner:
    """Answers status requests as a learner does, until it is closed."""

    def __init__(self, context):
        self._node = Node(context)
        place = parse_address("tcp://127.0.0.1:0", parameter="here", bind=True)
        self._server, self._publisher = self._node.server_and(
            self._node.publisher, place, "learner"
        )
        self.address = str(self._server.address)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        from zdqn.wire import codec
        from zdqn.wire.protocol import Status

        values: dict[str, Any] = status().to_wire()
        while not self._left.is_set():
            request = self._server.receive()
            if request is None:
                self._server.wait(20)
            else:
                self._server.reply(request, codec.encode(Status(role="learner", values=values)))

    def close(self):
        self._left.set()
        self._thread.join()
        for part in (self._server, self._publisher, self._node):
            part.close()


@pytest.fixture
def learner(context):
    made = Learner(context)
    yield made
    made.close()


@pytest.fixture
def terminal():
    opened = []

    def start(*words):
        code = "from zdqn.cli import main; main()"
        argv = [sys.executable, "-c", code, "top", *words]
        environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
        made = Terminal(argv, columns=100, rows=30, env=environment)
        opened.append(made)
        return made

    yield start
    for made in opened:
        made.close()


@pytest.mark.own_keys
@pytest.mark.parametrize("leave", ["q", "Ctrl-C"])
def test_a_person_leaves_and_has_the_terminal_as_it_was(learner, terminal, leave):
    shown = terminal(learner.address)
    shown.read_until(lambda _: "learner-bound" in shown.raw, "a picture")
    shown.type({"q": b"q", "Ctrl-C": b"\x03"}[leave])
    assert shown.finish() == 0
    assert shown.settings() == shown.before
    assert "\x1b[?1049h" in shown.raw, "it takes the other screen"
    assert shown.raw.rindex("\x1b[?1049l") > shown.raw.rindex("\x1b[?1049h"), "and gives it back"
    assert "\x1b[?25h" in shown.raw[shown.raw.rindex("\x1b[?25l") :]
