"""What a person sees of a run while it trains.

`progress_line` and `progress_rows` turn a learner's status into text; a display shows it, beside
the log of every process. Missing numbers are left out, so that a display never stops a run.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self, TextIO

from zdqn.closing import Closing
from zdqn.errors import ZdqnError
from zdqn.wire.remote_control import fetch_status
from zdqn.wire.status import LearnerStatus

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

LINE_PERIOD_S = 5.0
"""Seconds between two lines of progress in a log."""

_ASK_PERIOD_S = 1.0
_NAME_WIDTH = 12
_COLOURS = {"memory": "cyan", "learner": "magenta", "collector": "green", "evaluator": "yellow"}


def number(value: Any, form: str = "{:,.0f}", absent: str = "") -> str:
    """Write a number; what is none (yet) becomes `absent`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return absent
    return form.format(value)


def duration(seconds: Any) -> str:
    """Write a duration, such as ``12 s``, ``3:05 min`` or ``1:02:05 h``."""
    if not isinstance(seconds, int | float):
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d} h"
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"


def progress_line(status: LearnerStatus) -> str:
    """Put a learner's status into one line, for a log."""
    progress = status.progress
    evaluation = number(progress.last_evaluation_return, "evaluation {:.4g}")
    best = number(progress.best_evaluation_return, " (best {:.4g})")
    parts = (
        f"{duration(status.run.wall_s):>8}",
        number(progress.environment_steps, "{:,.0f} steps"),
        number(progress.updates, "{:,.0f} updates"),
        number(progress.episodes, "{:,.0f} episodes"),
        number(progress.episode_return_mean, "return {:.4g}"),
        evaluation + best if evaluation else "",
        number(progress.epsilon, "epsilon {:.2f}"),
        status.verdict,
    )
    return "  ".join(part for part in parts if part.strip())


def progress_rows(status: LearnerStatus) -> list[tuple[str, str]]:
    """Put a learner's status into pairs of a name and a text, for a terminal."""
    progress, limits = status.progress, status.stop
    rows = [
        ("time", _joined(duration(status.run.wall_s), status.run.phase)),
        (
            "environment steps",
            _counted(
                progress.environment_steps,
                limits.environment_steps,
                progress.environment_steps_per_s,
            ),
        ),
        ("updates", _counted(progress.updates, limits.updates, progress.updates_per_s)),
        ("episodes", _counted(progress.episodes, limits.episodes)),
        ("return while exploring", number(progress.episode_return_mean, "{:.4g}")),
        (
            "evaluation",
            _joined(
                number(progress.last_evaluation_return, "{:.4g}"),
                number(progress.best_evaluation_return, "best {:.4g}"),
                number(limits.evaluation_return, "goal {:.4g}"),
            ),
        ),
        (
            "learning",
            _joined(
                number(progress.loss, "loss {:.3g}"),
                number(progress.epsilon, "epsilon {:.2f}"),
                number(progress.staleness_mean, "staleness {:.1f}"),
                number(progress.samples_per_insert, "{:.3g} samples per insert"),
                number(progress.blocks_lost or None, "{:,.0f} blocks lost"),
            ),
        ),
        ("processes", _living(status)),
        ("verdict", status.verdict),
    ]
    return [(name, text) for name, text in rows if text]


def _counted(count: int, limit: int | None, per_s: float | None = None) -> str:
    return _joined(number(count), number(limit, "of {:,.0f}"), number(per_s, "{:,.0f}/s"))


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _living(status: LearnerStatus) -> str:
    counts: dict[tuple[str, str], int] = {}
    for client in status.clients:
        kind = str(client.get("role", "?")), str(client.get("state", "?"))
        counts[kind] = counts.get(kind, 0) + 1
    return _joined(*(f"{count} {role} {state}" for (role, state), count in sorted(counts.items())))


class Display(Closing):
    """Shows a run as plain lines: every process's log, and the progress now and then.

    Args:
        stream: where to; standard error by default.
        period_s: between two lines of progress.
    """

    def __init__(self, stream: TextIO | None = None, *, period_s: float = LINE_PERIOD_S) -> None:
        self._stream = stream or sys.stderr
        self._period_s = period_s
        self._next_s = 0.0
        self._left = threading.Event()
        self._follower: threading.Thread | None = None

    def log(self, name: str, line: str) -> None:
        """Show a line that a process wrote."""
        self._stream.write(f"{name:<{_NAME_WIDTH}}| {line}\n")
        self._stream.flush()

    def show(self, status: LearnerStatus) -> None:
        """Show how the run does."""
        now_s = time.monotonic()
        line = progress_line(status)
        if line and now_s >= self._next_s:
            self._next_s = now_s + self._period_s
            self._stream.write(line + "\n")
            self._stream.flush()

    def follow(self, address: str) -> None:
        """Ask a learner for its status each second from now on, in a thread."""
        self._follower = threading.Thread(target=self._ask, args=(address,), daemon=True)
        self._follower.start()

    def _ask(self, address: str) -> None:
        while not self._left.wait(_ASK_PERIOD_S):
            try:
                status = LearnerStatus.read(fetch_status(address, _ASK_PERIOD_S))
            except ZdqnError:
                continue  # it starts, or ends; the run's supervisor knows
            if not self._left.is_set():
                self.show(status)

    def close(self) -> None:
        """Show nothing more."""
        self._left.set()
        if self._follower is not None:
            self._follower.join()


class TerminalDisplay(Display):
    """Shows a run on a terminal: the log scrolls above one block that is drawn anew each second."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        super().__init__()
        self._console = console
        self._live: Live = Live(console=console, auto_refresh=False, transient=True)

    def log(self, name: str, line: str) -> None:
        """Show a line that a process wrote."""
        from rich.text import Text

        colour = _COLOURS.get(name.partition("-")[0], "bold")
        self._console.print(Text.assemble((f"{name:<{_NAME_WIDTH}}", colour), "| ", line))

    def show(self, status: LearnerStatus) -> None:
        """Show how the run does."""
        self._live.update(progress_table(status), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def close(self) -> None:
        """Show nothing more, and leave the terminal as it was."""
        super().close()
        self._live.stop()


def progress_table(status: LearnerStatus) -> Table:
    """Put a learner's status into a table for rich."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, text in progress_rows(status):
        table.add_row(Text(name, style="dim"), Text(text))
    return table


def choose_display() -> Display:
    """Give a display that suits where standard error goes."""
    from rich.console import Console

    console = Console(stderr=True)
    return TerminalDisplay(console) if console.is_terminal else Display()
