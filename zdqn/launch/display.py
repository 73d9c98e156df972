"""What a person sees of a run while it trains: a screen, plain lines in a log, or nothing.

The screen is drawn by `zdqn.launch.screen` from what `zdqn.launch.run_watch` knows. Missing numbers
are left out, so that a display never stops a run.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self, TextIO, TypeVar

from zdqn.closing import Closing
from zdqn.errors import FileError, ZdqnError
from zdqn.launch.canvas import Canvas, choose_canvas
from zdqn.launch.lines import Line, Part, padded, printable, wrapped
from zdqn.launch.logs import log_to_screen
from zdqn.launch.run_view import RunPlan
from zdqn.launch.run_watch import RunWatch
from zdqn.launch.screen import draw_screen
from zdqn.launch.summary import summary_lines
from zdqn.launch.wording import duration, number, score
from zdqn.records.run_files import RunFiles, open_run_directory, read_summary
from zdqn.stopping import reason_of
from zdqn.wire.keys.role_keys import RoleKeys
from zdqn.wire.protocol import ServerRole
from zdqn.wire.remote_control import fetch_status
from zdqn.wire.status import LearnerStatus, MemoryStatus

logger = logging.getLogger("zdqn")

LINE_PERIOD_S = 5.0
"""Seconds between two lines of progress in a log."""

_ASK_PERIOD_S = 1.0
_ASK_SOON_S = 0.25
"""As long as training has not begun, and what happens is new to a person."""
_DRAW_PERIOD_S = 0.2
_NAME_WIDTH = 12
_COLOURS = {"memory": "cyan", "learner": "magenta", "collector": "green", "evaluator": "yellow"}
_MATTERS = re.compile(r"\d\d:\d\d:\d\d (warning|error|critical) ")
_RUN = "run"

Kind = TypeVar("Kind", LearnerStatus, MemoryStatus)


def progress_line(status: LearnerStatus) -> str:
    """Put a learner's status into one line, for a log."""
    progress = status.progress
    evaluation = score(progress.last_evaluation_return, "evaluation {}")
    best = score(progress.best_evaluation_return, " (best {})")
    parts = (
        f"{duration(status.run.wall_s):>8}",
        number(progress.environment_steps, "{:,.0f} steps"),
        number(progress.updates, "{:,.0f} updates"),
        number(progress.episodes, "{:,.0f} episodes"),
        score(progress.episode_return_mean, "return {}"),
        evaluation + best if evaluation else "",
        number(progress.epsilon, "epsilon {:.2f}"),
        printable(status.verdict),
    )
    return "  ".join(part for part in parts if part.strip())


class Display(Closing):
    """Shows a run as plain lines: every process's log, and the progress now and then.

    Args:
        stream: where to; standard error by default.
        period_s: between two lines of progress.
        keys: an operator's, where servers have keys.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        period_s: float = LINE_PERIOD_S,
        keys: RoleKeys | None = None,
    ) -> None:
        self._keys = keys
        self._stream = stream or sys.stderr
        self._period_s = period_s
        self._next_s = 0.0
        self._left = threading.Event()
        self._follower: threading.Thread | None = None

    def log(self, name: str, line: str) -> None:
        """Show a line that a process wrote."""
        self._stream.write(f"{f'{name} ':<{_NAME_WIDTH}}| {line}\n")
        self._stream.flush()

    def show(self, status: LearnerStatus) -> None:
        """Show how the run does."""
        now_s = time.monotonic()
        line = progress_line(status)
        if line and now_s >= self._next_s:
            self._next_s = now_s + self._period_s
            self._stream.write(line + "\n")
            self._stream.flush()

    def follow(self, role: str, address: str) -> None:
        """Ask a learner for its status each second from now on, in a thread."""
        if role == "learner" and self._follower is None:  # started again it is where it was
            self._start(lambda: self._fetch("learner", address, LearnerStatus))

    def _fetch(self, server: ServerRole, address: str, kind: type[Kind]) -> Kind | None:
        """Ask a server; None if it does not answer: it starts, or ends; its supervisor knows."""
        try:
            return kind.read(fetch_status(address, _ASK_PERIOD_S, self._keys, server))
        except ZdqnError:
            return None

    def follow_training(self, status: Callable[[], LearnerStatus]) -> None:
        """Ask a training in this process, where its log does not say the same."""
        if not logging.getLogger("zdqn").isEnabledFor(logging.INFO):
            self._start(status)

    def _start(self, ask: Callable[[], LearnerStatus | None]) -> None:
        self._follower = threading.Thread(
            target=self._ask, args=(ask,), name="zdqn-progress", daemon=True
        )
        self._follower.start()

    def _ask(self, ask: Callable[[], LearnerStatus | None]) -> None:
        while not self._left.wait(_ASK_PERIOD_S):
            status = ask()
            if status is not None and not self._left.is_set():
                self.show(status)

    def ending(self, reason: str) -> None:
        """Say that the run was asked to end."""
        if reason.startswith("SIG"):
            self.log(_RUN, f"stopping ({reason}); again to end now")

    def conclude(self) -> None:
        """Show how the run has ended, where something stays that shows it."""

    def close(self) -> None:
        """Show nothing more."""
        self._left.set()
        if self._follower is not None:
            self._follower.join()


class NoDisplay(Display):
    """Shows nothing."""

    def log(self, name: str, line: str) -> None:
        """Show nothing of a line that a process wrote."""

    def follow(self, role: str, address: str) -> None:
        """Ask nobody."""

    def follow_training(self, status: Callable[[], LearnerStatus]) -> None:
        """Ask nobody."""

    def show(self, status: LearnerStatus) -> None:
        """Show nothing of how the run does."""

    def ending(self, reason: str) -> None:
        """Say nothing."""


class ScreenDisplay(Display):
    """Shows a run as one screen that is drawn anew; warnings and errors stay above it.

    Args:
        canvas: where it is drawn.
        plan: what the run was configured to be.
        directory: of the run.
        stop: the event that ends the run, watched for how it is answered.
        verbose: whether every line of every log is shown, not warnings and errors alone.
        keys: an operator's, where servers have keys.
    """

    def __init__(
        self,
        canvas: Canvas,
        plan: RunPlan,
        directory: Path,
        *,
        stop: threading.Event | None = None,
        verbose: bool = False,
        keys: RoleKeys | None = None,
    ) -> None:
        super().__init__(keys=keys)
        self._canvas = canvas
        self._directory = directory
        self._stop = stop or threading.Event()
        self._verbose = verbose
        self._watch = RunWatch(plan, directory)
        self._training: Callable[[], LearnerStatus] | None = None
        self._addresses: dict[str, str] = {}
        self._wake = threading.Event()
        self._drawn: list[Line] = []
        self._threads: list[threading.Thread] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._canvas.begin()
        self._open.callback(self._canvas.end)
        self._log_to(None)
        self._draw()
        self._run(self._draw_until_left)
        return self

    def _run(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name="zdqn-screen", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _log_to(self, file: Path | None) -> None:
        self._open.enter_context(log_to_screen(self._say, file, verbose=self._verbose))

    def log(self, name: str, line: str) -> None:
        """Show a line that a process wrote, if it matters; its log file has it in any case."""
        if name == _RUN or self._verbose or _MATTERS.match(line):
            self._say_as(name, line)

    def _say_as(self, name: str, line: str) -> None:
        colour = _COLOURS.get(name.partition("-")[0], "bold")
        width = self._canvas.size()[0] - _NAME_WIDTH - 2
        texts = [
            text
            for piece in line.splitlines()
            for text in wrapped(printable(piece), max(width, 10))
        ]
        for count, text in enumerate(texts or [""]):
            head = padded("" if count else f"{name} ", _NAME_WIDTH)
            self._canvas.say((Part(head, colour), Part("| "), Part(text)))

    def _say(self, line: str) -> None:
        """Show a line of this process's own log."""
        for text in wrapped(printable(line), self._canvas.size()[0]):
            self._canvas.say((Part(text),))

    def follow(self, role: str, address: str) -> None:
        """Ask a server for its status from now on."""
        first = not self._addresses
        self._addresses[role] = address
        if first:
            self._run(self._ask_until_left)

    def follow_training(self, status: Callable[[], LearnerStatus]) -> None:
        """Ask a training in this process from now on, and keep its log in the run's folder."""
        try:
            files = RunFiles(self._directory)
            open_run_directory(files.logs)
            self._log_to(files.log_of("train"))
        except (OSError, FileError):
            pass  # a full disk: training says so where it matters
        self._training = status
        self._wake.set()

    def ending(self, reason: str) -> None:
        """Say that the run was asked to end."""
        self._watch.end(reason)
        self._wake.set()

    # --- threads --------------------------------------------------------------------------------

    def _ask_until_left(self) -> None:
        learning = False
        while not self._left.wait(_ASK_PERIOD_S if learning else _ASK_SOON_S):
            if "learner" in self._addresses:
                learner = self._fetch("learner", self._addresses["learner"], LearnerStatus)
                if learner is not None:
                    self._watch.take_learner(learner)
                    learning = learner.progress.updates > 0
            if not learning and "memory" in self._addresses:  # it knows more, and sooner
                memory = self._fetch("memory", self._addresses["memory"], MemoryStatus)
                if memory is not None:
                    self._watch.take_memory(memory)

    def _draw_until_left(self) -> None:
        try:
            is_last = False  # drawn when it is left, so that a stop is answered before a quick end
            while not is_last:
                self._wake.wait(_DRAW_PERIOD_S)
                self._wake.clear()
                is_last = self._left.is_set()
                if self._stop.is_set():
                    self._watch.end(reason_of(self._stop))
                self._draw()
        except Exception as error:  # noqa: BLE001 - a picture must not end what it shows
            logger.warning("the screen is drawn no more: %r. The run goes on.", error)

    def _draw(self) -> None:
        if self._training is not None:
            self._watch.take_learner(self._training())
        width, height = self._canvas.size()
        glyphs = self._canvas.glyphs
        lines = draw_screen(self._watch.view(), width, height=height, glyphs=glyphs)
        if lines != self._drawn:
            self._canvas.draw(lines)
            self._drawn = lines

    def conclude(self) -> None:
        """Show how the run has ended in place of the screen, if that stays."""
        self._leave()
        if not self._canvas.keeps:
            return  # whoever started the run prints it
        view, (width, _) = self._watch.view(), self._canvas.size()
        head = (Part(printable(view.plan.environment), "bold"), Part("  has ended"))
        summary = summary_lines(read_summary(self._directory), width)
        self._canvas.draw([head, *((Part(line),) for line in summary)])

    def _leave(self) -> None:
        self._left.set()
        self._wake.set()
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """Show nothing more, and leave the terminal as it was."""
        self._leave()
        self._open.close()


def choose_display(
    plan: RunPlan,
    directory: Path,
    *,
    progress: bool = True,
    verbose: bool = False,
    stop: threading.Event | None = None,
    keys: RoleKeys | None = None,
) -> Display:
    """Give a display that suits where it is shown.

    Args:
        plan: what the run was configured to be.
        directory: of the run.
        progress: whether anything is to be shown.
        verbose: see `ScreenDisplay`.
        stop: likewise.
        keys: likewise.
    """
    if not progress:
        return NoDisplay()
    canvas = choose_canvas()
    if canvas is None:
        return Display(keys=keys)
    return ScreenDisplay(canvas, plan, directory, stop=stop, verbose=verbose, keys=keys)
