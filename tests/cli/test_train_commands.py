"""`zdqn run` and `zdqn train` translate words into arguments, and print how it ended."""

import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from zdqn.cli.application import application
from zdqn.config import load_config, to_toml
from zdqn.records.run_result import RunResult


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """Run a command without its training; give what that was called with, and the result."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text("[run]\nseed = 1\n")

    def run(command, *words):
        calls: list[tuple[Any, dict[str, Any]]] = []

        def stand_in(config, **arguments):
            assert (
                arguments["run_directory"].is_dir()
                or "runs" not in arguments["run_directory"].parts
            ), "a new one is made before it is used"
            calls.append((config, arguments))
            return RunResult(Path("there"), {"stop_reason": "updates", "updates": 1234})

        monkeypatch.setattr(f"zdqn.launch.entry.{command}", stand_in)
        path = () if words[:1] == ("without",) else ("tiny.toml",)
        result = CliRunner().invoke(application, [command, *path, *words[1 - len(path) :]])
        assert result.exit_code == 0, result.output
        ((config, arguments),) = calls
        return config, arguments, result

    return run


def test_short_options_are_overrides_and_win(invoke):
    config, arguments, result = invoke(
        "run", "--set", "run.seed=2", "--seed", "3", "--collectors", "4", "--evaluators", "0",
        "--insecure", "--log-level", "debug", "--run-dir", "here",
    )  # fmt: skip
    assert (config.run.seed, config.launch.collectors, config.launch.evaluators) == (3, 4, 0)
    assert arguments["run_directory"] == Path("here")
    assert (arguments["insecure"], arguments["log_level"]) == (True, "debug")
    assert arguments["resume"] is None
    assert isinstance(arguments["stop"], threading.Event)
    assert "updates           1,234" in result.stdout
    assert "run directory     there" in result.stdout
    assert "run directory: here" in result.stderr


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_run_that_is_gone_on_with_has_its_configuration(invoke, command):
    Path("old/checkpoints").mkdir(parents=True)
    Path("old/checkpoints/update-000000001.pt").touch()
    changed = load_config("tiny.toml", ["run.seed=5", "algorithm.n_step=3"])
    Path("old/config.toml").write_text(to_toml(changed))
    config, arguments, _ = invoke(
        command, "without", "--resume", "old", "--set", "algorithm.n_step=4"
    )
    assert (config.run.seed, config.algorithm.n_step) == (5, 4)
    assert arguments["run_directory"] == arguments["resume"] == Path("old")
    assert not arguments["overwrite"]


@pytest.mark.parametrize("command", ["run", "train"])
def test_only_overwrite_overwrites(invoke, command):
    assert not invoke(command)[1]["overwrite"]
    assert invoke(command, "--overwrite")[1]["overwrite"]


@pytest.mark.parametrize("command", ["run", "train"])
def test_verbose(invoke, command):
    assert not invoke(command)[1]["verbose"]
    assert invoke(command, "-v")[1]["verbose"]
    assert invoke(command, "--verbose")[1]["verbose"]


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_run_directory_is_called_after_the_configuration(invoke, command):
    config, arguments, _ = invoke(command, "--set", "run.seed=2")
    assert config.run.seed == 2
    assert arguments["run_directory"].parent == Path("runs")
    assert arguments["run_directory"].name.endswith("-tiny")
    assert not any(Path("runs").iterdir()), "nothing was written to it"


def test_a_run_goes_on_in_the_folder_it_resumes(invoke):
    Path("old/checkpoints").mkdir(parents=True)
    Path("old/checkpoints/update-000000001.pt").touch()
    _, arguments, _ = invoke("run", "--resume", "old")
    assert arguments["run_directory"] == arguments["resume"] == Path("old")
    _, arguments, _ = invoke("run", "--resume", "old", "--run-dir", "new")
    assert (arguments["run_directory"], arguments["resume"]) == (Path("new"), Path("old"))


@pytest.mark.parametrize("command", ["run", "train", "learner"])
@pytest.mark.parametrize("resume", ["nowhere", "."])
def test_what_is_no_run_cannot_be_gone_on_with(tmp_path, monkeypatch, command, resume):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(application, [command, "--resume", resume])
    assert result.exit_code == 74
    assert f"--resume is {resume}, which is no run directory with a checkpoint" in result.stderr
    assert not any(tmp_path.iterdir())
