"""A small terminal: runs a command in a pty, and knows what a person would see there."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b.|[\x00-\x1a\x1c-\x1f]")
_BEGUN = re.compile(r"\x1b(\[[0-9;?]*)?\Z")
_IGNORED = "\x03\x07"  # what a terminal that does not write ^C is sent for it; a bell


class Screen:
    """Characters in rows, as the control sequences that rich uses leave them.

    What it does not know it keeps in `unknown`, and lines that did not fit in `wrapped`.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines: list[list[str]] = [[]]
        self.row = self.column = 0
        self.cursor_is_shown = True
        self.unknown: list[str] = []
        self._begun = ""
        self.wrapped: list[str] = []

    def feed(self, text: str) -> None:
        """Take what was written; what has only begun is kept until the rest comes."""
        text = self._begun + text
        self._begun = (_BEGUN.search(text) or [""])[0]
        text = text.removesuffix(self._begun)
        end = 0
        for match in _CONTROL.finditer(text):
            self._write(text[end : match.start()])
            self._control(match)
            end = match.end()
        self._write(text[end:])

    def _write(self, text: str) -> None:
        for character in text:
            if self.column >= self.columns:
                self.wrapped.append("".join(self.lines[self.row]))
                self._newline()
                self.column = 0
            line = self.lines[self.row]
            line += [" "] * (self.column + 1 - len(line))
            line[self.column] = character
            self.column += 1

    def _newline(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append([])

    def _control(self, match: re.Match[str]) -> None:
        text = match[0]
        argument, final = match[1], match[2]
        if text == "\r":
            self.column = 0
        elif text == "\n":
            self._newline()
            self.column = 0  # the pty has made it \r\n anyway
        elif final == "A":
            top = max(len(self.lines) - self.rows, 0)
            self.row = max(self.row - int(argument or 1), top)
        elif final == "K":
            self.lines[self.row] = [] if argument == "2" else self.lines[self.row][: self.column]
        elif final in ("h", "l") and argument == "?25":
            self.cursor_is_shown = final == "h"
        elif final != "m" and text not in _IGNORED:
            self.unknown.append(text)

    def text(self) -> list[str]:
        """Give everything, what has scrolled away too."""
        lines = ["".join(line).rstrip() for line in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines


class Terminal:
    """A command that runs in a pty of so many columns and rows."""

    def __init__(self, argv, *, columns=80, rows=40, cwd=None, env=None):
        self.screen = Screen(columns, rows)
        self.raw = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self._master = master
        environment = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=environment,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        )  # fmt: skip

    def read(self, timeout_s=0.05):
        """Take what was written; False once nothing more can come."""
        while select.select([self._master], [], [], timeout_s)[0]:
            try:
                data = os.read(self._master, 65_536)
            except OSError:
                return False
            if not data:
                return False
            text = self._decoder.decode(data)
            self.raw += text
            self.screen.feed(text)
            timeout_s = 0
        return True

    def read_until(self, condition, what, within_s=100.0):
        deadline_s = time.monotonic() + within_s
        while not condition(self.screen.text()):
            assert time.monotonic() < deadline_s, f"waited in vain for {what}:\n" + "\n".join(
                self.screen.text()
            )
            self.read()

    def has_shown(self, text):
        """Whether a text was ever on the screen; what is there for a moment may be missed there."""
        return text in _CONTROL.sub("", self.raw)

    def type(self, data: bytes):
        """Press keys."""
        os.write(self._master, data)

    def finish(self, within_s=100.0):
        """Read to the end, and give the exit code."""
        deadline_s = time.monotonic() + within_s
        while self.process.poll() is None:
            assert time.monotonic() < deadline_s, "\n".join(self.screen.text())
            self.read()
        self.read()
        return self.process.returncode

    def settings(self):
        """Give the terminal's settings."""
        return termios.tcgetattr(self._slave)

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        os.close(self._master)
        os.close(self._slave)
