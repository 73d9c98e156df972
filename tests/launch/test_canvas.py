"""Where a screen is drawn: a terminal, a notebook's cell, or paper."""

import io
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.launch.terminal import Screen
from zdqn.launch.canvas import (
    NotebookCanvas,
    Paper,
    TerminalCanvas,
    choose_canvas,
    choose_page,
    find_notebook,
    glyphs_for,
    terminal_width,
)
from zdqn.launch.lines import ASCII, UNICODE, Part


def terminal(width=40, height=10, **how):
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=True, width=width, height=height, color_system=None
    )
    return TerminalCanvas(console, **how), stream


def seen(stream, width=40, height=10):
    screen = Screen(width, height)
    screen.feed(stream.getvalue())
    assert not screen.unknown
    assert not screen.wrapped
    return screen


def test_a_block_is_drawn_over_and_what_is_said_stays_above_it():
    canvas, stream = terminal()
    canvas.begin()
    canvas.draw([(Part("one", "bold"),), (), (Part("[red]two"), Part(" three"))])
    canvas.say((Part("a warning"),))
    canvas.draw([(Part("four"),), (Part("five"),)])
    screen = seen(stream)
    assert screen.text() == ["a warning", "four", "five"]
    assert not screen.cursor_is_shown
    canvas.end()
    screen = seen(stream)
    assert screen.text() == ["a warning"]
    assert screen.cursor_is_shown


def test_a_block_may_stay():
    canvas, stream = terminal(keep=True)
    canvas.begin()
    canvas.draw([(Part("one"),)])
    canvas.end()
    assert seen(stream).text() == ["one"]


def test_a_full_line_is_one_line():
    canvas, stream = terminal()
    canvas.begin()
    for _ in range(3):
        canvas.draw([(Part(40 * "x"),), (Part(40 * "y"),)])
    canvas.say((Part(40 * "z"),))
    canvas.draw([(Part("short"),)])
    assert seen(stream).text() == [40 * "z", "short"]
    canvas.end()


def test_the_room_of_a_terminal():
    assert terminal(33, 7)[0].size() == (33, 6)


class Handle:
    def __init__(self, shown):
        self._shown = shown

    def update(self, data, *, raw):
        assert raw
        self._shown.append(data)


def notebook():
    shown: list[dict[str, str]] = []

    def display(data, *, raw, display_id):
        assert raw
        assert display_id
        shown.append(data)
        return Handle(shown)

    return NotebookCanvas(SimpleNamespace(display=display)), shown


def test_a_notebook_has_one_block_that_is_drawn_over_and_stays():
    canvas, shown = notebook()
    canvas.begin()
    canvas.draw([(Part("<one>", "bold green"), Part(" & two"))])
    canvas.say((Part("a warning"),))
    canvas.end()
    assert [data["text/plain"] for data in shown] == [
        "<one> & two", "<one> & two\n\na warning"
    ]  # fmt: skip
    assert shown[0]["text/html"] == (
        '<pre><span style="font-weight:bold;color:green">&lt;one&gt;</span> &amp; two</pre>'
    )


def test_a_notebook_is_known_without_loading_anything():
    def module(shell: Any) -> Any:
        return SimpleNamespace(get_ipython=lambda: shell)

    assert find_notebook({}) is None
    assert find_notebook({"IPython": module(None)}) is None
    assert find_notebook({"IPython": module(SimpleNamespace())}) is None, "IPython in a terminal"


def test_in_a_notebook_its_cell_is_drawn_on(monkeypatch):
    module = SimpleNamespace(display=None)
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    assert isinstance(choose_canvas(), NotebookCanvas)


def test_what_is_no_terminal_gets_no_screen(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    assert choose_canvas() is None
    assert terminal_width(sys.stderr) is None


def test_a_terminal_that_cannot_move_its_cursor_gets_no_screen(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    assert choose_canvas() is None
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(choose_canvas(), TerminalCanvas)


def test_pages_on_paper_have_an_empty_line_between_them(monkeypatch, capsys):
    page = choose_page()
    assert isinstance(page, Paper)
    page.begin()
    page.draw([(Part("one"),)])
    page.draw([(Part("two [b]"),)])
    page.say((Part(200 * "x"),))
    page.end()
    assert capsys.readouterr().out == f"one\n\ntwo [b]\n{200 * 'x'}\n"
    assert page.size()[1] > 100


@pytest.mark.parametrize(
    ("encoding", "environment", "glyphs"),
    [
        ("utf-8", {}, UNICODE),
        ("UTF-8", {"LANG": "de_DE.UTF-8"}, UNICODE),
        ("utf-8", {"LANG": "C"}, ASCII),
        ("utf-8", {"LANG": "C", "LC_CTYPE": "C.UTF-8"}, ASCII),
        ("utf-8", {"LC_CTYPE": "C.UTF-8"}, UNICODE),
        ("utf-8", {"LANG": "C", "LC_CTYPE": "de_DE.UTF-8"}, UNICODE),
        ("utf-8", {"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, ASCII),
        ("ascii", {"LANG": "de_DE.UTF-8"}, ASCII),
        ("iso8859-1", {}, ASCII),
    ],
)
def test_ascii_where_the_encoding_or_the_user_says_so(encoding, environment, glyphs):
    assert glyphs_for(encoding, environment) is glyphs


def test_the_end_at_once_leaves_the_terminal_usable():
    code = (
        "import sys, zdqn.launch.canvas as c; from rich.console import Console\n"
        "canvas = c.TerminalCanvas(Console(force_terminal=True)); canvas.begin()\n"
        "canvas.draw([()]); c.exit_at_once(130)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    assert done.returncode == 130, done.stderr
    assert done.stdout.rstrip().endswith("\x1b[?25h")
