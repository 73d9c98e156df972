"""The role commands translate words into a role's arguments, and no more."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

from zdqn.cli.application import application
from zdqn.config import Config
from zdqn.records.endpoints import read_endpoints
from zdqn.records.run_files import RunFiles


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

    def read_keys_again(self):
        pass


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """Run a command with a stand-in for its role and give what the role was made with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text('[learner]\nbind = "tcp://127.0.0.1:7001"\n')
    monkeypatch.setattr(Recorder, "made", [])

    def run(role, *words):
        home = "zdqn.roles.learner.role" if role == "learner" else f"zdqn.roles.{role}"
        monkeypatch.setattr(f"{home}.{role.capitalize()}", Recorder)
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


@pytest.mark.parametrize("role", ["memory", "learner"])
def test_a_servers_configuration_tells_its_folder_of_keys(invoke, tmp_path, role):
    config, _, _ = invoke(role, "tiny.toml", "--set", "security.keys=other", "--keys", "lab")
    assert config.security.keys == str(tmp_path / "lab")


@pytest.mark.parametrize("role", ["collector", "evaluator"])
def test_clients_are_told_their_folder_of_keys(invoke, role):
    _, arguments, _ = invoke(role, "--keys", "lab")
    assert arguments["keys"] == Path("lab")


@pytest.mark.parametrize("role", ["collector", "evaluator"])
def test_clients_are_told_whose_code_may_come_by_the_network(invoke, role):
    _, arguments, _ = invoke(role, "--allow-code", "a.b", "--allow-code", "c")
    assert arguments["allow_code"] == ("a.b", "c")


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


def test_a_learner_that_has_ended_draws_its_curve_and_says_how(invoke, monkeypatch):
    monkeypatch.setattr(
        "zdqn.launch.entry.plot_learning_curve",
        lambda directory: RunFiles(directory).learning_curve.touch(),
    )

    def train(self):
        _, arguments = self.made[-1]
        arguments["run_directory"].mkdir(exist_ok=True)
        (arguments["run_directory"] / "summary.json").write_text(
            '{"stop_reason": "updates", "updates": 1234}'
        )

    monkeypatch.setattr(Recorder, "run", train)
    _, _, printed = invoke("learner", "tiny.toml", "--run-dir", "here")
    assert printed.splitlines()[-4:] == [
        "ended             stop.updates was reached",
        "updates           1,234",
        "run directory     here",
        "learning curve    here/learning_curve.png",
    ]


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


# --- a learner that may be taken away -------------------------------------------------------------


def test_a_preemptible_learner_finds_out_itself_whether_to_go_on(invoke, monkeypatch, tmp_path):
    home = "zdqn.roles.learner.preemptible.PreemptibleLearner"
    monkeypatch.setattr(home, type("Preemptible", (Recorder,), {}))
    _, arguments, _ = invoke("learner", "tiny.toml", "--run-dir", "kept", "--preemptible")
    assert str(arguments["run_directory"]) == "kept"
    assert not {"resume", "overwrite"} & set(arguments)


@pytest.mark.parametrize(
    "words",
    [[], ["--run-dir", "r", "--overwrite"], ["--run-dir", "r", "--resume", "r"]],
)
def test_it_needs_a_folder_and_no_word_of_what_is_in_it(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text("")
    (tmp_path / "r").mkdir()
    done = CliRunner().invoke(application, ["learner", "tiny.toml", "--preemptible", *words])
    assert done.exit_code == 2
    assert "--preemptible begins the run in --run-dir" in done.output


def test_at_sigterm_its_exit_code_says_that_it_can_be_started_again(tmp_path):
    (tmp_path / "tiny.toml").write_text("")
    process = subprocess.Popen(
        [sys.executable, "-m", "zdqn", "learner", "--preemptible", "--run-dir", tmp_path / "run",
         tmp_path / "tiny.toml", "--bind", "tcp://127.0.0.1:0", "--memory", "tcp://127.0.0.1:9"],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process:
        try:
            while "model" not in (line := process.stdout.readline()):  # signals are handled by now
                assert line, process.stderr and process.stderr.read()
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=90)
        finally:
            process.kill()
    assert process.returncode == 75, said
    assert "before it has begun to train" in said
