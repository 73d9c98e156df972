"""Where a screen is drawn anew again and again: a terminal, or the output of a notebook's cell."""

from __future__ import annotations

import html
import importlib
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from zdqn.launch.lines import ASCII, UNICODE, Glyphs, Line, Part, text_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

_NOTEBOOK_WIDTH = 90
_MOST_SAID = 8


class Canvas(Protocol):
    """Shows lines, in place of those that it showed before."""

    glyphs: Glyphs
    keeps: bool
    """Whether what was drawn last stays."""

    def size(self) -> tuple[int, int]:
        """Give the cells of a line, and how many lines there is room for."""

    def begin(self) -> None:
        """Make ready."""

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines instead."""

    def say(self, line: Line) -> None:
        """Show a line that stays."""

    def end(self) -> None:
        """Show nothing more."""


class TerminalCanvas:
    """One block at the bottom of a terminal; what is said scrolls above it.

    Args:
        console: of rich.
        keep: whether the block stays when it ends; else the terminal is as it was.
    """

    def __init__(self, console: Console, *, keep: bool = False) -> None:
        from rich.live import Live

        self._console = console
        self.keeps = keep
        self.glyphs = glyphs_for(console.encoding, os.environ)
        self._live: Live = Live(
            console=console,
            auto_refresh=False,
            transient=not keep,
            redirect_stdout=sys.stdout.isatty(),
            vertical_overflow="crop",
        )
        self._quiet = QuietKeys()

    def size(self) -> tuple[int, int]:
        """Give the cells of a line, and how many lines there is room for."""
        width, height = self._console.size
        return width, max(height - 1, 1)

    def begin(self) -> None:
        """Make ready."""
        self._quiet.begin()
        self._live.start()
        for name in ("stdout", "stderr"):
            setattr(sys, name, _as_what_it_stands_for(getattr(sys, name), self._console))
        _begun.append(self)

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines instead."""
        from rich.console import Group

        self._live.update(Group(*map(styled, lines)), refresh=True)

    def say(self, line: Line) -> None:
        """Show a line above the block."""
        self._console.print(styled(line), soft_wrap=True)

    def end(self) -> None:
        """Draw no more, and give the terminal back."""
        self._live.stop()
        self._quiet.end()
        if self in _begun:
            _begun.remove(self)

    def abandon(self) -> None:
        """Give the terminal back as it is, whatever another thread does now."""
        self._quiet.end()
        with suppress(OSError, ValueError):
            os.write(self._console.file.fileno(), _SHOW_CURSOR)


_begun: list[TerminalCanvas] = []
_SHOW_CURSOR = b"\x1b[?25h\r\n"


def exit_at_once(code: int) -> None:
    """End this process without cleaning up anything but its terminal."""
    for canvas in _begun:
        canvas.abandon()
    os._exit(code)


def _as_what_it_stands_for(stream: Any, console: Console) -> Any:
    """Give a stream of rich's the encoding of its file, and whether that is a terminal.

    Without them click writes to the file itself, into what is drawn there.
    """
    from rich.file_proxy import FileProxy

    if type(stream) is not FileProxy:
        return stream
    file: Any = stream.rich_proxied_file

    class Above(FileProxy):
        encoding = file.encoding
        errors = file.errors

        def isatty(self) -> bool:
            return bool(file.isatty())

    return Above(console, file)


def styled(line: Line) -> Text:
    """Give a line as rich's text, which is cut off at the edge."""
    from rich.text import Text

    return Text.assemble(*((part.text, part.style) for part in line), no_wrap=True, overflow="crop")


class QuietKeys:
    """Keeps a terminal from writing ``^C`` into what is drawn there."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def begin(self) -> None:
        """Have control characters not shown, if the terminal is this process's."""
        with suppress(Exception):  # no terminal, or none of this kind: then nothing is written
            import termios

            descriptor = sys.stdin.fileno()
            if os.tcgetpgrp(descriptor) != os.getpgrp():
                return  # in the background it would be stopped for it
            before = termios.tcgetattr(descriptor)
            after = [*before]
            after[3] &= ~termios.ECHOCTL
            termios.tcsetattr(descriptor, termios.TCSANOW, after)
            self._before = before

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self._before is None:
            return
        with suppress(Exception):  # it is gone
            import termios

            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._before)
        self._before = None


class NotebookCanvas:
    """The output of a notebook's cell, which keeps what was drawn last.

    Args:
        ipython: the module ``IPython.display``.
    """

    glyphs = UNICODE
    keeps = True

    def __init__(self, ipython: Any) -> None:
        self._ipython = ipython
        self._handle: Any = None
        self._said: deque[Line] = deque(maxlen=_MOST_SAID)
        self._drawn: Sequence[Line] = ()

    def size(self) -> tuple[int, int]:
        """Give the cells of a line, and how many lines there is room for."""
        return _NOTEBOOK_WIDTH, 50

    def begin(self) -> None:
        """Make ready."""

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines instead, and what was said of late below them."""
        self._drawn = lines
        shown = [*lines, *([()] if self._said else []), *self._said]
        marked = "\n".join(map(_as_html, shown))
        data = {
            "text/plain": "\n".join(map(text_of, shown)),
            "text/html": f"<pre>{marked}</pre>",
        }
        if self._handle is None:
            self._handle = self._ipython.display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def say(self, line: Line) -> None:
        """Keep a line below the block."""
        self._said.append(line)
        self.draw(self._drawn)

    def end(self) -> None:
        """Show nothing more."""


_HTML = {"bold": "font-weight:bold", "dim": "opacity:0.6", "green": "color:green",
         "yellow": "color:darkgoldenrod", "red": "color:firebrick", "cyan": "color:darkcyan",
         "blue": "color:royalblue", "magenta": "color:purple"}  # fmt: skip


def _as_html(line: Line) -> str:
    return "".join(map(_part_as_html, line))


def _part_as_html(part: Part) -> str:
    style = ";".join(_HTML[word] for word in part.style.split() if word in _HTML)
    text = html.escape(part.text)
    return f'<span style="{style}">{text}</span>' if style else text


class Paper:
    """Standard output that is no terminal: one page after another, an empty line between two.

    Args:
        console: of rich, which writes there.
    """

    keeps = True

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = False
        self.glyphs = glyphs_for(console.encoding, os.environ)

    def size(self) -> tuple[int, int]:
        """Give the cells of a line, and how many lines there is room for."""
        return self._console.width, 1_000

    def begin(self) -> None:
        """Make ready."""

    def draw(self, lines: Sequence[Line]) -> None:
        """Write the lines."""
        print_lines(self._console, [(), *lines] if self._begun else lines)
        self._begun = True

    def say(self, line: Line) -> None:
        """Write a line."""
        print_lines(self._console, [line])

    def end(self) -> None:
        """Write nothing more."""


def print_lines(console: Console, lines: Sequence[Line]) -> None:
    """Write lines once."""
    for line in lines:
        console.print(styled(line), soft_wrap=True)


def page_console() -> tuple[Console, Glyphs]:
    """Give standard output to write a page to, and what to draw it with."""
    from rich.console import Console

    console = Console()
    return console, glyphs_for(console.encoding, os.environ)


def choose_page() -> Canvas:
    """Give standard output to draw on again and again."""
    console, _ = page_console()
    drawable = console.is_terminal and not console.is_dumb_terminal
    return TerminalCanvas(console, keep=True) if drawable else Paper(console)


def glyphs_for(encoding: str, environment: Mapping[str, str]) -> Glyphs:
    """Choose what to draw with.

    Args:
        encoding: of the stream that is written to.
        environment: variables; a locale that a user has set to C knows ASCII only. Python changes
            ``LC_CTYPE`` then, and writes UTF-8 all the same.
    """
    if not encoding.lower().startswith("utf"):
        return ASCII
    by_python = environment.get("LC_CTYPE", "").upper() in ("C.UTF-8", "C.UTF8")
    names = ("LC_ALL", *(() if by_python else ("LC_CTYPE",)), "LANG")
    locale = next((environment[name] for name in names if environment.get(name)), "")
    return ASCII if locale in ("C", "POSIX") else UNICODE


def terminal_width(stream: TextIO) -> int | None:
    """Give the width of the terminal that a stream goes to; None if it goes elsewhere."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def choose_canvas() -> Canvas | None:
    """Give a place to draw: this notebook's cell, or the terminal of standard error; or None."""
    notebook = find_notebook(sys.modules)
    if notebook is not None:
        return NotebookCanvas(notebook)
    if not (sys.stderr.isatty() or "FORCE_COLOR" in os.environ or "TTY_COMPATIBLE" in os.environ):
        return None  # without loading rich
    from rich.console import Console

    console = Console(stderr=True)
    return TerminalCanvas(console) if console.is_terminal and not console.is_dumb_terminal else None


def find_notebook(modules: Mapping[str, Any]) -> Any:
    """Give ``IPython.display`` if this is a notebook's process; None if not."""
    ipython = modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is None:
        return None
    return importlib.import_module("IPython.display")
