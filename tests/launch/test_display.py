"""What a person sees: whole, tolerant of what is missing, one line in a log."""

import io

import pytest
from rich.console import Console

from zdqn.launch.display import (
    Display,
    TerminalDisplay,
    duration,
    number,
    progress_line,
    progress_rows,
)
from zdqn.wire.status import LearnerStatus

STATUS = LearnerStatus.read(
    {
        "run": {"run_id": "x", "phase": "training", "wall_s": 12.4},
        "progress": {
            "environment_steps": 18_304,
            "updates": 3_100,
            "episodes": 90,
            "environment_steps_per_s": 1_500.0,
            "episode_return_mean": 187.2,
            "last_evaluation_return": 201.0,
            "best_evaluation_return": 230.0,
            "epsilon": 0.05,
            "loss": 0.0123,
            "blocks_lost": 0,
        },
        "stop": {"environment_steps": 50_000, "evaluation_return": 475.0},
        "clients": [
            {"role": "collector", "state": "living"},
            {"role": "collector", "state": "living"},
            {"role": "evaluator", "state": "gone"},
        ],
    }
)


def test_one_line():
    assert progress_line(STATUS).strip() == (
        "12 s  18,304 steps  3,100 updates  90 episodes  return 187.2  evaluation 201 (best 230)  "
        "epsilon 0.05"
    )


def test_rows():
    rows = dict(progress_rows(STATUS))
    assert rows["environment steps"] == "18,304, of 50,000, 1,500/s"
    assert rows["updates"] == "3,100"
    assert rows["evaluation"] == "201, best 230, goal 475"
    assert rows["processes"] == "2 collector living, 1 evaluator gone"
    assert "verdict" not in rows


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"run": {}, "progress": {}, "stop": {}, "clients": [{}]},
        {"run": {}, "progress": {"loss": None}, "clients": [{}], "of": "a later version"},
    ],
)
def test_missing_numbers_are_left_out(status):
    read = LearnerStatus.read(status)
    assert "None" not in progress_line(read)
    assert "None" not in str(progress_rows(read))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1:00 min"), (3725, "1:02:05 h"), (None, "")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (None, "-"), (True, "-"), ("x", "-")])
def test_number(value, text):
    assert number(value, absent="-") == text


def test_a_log_gets_lines_and_progress_now_and_then():
    stream = io.StringIO()
    with Display(stream, period_s=1e9) as display:
        display.log("collector-0", "hello")
        for _ in range(3):
            display.show(STATUS)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "collector-0 | hello"
    assert len(lines) == 2


def test_a_terminal_gets_a_block_and_lines_above_it():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    with TerminalDisplay(console) as display:
        display.show(STATUS)
        display.log("learner", "[not markup] here")
    written = stream.getvalue()
    assert "18,304" in written
    assert "learner     | [not markup] here" in written
