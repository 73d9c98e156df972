"""What a person sees: whole, tolerant of what is missing, one line in a log."""

import io
import logging
import threading
import time

import pytest

from tests.launch.sheets import Sheet
from tests.launch.views import PLAN
from zdqn.errors import PeerUnavailableError
from zdqn.launch.display import Display, ScreenDisplay, choose_display, progress_line
from zdqn.launch.logs import configure_logging
from zdqn.stopping import StopEvent
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


def test_a_log_gets_lines_and_progress_now_and_then():
    stream = io.StringIO()
    with Display(stream, period_s=1e9) as display:
        display.log("collector-0", "hello")
        for _ in range(3):
            display.show(STATUS)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "collector-0 | hello"
    assert len(lines) == 2


@pytest.fixture
def sheet():
    return Sheet()


def screen(sheet, tmp_path, **how):
    return ScreenDisplay(sheet, PLAN, tmp_path, **how)


def wait_for(condition):
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_screen_is_there_at_once_and_moves(sheet, tmp_path):
    with screen(sheet, tmp_path) as display:
        assert sheet.drawn[0][0].startswith("CartPole-v1  starting")
        display.follow_training(lambda: STATUS)
        wait_for(lambda: "training" in sheet.drawn[-1][0])
        assert sheet.open == 1
    assert sheet.open == 0
    count = len(sheet.drawn)
    assert not any(thread.name.startswith("zdqn-screen") for thread in threading.enumerate())
    assert len(sheet.drawn) == count


def test_a_screen_shows_of_logs_what_matters(sheet, tmp_path):
    lines = (
        "10:00:00 info nothing", "10:00:00 warning [red]something\x1b[2J", "a traceback",
        "10:00:00 error everything",
    )  # fmt: skip
    with screen(sheet, tmp_path) as display:
        for line in lines:
            display.log("learner", line)
        display.log("run", "collector-1 ended with SIGKILL; starting it again (1 of 3).")
    assert sheet.said == [
        "learner     | 10:00:00 warning [red]something?[2J",
        "learner     | 10:00:00 error everything",
        "run         | collector-1 ended with SIGKILL; starting it again (1 of 3).",
    ]


def test_a_verbose_screen_shows_all_of_them(sheet, tmp_path):
    with screen(sheet, tmp_path, verbose=True) as display:
        display.log("learner", "10:00:00 info nothing")
    assert sheet.said == ["learner     | 10:00:00 info nothing"]


def test_a_long_line_of_a_log_is_broken_between_words(tmp_path):
    sheet = Sheet(40)
    with screen(sheet, tmp_path) as display:
        display.log("run", 12 * "collectors ")
        display.log("run", "it ends with:\n  10:00:00 info last words")
    assert sheet.said[-2:] == [
        "run         | it ends with:", "            | 10:00:00 info last words"
    ]  # fmt: skip
    assert max(map(len, sheet.said)) <= 40
    assert sheet.said[:2] == [
        "run         | collectors collectors",
        "            | collectors collectors",
    ]


def test_this_process_log_goes_to_its_file_and_warnings_are_shown(sheet, tmp_path):
    stream = io.StringIO()
    configure_logging("info", stream)
    logger = logging.getLogger("zdqn.learner")
    try:
        with screen(sheet, tmp_path) as display:
            logger.warning("before it is known whether there will be a run")
            assert not any(tmp_path.iterdir()), "a start that is refused leaves no file"
            display.follow_training(lambda: STATUS)
            logger.info("a detail")
            logger.warning("look")
        logger.info("afterwards")
    finally:
        configure_logging("info")
    written = (tmp_path / "logs" / "train.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in written] == ["info a detail", "warning look"]
    said = [line.split(" ", 1)[1] for line in sheet.said]
    assert said == ["warning before it is known whether there will be a run", "warning look"]
    assert stream.getvalue().endswith("info afterwards\n")
    assert "look" not in stream.getvalue()


@pytest.mark.parametrize("by", ["event", "launcher"])
def test_ctrl_c_is_answered_at_once(sheet, tmp_path, by):
    stop = StopEvent()
    with screen(sheet, tmp_path, stop=stop) as display:
        display.follow_training(lambda: STATUS)
        wait_for(lambda: "training" in sheet.drawn[-1][0])
        if by == "event":
            stop.set_for("SIGINT")
        else:
            display.ending("SIGINT")
        wait_for(lambda: "stopping; again to end now" in sheet.drawn[-1][0])


@pytest.mark.parametrize("keeps", [True, False])
def test_what_stays_shows_how_the_run_has_ended(tmp_path, keeps):
    sheet = Sheet(keeps=keeps)
    (tmp_path / "summary.json").write_text('{"updates": 1234}')
    with screen(sheet, tmp_path) as display:
        display.follow_training(lambda: STATUS)
        display.conclude()
    ended = ["CartPole-v1  has ended", "updates           1,234"]
    assert (sheet.drawn[-1] == ended) is keeps


def test_a_picture_that_fails_does_not_end_what_it_shows(sheet, tmp_path):
    def fail():
        raise RuntimeError("no status")

    with screen(sheet, tmp_path) as display:
        display.follow_training(fail)
        wait_for(lambda: sheet.said)
    assert "the screen is drawn no more: RuntimeError('no status')" in sheet.said[0]


def test_a_server_that_does_not_answer_is_asked_again(sheet, tmp_path, monkeypatch):
    answers = {"tcp://l:1": iter([None, None, {"role": "learner", **STATUS.to_wire()}])}

    def fetch(address, *_):
        answer = next(answers[address], STATUS.to_wire()) if address in answers else None
        if answer is None:
            raise PeerUnavailableError("not yet")
        return answer

    monkeypatch.setattr("zdqn.launch.display.fetch_status", fetch)
    with screen(sheet, tmp_path) as display:
        display.follow("memory", "tcp://m:2")
        display.follow("learner", "tcp://l:1")
        wait_for(lambda: "18,304 of" in "".join(sheet.drawn[-1]))


def test_nothing_is_shown_where_nothing_is_to_be(capfd, tmp_path):
    with choose_display(PLAN, tmp_path, progress=False) as display:
        display.log("run", "something")
        display.follow("learner", "tcp://l:1")
        display.follow_training(lambda: STATUS)
        display.show(STATUS)
        display.ending("SIGINT")
    assert capfd.readouterr() == ("", "")


def test_plain_lines_of_a_training_where_its_log_says_nothing():
    stream = io.StringIO()
    logger = logging.getLogger("zdqn")
    before = logger.level
    try:
        logger.setLevel(logging.WARNING)
        with Display(stream) as display:
            display.follow_training(lambda: STATUS)
            wait_for(stream.getvalue)
        assert "18,304 steps" in stream.getvalue()
        logger.setLevel(logging.INFO)
        with Display(stream) as display:
            display.follow_training(lambda: STATUS)
            assert not any(
                thread.daemon and thread.name == "zdqn-progress" for thread in threading.enumerate()
            )
    finally:
        logger.setLevel(before)


def test_without_a_terminal_ctrl_c_is_answered_with_a_line():
    stream = io.StringIO()
    with Display(stream) as display:
        display.ending("SIGINT")
        display.ending("the memory was asked to stop")
    assert stream.getvalue() == "run         | stopping (SIGINT); again to end now\n"
