"""Starting a process: what the launcher asks of one, wherever it runs, and how one runs here."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from zdqn.launch.line_cutter import LineCutter

MOST_OUTPUT_BYTES = 2**20
"""Of one line of standard output: no report is longer."""
MOST_ERROR_BYTES = 2**13
"""Of one line of standard error: what is longer is shown, and written, in pieces."""
PATIENCE_S = 1.0
"""How long the beginning of a line waits for its end, such as that of a bar of progress."""
_READ_BYTES = 2**16


class StartedProcess(Protocol):
    """A process, on this machine or on another.

    Input, output, errors and the wait for its end may each be used by a thread of its own.
    """

    def write_input(self, data: bytes) -> None:
        """Hand it bytes on its standard input, at once.

        Raises:
            BrokenPipeError: when it reads no more.
        """

    def close_input(self) -> None:
        """End its standard input; harmless when repeated, and when it reads no more."""

    def output_lines(self) -> Iterator[bytes]:
        """Give each line of its standard output as it comes, with its end, until there is none.

        A line of more than `MOST_OUTPUT_BYTES` comes in pieces.
        """

    def error_lines(self) -> Iterator[bytes]:
        """Give each line of its standard error likewise.

        What has no end comes in pieces, when it is longer than `MOST_ERROR_BYTES` or has waited
        for `PATIENCE_S`; what was written over meanwhile is left out. See `LineCutter`.
        """

    def wait(self) -> int:
        """Wait for its end and give its exit code, or minus the signal that ended it."""

    def signal(self, number: int) -> None:
        """Send it, and everything that it has started, a signal; harmless when it has ended."""

    def kill(self) -> None:
        """End it, and everything that it has started, at once; harmless when it has ended."""


class ProcessStarter(Protocol):
    """A way to start processes, such as `start_locally`.

    The end of a process's standard input must reach it when the one who started it dies, too: it
    is how a role learns that it is to stop.
    """

    def __call__(self, argv: Sequence[str], environment: Mapping[str, str]) -> StartedProcess:
        """Start a process.

        Args:
            argv: its command, on this machine; the last two words are its role and its name.
            environment: variables that it gets besides those that it has anyway.

        Raises:
            OSError: when it cannot be started.
        """


class LocalProcess:
    """A process of this machine, in a process group of its own.

    Args:
        argv: its command.
        environment: variables that it gets besides those of this process.

    Raises:
        OSError: when it cannot be started.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            argv,
            env={**os.environ, **where_zdqn_is(), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,  # so that Ctrl-C reaches us alone, and that we can end its children
        )

    @property
    def pid(self) -> int:
        """Its number, which is that of its process group too."""
        return self._process.pid

    def write_input(self, data: bytes) -> None:
        """Hand it bytes on its standard input, at once."""
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def close_input(self) -> None:
        """End its standard input."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def output_lines(self) -> Iterator[bytes]:
        """Give each line of its standard output."""
        return _lines(self._process.stdout, LineCutter(MOST_OUTPUT_BYTES))

    def error_lines(self) -> Iterator[bytes]:
        """Give each line of its standard error."""
        return _lines(self._process.stderr, LineCutter(MOST_ERROR_BYTES, PATIENCE_S))

    def wait(self) -> int:
        """Wait for its end and give its exit code, or minus the signal that ended it."""
        return self._process.wait()

    def signal(self, number: int) -> None:
        """Send it, and everything that it has started, a signal."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it, and everything that it has started, at once."""
        self.signal(signal.SIGKILL)


def start_locally(argv: Sequence[str], environment: Mapping[str, str]) -> StartedProcess:
    """Start a process of this machine; a `ProcessStarter`."""
    return LocalProcess(argv, environment)


def where_zdqn_is() -> dict[str, str]:
    """Give the variables with which a process started with ``-P`` finds this very zdqn.

    It finds one that is installed, or on PYTHONPATH, without. One that only the first entry of the
    path leads to (``python -m zdqn`` in a checkout) is named to it.
    """
    root = str(Path(__file__).parents[2])
    first, *others = (os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100 - "" is a path
    if first != root or root in others:
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}


def _lines(stream: IO[bytes] | None, cutter: LineCutter) -> Iterator[bytes]:
    assert stream is not None
    with stream:
        readable = select.poll()
        readable.register(stream, select.POLLIN)
        while True:
            wait_s = cutter.wait_s(time.monotonic())
            if readable.poll(None if wait_s is None else wait_s * 1000 + 1):
                piece = os.read(stream.fileno(), _READ_BYTES)
                if not piece:
                    break
                yield from cutter.take(piece, time.monotonic())
            else:
                yield from cutter.due(time.monotonic())
        yield from cutter.end()
