"""The process of one run of a study: what it is told, and that it ends with who started it."""

import io
import signal
import sys
import time
from typing import Any

import pytest

from tests.experiments.studies.made_studies import make_plan
from zdqn.config import to_toml
from zdqn.errors import ConfigError
from zdqn.experiments.studies import study_child
from zdqn.experiments.studies.study_child import StudyChild, main
from zdqn.experiments.studies.study_folder import RunState, state_of

DEADLINE_S = 90


@pytest.fixture
def config(tmp_path):
    def write(*overrides):
        path = tmp_path / "config.toml"
        path.write_text(to_toml(make_plan(overrides=overrides).runs()[0].config))
        return path

    return write


@pytest.fixture
def start(tmp_path, config):
    children = []

    def begin(*overrides, command="train"):
        child = StudyChild(
            command, config(*overrides), tmp_path / "run", resume=False, log=tmp_path / "log"
        )
        children.append(child)
        return child

    yield begin
    for child in children:
        child.kill()


def wait_for(condition, child, tmp_path):
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s, (tmp_path / "log").read_text()
        time.sleep(0.02)


ENDLESS = "stop.environment_steps=100000000"


def test_it_ends_cleanly_when_its_input_ends_as_it_does_when_the_study_dies(start, tmp_path):
    child = start(ENDLESS)
    wait_for((tmp_path / "run" / "metrics.jsonl").exists, child, tmp_path)
    assert child.poll() is None
    child.ask_to_stop()
    child.ask_to_stop()  # again does no harm
    wait_for(lambda: child.poll() is not None, child, tmp_path)
    assert child.poll() == 0
    assert state_of(tmp_path / "run") is RunState.CUT_OFF
    assert "the end of its study" in (tmp_path / "run" / "summary.json").read_text()


def test_it_can_be_killed(start, tmp_path):
    child = start(ENDLESS)
    wait_for((tmp_path / "run" / "config.toml").exists, child, tmp_path)
    child.kill()
    child.kill()  # again does no harm
    assert child.poll() == -signal.SIGKILL


def test_its_threads_are_pinned_and_ctrl_c_does_not_reach_it(tmp_path, monkeypatch):
    started: dict[str, Any] = {}
    monkeypatch.setattr("subprocess.Popen", lambda argv, **given: started.update(given, argv=argv))
    StudyChild("run", tmp_path / "c", tmp_path / "run", resume=True, log=tmp_path / "log")
    assert started["argv"][-4:] == ["run", str(tmp_path / "c"), str(tmp_path / "run"), "resume"]
    assert started["process_group"] == 0
    threads = [name for name in started["env"] if name.endswith("_NUM_THREADS")]
    assert len(threads) >= 4
    assert all(started["env"][name] == "1" for name in threads)


# --- in this process ----------------------------------------------------------------------------


@pytest.fixture
def inside(monkeypatch):
    """Run `main` with a training that is none; give what it was called with."""
    calls = []
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(study_child, "_stop_on_signals", lambda stop: None)
    monkeypatch.setattr(study_child, "_stop_at_end_of_input", lambda stop: None)
    monkeypatch.setattr("zdqn.launch.logs.configure_logging", lambda level: None)

    def stand_in(command, error=None):
        def make(config, **arguments):
            calls.append((command, config, arguments))
            if error is not None:
                raise error

        monkeypatch.setattr(f"zdqn.launch.entry.{command}", make)

    stand_in("train")
    stand_in("run")
    return calls, stand_in


@pytest.mark.parametrize(("how", "resume"), [("anew", None), ("resume", "there")])
@pytest.mark.parametrize("command", ["train", "run"])
def test_its_words_say_what_it_does(inside, command, how, resume):
    calls, _ = inside
    assert main([command, "config.toml", "there", how]) == 0
    ((called, config, arguments),) = calls
    assert (called, config) == (command, "config.toml")
    assert (arguments["run_directory"], arguments["resume"]) == ("there", resume)


def test_an_error_is_one_line_of_its_log(inside, monkeypatch):
    _, stand_in = inside
    stand_in("train", ConfigError("replay.capacity is 0."))
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    assert main(["train", "config.toml", "there", "anew"]) == ConfigError.exit_code
    assert said.getvalue() == "error: replay.capacity is 0.\n"
