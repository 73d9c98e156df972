"""One child process, wherever it runs: its start, what it says, its end."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from zdqn import errors
from zdqn.errors import RoleFailedError, ZdqnError
from zdqn.launch.child_main import Assignment, encode_assignment
from zdqn.launch.plan import LastWord, PlannedProcess, describe_exit
from zdqn.launch.starting import ProcessStarter

_TAIL_LINES = 10
_DRAIN_S = 10.0
"""For what a process wrote last to be read: why it ended stands there, and the machine is busy."""
_MOST_SHOWN_BYTES = 2**13


@dataclass(frozen=True)
class Bound:
    """A server is up."""

    child: ChildProcess
    endpoints: dict[str, str]


@dataclass(frozen=True)
class SinksTold:
    """A learner has told its sinks something; see `zdqn.launch.telling`."""

    method: str
    what: Any


@dataclass(frozen=True)
class Ended:
    """A process has ended; everything it wrote has been read."""

    child: ChildProcess
    exit_code: int


Event: TypeAlias = Bound | SinksTold | Ended


class ChildProcess:
    """A process of a run.

    What it logs goes line by line to a file and to `show`; that a server is up, and that it has
    ended, goes to `events`. Closing its standard input asks it to stop; that happens by itself
    when this process dies.

    Args:
        planned: which one.
        start: how to start it.
        log_file: what it writes is added to this file.
        show: told every line that it writes.
        events: where to put `Bound`, `SinksTold` and `Ended`.

    Attributes:
        error: why it failed, as far as it said so.
        last_word: why it ended without failing, as far as it said so.
        struck: `strike` has ended it, or is about to.
        lost: its host is, and nothing will be heard of it any more.

    Raises:
        OSError: when it cannot be started, or its log file not be opened.
    """

    def __init__(
        self,
        planned: PlannedProcess,
        *,
        start: ProcessStarter,
        log_file: Path,
        show: Callable[[str, str], None],
        events: queue.Queue[Event],
    ) -> None:
        self.planned = planned
        self.assigned = False
        self._asked = False
        self.error: ZdqnError | None = None
        self.last_word: LastWord | None = None
        self.struck = False
        self.lost = False
        self._show = show
        self._events = events
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._log_path = log_file
        self._log = log_file.open("a", encoding="utf-8", buffering=1)
        try:
            self._process = start(planned.argv(), planned.environment)
        except OSError:
            self._log.close()
            raise
        readers = [
            threading.Thread(target=target, daemon=True)
            for target in (self._relay_log, self._take_reports)
        ]
        for reader in readers:
            reader.start()
        threading.Thread(target=self._wait, args=(readers,), daemon=True).start()

    @property
    def name(self) -> str:
        """Its name in the run."""
        return self.planned.name

    def assign(self, assignment: Assignment) -> None:
        """Tell it what to do."""
        self.assigned = True
        with contextlib.suppress(BrokenPipeError):  # it has died, and `Ended` says so
            self._process.write_input(encode_assignment(assignment))

    def ask_to_stop(self, reason: str = "") -> None:
        """Ask it to end cleanly; quick, and harmless when repeated.

        Args:
            reason: why; a learner keeps it with the run. The first call counts.
        """
        if not self._asked and reason:
            with contextlib.suppress(BrokenPipeError):
                self._process.write_input(reason.encode())
        self._asked = True
        self._process.close_input()

    def signal(self, number: int) -> None:
        """Send it, and everything that it has started, a signal."""
        self._process.signal(number)

    def strike(self, number: int) -> None:
        """End it with a signal, to see it come back: it is started again, however often."""
        self.struck = True
        self.signal(number)

    def kill(self) -> None:
        """End it, and everything that it has started, at once."""
        self._process.kill()

    def failure(self, exit_code: int) -> ZdqnError:
        """Give the error that ended it: what it reported, or else its last words."""
        if self.error is not None:
            return self.error
        return RoleFailedError(f"{self.name} {self.describe_end(exit_code)}. {self.reason()}")

    def reason(self) -> str:
        """Say why it ended, in a sentence or more, as far as it said so."""
        if self.error is not None:
            return str(self.error)
        if self.last_word is not None:
            return f"Its log is {self._log_path}."
        last = "".join(f"\n  {line}" for line in self._tail)
        return f"It gave no reason. Its log is {self._log_path}" + (
            f"; it ends with:{last}" if last else "."
        )

    def describe_end(self, exit_code: int) -> str:
        """Say how it ended, such as ``ended with SIGKILL``."""
        if self.lost:
            return "was lost with its host"
        return describe_exit(exit_code, self.last_word)

    def _relay_log(self) -> None:
        for raw in self._process.error_lines():
            self._take_text(raw)

    def _take_text(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip()
        self._tail.append(line)
        self._write_log(line + "\n")
        self._show(self.name, line)

    def _write_log(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a full disk must not stop the role
            self._log.write(text)

    def _take_reports(self) -> None:
        for line in self._process.output_lines():
            try:
                self._take_report(**json.loads(line))
            except (ValueError, TypeError):  # it is no report: somebody's print
                self._take_text(line[:_MOST_SHOWN_BYTES])

    def _take_report(
        self,
        *,
        bound: dict[str, str] | None = None,
        told: dict[str, Any] | None = None,
        ended: dict[str, str] | None = None,
        failed: dict[str, Any] | None = None,
        lost: bool = False,
    ) -> None:
        if bound is not None:
            self._events.put(Bound(self, bound))
        if told is not None:
            self._events.put(SinksTold(**told))
        if ended is not None:
            self.last_word = LastWord(**ended)
        if failed is not None:
            self._take_failure(**failed)
        self.lost = self.lost or lost

    def _take_failure(
        self, kind: str, message: str, traceback: str, *, by_given_code: bool = False
    ) -> None:
        if by_given_code:
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
        self.let_go()

    def let_go(self) -> None:
        """Write its log no more: it goes on, or not, without us."""
        with contextlib.suppress(OSError):  # a full disk, again
            self._log.close()
