"""The real thing, in a pty: what a person sees, and what is left when it is over."""

import re
import signal
import sys
from pathlib import Path

import pytest

import zdqn
from tests.launch.terminal import Terminal

TINY = """
[environment]
id = "CartPole-v1"
[network]
hidden = [16]
[replay]
min_size = 64
samples_per_insert = 8.0
[learner]
report_period_s = 0.1
[evaluator]
period_environment_steps = 1_000
episodes = 2
environments = 2
[launch]
collectors = 1
evaluators = 1
[stop]
environment_steps = 1_000_000
"""


@pytest.fixture
def terminal(tmp_path):
    """Start a zdqn command in a terminal."""
    (tmp_path / "tiny.toml").write_text(TINY)
    opened = []

    def start(*words, module=("-m", "zdqn"), env=None, **how):
        environment = {"PYTHONPATH": str(Path(zdqn.__path__[0]).parent), "LANG": "en_US.UTF-8"}
        argv = [sys.executable, *module, *words]
        opened.append(Terminal(argv, cwd=tmp_path, env=environment | (env or {}), **how))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def has(*texts):
    return lambda lines: all(text in "\n".join(lines) for text in texts)


def assert_left_as_it_was(terminal):
    assert terminal.screen.cursor_is_shown
    assert terminal.settings() == terminal.before
    assert not terminal.screen.unknown
    assert not terminal.screen.wrapped, "a line was broken by the terminal"


@pytest.mark.parametrize(("command", "columns"), [("run", 80), ("train", 120)])
def test_ctrl_c_is_answered_at_once_and_leaves_the_summary_alone(
    terminal, tmp_path, command, columns
):
    shown = terminal(command, "tiny.toml", "--run-dir", "x", columns=columns)
    shown.read_until(lambda _: shown.has_shown("starting"), "the first picture")
    shown.read_until(has("training", "evaluation", "after steps", "updates,"), "training")
    assert not any("info" in line for line in shown.screen.text())
    shown.type(b"\x03")
    assert shown.finish() == 0
    assert shown.has_shown("stopping; again to end now")
    lines = shown.screen.text()
    assert lines[0] == "run directory: x"
    assert lines[1].startswith("ended             stopped by SIGINT")
    logs = [path.read_text() for path in (tmp_path / "x" / "logs").iterdir()]
    assert len(logs) == (4 if command == "run" else 1)
    assert any("training is over: SIGINT" in log for log in logs)
    assert not any("^C" in line or "stopping" in line or "●" in line for line in lines)
    assert_left_as_it_was(shown)


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_second_ctrl_c_ends_it_now(terminal, command):
    # what is asked to stop waits for its evaluation, or plays it to its end
    slow = ("--set", "evaluator.episodes=100000", "--set", "evaluator.environments=100")
    shown = terminal(command, "tiny.toml", "--run-dir", "x", *slow)
    shown.read_until(has("evaluating"), "something that takes long")
    shown.process.send_signal(signal.SIGSTOP)  # so that both come before it ends
    shown.process.send_signal(signal.SIGINT)
    shown.process.send_signal(signal.SIGTERM)
    shown.process.send_signal(signal.SIGCONT)
    assert shown.finish() in (130, 143)
    assert not any("ended  " in line for line in shown.screen.text()), "there is no summary"
    assert_left_as_it_was(shown)


def test_verbose_shows_the_logs_above_the_screen(terminal):
    shown = terminal("run", "tiny.toml", "--run-dir", "x", "-v", rows=60, columns=100)
    shown.read_until(has("collector-0 | ", "learner     | ", "training"), "logs and a screen")
    lines = shown.screen.text()
    screen = next(i for i, line in enumerate(lines) if line.startswith("CartPole-v1  "))
    assert all(i < screen for i, line in enumerate(lines) if re.match(r"[a-z0-9-]+ +\| ", line))
    shown.type(b"\x03")
    assert shown.finish() == 0
    assert_left_as_it_was(shown)


def test_a_small_terminal_of_a_user_of_the_c_locale(terminal):
    english = {"LANG": "C", "LC_ALL": "C"}
    shown = terminal("train", "tiny.toml", "--run-dir", "x", columns=40, rows=8, env=english)
    shown.read_until(has("training", "updates", "acting    +"), "training")
    shown.type(b"\x03")
    assert shown.finish() == 0
    assert shown.raw.isascii()
    assert shown.screen.cursor_is_shown
    assert not shown.screen.unknown


def test_a_mistake_is_a_paragraph_with_nothing_left_of_a_screen(terminal):
    shown = terminal("train", "tiny.toml", "--run-dir", "x", "--set", "environment.id=CartPol-v1")
    assert shown.finish() == 78
    lines = shown.screen.text()
    assert lines[1].startswith("error: ")
    assert shown.screen.cursor_is_shown
    assert shown.settings() == shown.before


SCRIPT = """
import sys, zdqn
config = zdqn.load_config("tiny.toml", ["stop.environment_steps=3000"])
zdqn.{function}(config, run_directory="x", progress={progress})
"""


@pytest.mark.parametrize(("function", "progress"), [("run", False), ("train", True)])
def test_python_has_the_same_screen_and_can_be_silent(terminal, function, progress):
    script = SCRIPT.format(function=function, progress=progress)
    shown = terminal("-c", script, module=())
    assert shown.finish() == 0
    assert shown.screen.text() == []
    assert ("CartPole-v1" in shown.raw) is progress
    assert (shown.raw == "") is not progress
    assert_left_as_it_was(shown)


def test_status_watches_and_ends_at_ctrl_c(terminal):
    run = terminal("run", "tiny.toml", "--run-dir", "x")
    run.read_until(has("training", "after steps"), "training")
    shown = terminal("status", "x", "--watch")
    shown.read_until(has("training", "collector-0", "evaluator-0", "held back"), "a status")
    shown.type(b"\x03")
    assert shown.finish() == 0
    assert any(line.startswith("collector-0") for line in shown.screen.text()), "it stays"
    assert_left_as_it_was(shown)
    shown = terminal("status", "x", "--watch")
    shown.read_until(has("training"), "a status")
    run.type(b"\x03")
    assert run.finish() == 0
    assert shown.finish() == 0
    lines = shown.screen.text()
    assert any(line.startswith("ended    ") for line in lines), lines
