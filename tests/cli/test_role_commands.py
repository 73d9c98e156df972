"""The role commands translate words into a role's arguments, and no more."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

from zdqn.cli.application import application
from zdqn.cli.options import server_address
from zdqn.config import Config
from zdqn.errors import UsageError
from zdqn.launch.endpoints import read_endpoints, record_endpoints


class Recorder:
    """Stands in for a role: keeps what it was made with, and runs at once."""

    made: ClassVar[list[Any]] = []

    def __init__(self, config, **arguments):
        self.made.append((config, arguments))
        if "on_bound" in arguments:
            arguments["on_bound"]({"samples": "tcp://127.0.0.1:4001"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self):
        pass


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """Run a command with a stand-in for its role and give what the role was made with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text('[learner]\nbind = "tcp://127.0.0.1:7001"\n')
    monkeypatch.setattr(Recorder, "made", [])

    def run(role, *words):
        monkeypatch.setattr(f"zdqn.roles.{role}.{role.capitalize()}", Recorder)
        result = CliRunner().invoke(application, [role, *words])
        assert result.exit_code == 0, result.output
        ((config, arguments),) = Recorder.made
        return config, arguments, result.stdout

    return run


def test_memory(invoke, tmp_path):
    config, arguments, printed = invoke(
        "memory", "tiny.toml", "--bind", "tcp://127.0.0.1:0", "--insecure", "--run-dir", "made",
        "--set", "replay.capacity=2000",
    )  # fmt: skip
    assert config.replay.capacity == 2000
    assert (arguments["bind"], arguments["insecure"]) == ("tcp://127.0.0.1:0", True)
    assert "memory samples: tcp://127.0.0.1:4001" in printed
    assert read_endpoints(tmp_path / "made") == {"memory": {"samples": "tcp://127.0.0.1:4001"}}


def test_memory_without_a_run_directory_writes_nothing(invoke, tmp_path):
    invoke("memory", "tiny.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def test_learner_makes_a_run_directory_called_after_the_configuration(invoke, tmp_path):
    _, arguments, printed = invoke("learner", "tiny.toml")
    directory = arguments["run_directory"]
    assert directory.parent == Path("runs")
    assert directory.name.endswith("-tiny")
    assert arguments["memory"] == Config().memory.bind
    assert str(directory) in printed
    assert "learner" in json.loads((tmp_path / directory / "endpoints.json").read_text())


def test_learner_goes_on_in_the_folder_it_resumes(invoke, tmp_path):
    (tmp_path / "old" / "checkpoints").mkdir(parents=True)
    (tmp_path / "old" / "checkpoints" / "update-000000001.pt").touch()
    _, arguments, _ = invoke(
        "learner", "tiny.toml", "--resume", "old", "--memory", "tcp://127.0.0.1:9"
    )
    assert arguments["run_directory"] == arguments["resume"] == Path("old")
    assert arguments["memory"] == "tcp://127.0.0.1:9"


@pytest.mark.parametrize("role", ["collector", "evaluator"])
def test_clients_take_their_configuration_from_the_learner(invoke, role):
    config, arguments, _ = invoke(role, "--learner", "tcp://127.0.0.1:8001", "--name", "desk")
    assert config is None
    assert (arguments["learner"], arguments["name"]) == ("tcp://127.0.0.1:8001", "desk")


@pytest.mark.parametrize("role", ["collector", "evaluator"])
def test_clients_find_the_learner_where_the_configuration_binds_it(invoke, role):
    config, arguments, _ = invoke(role, "tiny.toml", "--set", "run.seed=5")
    assert config.run.seed == 5
    assert arguments["learner"] == "tcp://127.0.0.1:7001"


def test_collector_is_told_the_memory(invoke):
    _, arguments, _ = invoke("collector", "--memory", "tcp://127.0.0.1:8002")
    assert arguments["memory"] == "tcp://127.0.0.1:8002"
    assert arguments["learner"] == Config().learner.bind


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("tcp://127.0.0.1:5", "tcp://127.0.0.1:5"),
        ("tcp://0.0.0.0:5", "tcp://127.0.0.1:5"),
        ("tcp://*:5", "tcp://127.0.0.1:5"),
        ("tcp://[::]:5", "tcp://[::1]:5"),
        ("ipc:///tmp/x", "ipc:///tmp/x"),
    ],
)
def test_where_a_client_looks_for_a_server(bind, address):
    assert server_address(None, bind, server="memory") == address
    assert server_address("tcp://a:1", bind, server="memory") == "tcp://a:1"


def test_a_port_that_is_chosen_later_cannot_be_guessed():
    with pytest.raises(UsageError, match="--memory"):
        server_address(None, "tcp://127.0.0.1:0", server="memory")


def test_status_and_stop_ask_the_servers_of_a_run(monkeypatch, tmp_path):
    answers: dict[str, dict[str, Any]] = {
        "tcp://l:1": {"role": "learner", "run": {"phase": "training", "wall_s": 61.0}},
        "tcp://m:2": {"role": "memory", "size": 12_345, "clients": [{"name": "collector-0"}]},
    }
    asked = []
    monkeypatch.setattr("zdqn.wire.remote.fetch_status", lambda at, timeout_s: dict(answers[at]))
    monkeypatch.setattr("zdqn.wire.remote.request_stop", lambda *args: asked.append(args[0]))
    record_endpoints(tmp_path, "memory", {"samples": "tcp://m:2"})
    record_endpoints(tmp_path, "learner", {"model": "tcp://l:1"})
    shown = CliRunner().invoke(application, ["status", str(tmp_path)]).output
    assert "1:01 min, training" in shown
    assert "12,345" in shown
    assert "collector-0" in shown
    printed = CliRunner().invoke(application, ["status", str(tmp_path), "--json"]).stdout
    assert set(json.loads(printed)) == {"learner", "memory"}
    CliRunner().invoke(application, ["stop", str(tmp_path)])
    assert asked == ["tcp://l:1"]
