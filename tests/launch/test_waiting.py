"""Who waits at a terminal sees what goes on and how far it is; a log has a line now and then."""

import json
import logging
import re
import subprocess
import sys
import threading
import time

import pytest

from tests.launch.sheets import Sheet
from tests.launch.terminal import Terminal
from zdqn.launch import waiting
from zdqn.launch.lines import ASCII, UNICODE, text_of, width_of
from zdqn.launch.waiting import TaskProgress, Waiting, draw_waiting, shown_progress, waiting_words

DEADLINE_S = 60.0
HALF = Waiting("evaluating", 10.0, done=2, total=8, unit="episodes")
DOING = Waiting("looking", 12.0, doing="at the environment", doing_s=3.0)

# --- what is shown --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (HALF, "10 s: evaluating, 2 of 8 episodes, 30 s left"),
        (HALF._replace(done=0), "10 s: evaluating, 0 of 8 episodes"),
        (HALF._replace(elapsed_s=0.5), "0 s: evaluating, 2 of 8 episodes"),
        (HALF._replace(alike=False), "10 s: evaluating, 2 of 8 episodes"),
        (HALF._replace(total=None), "10 s: evaluating, 2 episodes"),
        (HALF._replace(done=9), "10 s: evaluating, 9 of 8 episodes, a few s left"),
        (DOING, "12 s: looking; at the environment, 3 s"),
        (Waiting("a\x1b[31m", 1.0), "1 s: a?[31m"),
    ],
)
def test_a_line_says_since_when_what_how_far_and_what_is_left_where_that_is_known(view, said):
    assert waiting_words(view) == said


def test_a_terminal_has_a_bar_where_there_is_something_to_come():
    (line,) = draw_waiting(HALF, 70, glyphs=UNICODE)
    text = text_of(line)
    assert text.endswith("  evaluating, 2 of 8 episodes, 10 s, 30 s left")
    bar = text.split()[0]
    assert (bar.count(UNICODE.done), bar.count(UNICODE.left)) == (6, 18), "a quarter"
    first, second = draw_waiting(DOING, 70, glyphs=UNICODE)
    assert (text_of(first), text_of(second)) == ("looking, 12 s", "  at the environment, 3 s")


def test_of_a_title_that_is_too_long_the_end_is_left_out_and_no_number():
    view = HALF._replace(title="evaluating " + "/somewhere" * 9)
    (line,) = draw_waiting(view, 60, glyphs=UNICODE)
    assert text_of(line).endswith("─  evaluating …, 2 of 8 episodes, 10 s, 30 s left")


@pytest.mark.parametrize("view", [HALF, DOING, HALF._replace(doing="a very long word " * 9)])
def test_no_line_is_wider_than_the_terminal(view):
    for width in range(3, 120):
        for line in draw_waiting(view, width, glyphs=UNICODE):
            assert width_of(text_of(line)) <= width


def test_a_terminal_that_knows_no_more_has_ascii():
    view = HALF._replace(title="über", doing="größer")
    assert all(text_of(line).isascii() for line in draw_waiting(view, 70, glyphs=ASCII))


def test_something_else_that_begins_is_counted_anew():
    progress = TaskProgress("reading")
    progress.doing("the first half")
    progress(3)
    assert progress.look()[2:6] == (3, None, "", True)
    progress.begin("sending", 7, "steps", alike=False)
    view = progress.look()
    assert view[2:7] == (0, 7, "steps", False, "")
    assert (view.title, view.left_s()) == ("sending", None)


# --- where it is shown ----------------------------------------------------------------------------

CODE = """
import logging, subprocess, sys
import click
subprocess.run(["stty", "-echo"], check=True)  # what is typed would move the line
from zdqn.launch.logs import configure_logging
from zdqn.launch.waiting import shown_progress
configure_logging("info")
with shown_progress("evaluating", {total}, "episodes") as progress:
    progress.doing("the first")
    progress(3)
    input()
    print("a line of its own")
    click.echo(click.style("green", fg="green") + " words of click")
    click.echo("words on standard error", err=True)
    assert sys.stdout.isatty() and sys.stderr.isatty()
    logging.getLogger("zdqn").info("something was found")
    progress(4)
    input()
print("over")
"""


@pytest.mark.parametrize(
    ("total", "first", "second"),
    [(8, "3 of 8 episodes", "4 of 8 episodes"), (None, "3 episodes", "4 episodes")],
)
def test_a_person_sees_how_far_it_is_and_nothing_of_it_when_it_is_over(total, first, second):
    terminal = Terminal([sys.executable, "-c", CODE.format(total=total)], columns=100)

    def see(words):
        terminal.read_until(lambda lines: any(words in line for line in lines), words)

    try:
        see(first)
        see("the first, ")
        terminal.type(b"\n")
        see("a line of its own")
        see("info something was found")
        see(second)
        terminal.type(b"\n")
        assert terminal.finish() == 0
        shown = terminal.screen.text()
        assert shown[-1].strip() == "over"
        lines = ["a line of its own", "green words of click", "words on standard error"]
        assert [line for line in shown if line in lines] == lines
        assert "[32mgreen" in terminal.raw
        assert [line for line in shown if line.endswith("something was found")]
        assert not any("episodes" in line or "the first" in line for line in shown)
        assert terminal.screen.cursor_is_shown
    finally:
        terminal.close()


def test_a_pipe_has_a_line_now_and_then_on_standard_error_alone():
    code = (
        "import json, os, threading\n"
        "from zdqn.launch.waiting import shown_progress\n"
        "said = threading.Event()\n"
        "class Heard:\n"
        "    def write(self, text):\n"
        "        os.write(2, text.encode())\n"
        "        if '3 of 8' in text: said.set()\n"
        "    def flush(self): pass\n"
        "    def isatty(self): return False\n"
        "import sys; sys.stderr = Heard()\n"
        'with shown_progress("evaluating", 8, "episodes", period_s=0.01) as progress:\n'
        "    progress(3)\n"
        "    said.wait()\n"
        'print(json.dumps("over"))\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    assert json.loads(done.stdout) == "over"
    lines = done.stderr.splitlines()
    assert any("3 of 8" in line for line in lines)
    for line in lines:  # the first may be from before anything was told
        assert re.fullmatch(r"\d+ s: evaluating, [03] of 8 episodes(, .* left)?", line)


def test_what_is_over_soon_says_nothing(capsys):
    with shown_progress("evaluating", 8, "episodes") as progress:
        progress(3)
    assert capsys.readouterr() == ("", "")


def test_who_tells_nothing_may_be_asked(monkeypatch):
    canvas, counted = Sheet(70), iter(range(1, 1_000_000))
    monkeypatch.setattr(waiting, "choose_canvas", lambda: canvas)
    with shown_progress("visiting", 9, "hosts", count=lambda: next(counted), period_s=0):
        canvas.wait()
    assert "visiting, 1 of 9 hosts, " in canvas.drawn[0][0]
    assert canvas.open == 0


def test_what_is_raised_within_leaves_the_terminal_as_it_was(monkeypatch):
    canvas = Sheet(70)
    monkeypatch.setattr(waiting, "choose_canvas", lambda: canvas)

    def fail():
        with shown_progress("x", period_s=0):
            canvas.wait()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert canvas.open == 0


def test_a_notebook_that_keeps_what_is_drawn_has_nothing_of_it(monkeypatch):
    canvas, asked = Sheet(70, keeps=True), threading.Event()

    def choose():
        asked.set()
        return canvas

    monkeypatch.setattr(waiting, "choose_canvas", choose)
    with shown_progress("x", period_s=0):
        wait_for(asked.is_set)
    assert canvas.drawn == []


def test_a_picture_that_fails_ends_nothing(monkeypatch, caplog):
    def fail():
        raise ValueError("no picture")

    monkeypatch.setattr(waiting, "choose_canvas", fail)
    with (
        caplog.at_level(logging.WARNING, "zdqn"),
        shown_progress("x", period_s=0),
    ):
        wait_for(lambda: "no picture" in caplog.text)
    assert "It goes on." in caplog.text


def wait_for(condition):
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
