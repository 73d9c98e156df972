"""One child process: its start, what it says, its end."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from zdqn import errors
from zdqn.errors import RoleFailedError, ZdqnError
from zdqn.launch.child_main import Assignment, encode_assignment
from zdqn.launch.plan import PlannedProcess, describe_exit

SIGNAL_NAMES = {int(number): number.name for number in signal.Signals}

_TAIL_LINES = 10
_DRAIN_S = 2.0


@dataclass(frozen=True)
class Bound:
    """A server is up."""

    child: ChildProcess
    endpoints: dict[str, str]


@dataclass(frozen=True)
class Ended:
    """A process has ended; everything it wrote has been read."""

    child: ChildProcess
    exit_code: int


Event: TypeAlias = Bound | Ended


class ChildProcess:
    """A process of a run, in a process group of its own.

    What it logs goes line by line to a file and to `show`; that a server is up, and that it has
    ended, goes to `events`. Closing its standard input asks it to stop; that happens by itself
    when this process dies.

    Args:
        planned: which one.
        log_file: what it writes is added to this file.
        show: told every line that it writes.
        events: where to put `Bound` and `Ended`.

    Attributes:
        error: why it failed, as far as it said so.
        traceback: of that error, or "".
    """

    def __init__(
        self,
        planned: PlannedProcess,
        *,
        log_file: Path,
        show: Callable[[str, str], None],
        events: queue.Queue[Event],
    ) -> None:
        self.planned = planned
        self.assigned = False
        self.error: ZdqnError | None = None
        self._show = show
        self._events = events
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._log_path = log_file
        self._log = log_file.open("a", encoding="utf-8", buffering=1)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            planned.argv(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,  # so that Ctrl-C reaches us alone, and that we can end its children
        )
        readers = [
            threading.Thread(target=target, args=(stream,), daemon=True)
            for target, stream in (
                (self._relay_log, self._process.stderr),
                (self._take_reports, self._process.stdout),
            )
        ]
        for reader in readers:
            reader.start()
        threading.Thread(target=self._wait, args=(readers,), daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def name(self) -> str:
        """Its name in the run."""
        return self.planned.name

    def assign(self, assignment: Assignment) -> None:
        """Tell it what to do."""
        assert self._process.stdin is not None
        self.assigned = True
        with contextlib.suppress(BrokenPipeError):  # it has died, and `Ended` says so
            self._process.stdin.write(encode_assignment(assignment))
            self._process.stdin.flush()

    def ask_to_stop(self) -> None:
        """Ask it to end cleanly; quick, and harmless when repeated."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def kill(self) -> None:
        """End it, and everything that it has started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def failure(self, exit_code: int) -> ZdqnError:
        """Give the error that ended it: what it reported, or else its last words."""
        if self.error is not None:
            return self.error
        last = "".join(f"\n  {line}" for line in self._tail)
        return RoleFailedError(
            f"{self.name} ended with {describe_exit(exit_code, SIGNAL_NAMES)} and gave no reason. "
            f"Its log is {self._log_path}" + (f"; it ends with:{last}" if last else ".")
        )

    def _relay_log(self, stream: IO[bytes]) -> None:
        with stream:
            for raw in stream:
                line = raw.decode(errors="replace").rstrip()
                self._tail.append(line)
                self._write_log(line + "\n")
                self._show(self.name, line)

    def _write_log(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a full disk must not stop the role
            self._log.write(text)

    def _take_reports(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                report: dict[str, Any] = json.loads(line)
                if "bound" in report:
                    self._events.put(Bound(self, report["bound"]))
                if "failed" in report:
                    self._take_failure(**report["failed"])

    def _take_failure(self, kind: str, message: str, traceback: str) -> None:
        if kind == RoleFailedError.__name__:
            message += f" The traceback is in {self._log_path}."
        self.error = getattr(errors, kind, RoleFailedError)(message)
        self._write_log(traceback)

    def _wait(self, readers: list[threading.Thread]) -> None:
        exit_code = self._process.wait()
        self.kill()  # what it may have left behind would hold its pipes open
        for reader in readers:
            reader.join(_DRAIN_S)
        self._events.put(Ended(self, exit_code))

    def close(self) -> None:
        """Let go of its standard input and of its log file, once it has ended."""
        self.ask_to_stop()
        with contextlib.suppress(OSError):  # a full disk, again
            self._log.close()
