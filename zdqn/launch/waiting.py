"""What somebody sees who waits for a command: a line at a terminal, one now and then in a log."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from zdqn.launch.canvas import Canvas, choose_canvas
from zdqn.launch.lines import (
    ASCII,
    Glyphs,
    Line,
    Part,
    as_ascii,
    broken,
    joined,
    printable,
    shortened,
    text_of,
    width_of,
)
from zdqn.launch.logs import log_to_screen
from zdqn.launch.sparkline import with_bar
from zdqn.launch.wording import duration, time_left

logger = logging.getLogger("zdqn")

LINE_PERIOD_S = 30.0
"""Seconds between two lines in a log."""

_QUICK_S = 0.5
"""What is over sooner shows nothing."""
_DRAW_PERIOD_S = 0.2
_SOON_S = 1.0
"""Before which nobody can say how long something will take."""
_WIDEST = 100
_JOINT = ", "


class Waiting(NamedTuple):
    """How far something is at one moment.

    Attributes:
        title: what goes on.
        elapsed_s: since it began.
        done: how many of what is counted are done.
        total: how many there are to be; None if that is not known.
        unit: what is counted, such as "episodes"; "" if nothing is.
        alike: whether each takes about as long, so that the time left can be told.
        doing: what is being done now; "" if the title says it.
        doing_s: since that began.
    """

    title: str
    elapsed_s: float
    done: int = 0
    total: int | None = None
    unit: str = ""
    alike: bool = True
    doing: str = ""
    doing_s: float = 0.0

    def left_s(self) -> float | None:
        """Estimate how long it will take; None where that cannot be known (yet)."""
        if not (self.total and self.done and self.alike) or self.elapsed_s < _SOON_S:
            return None
        return self.elapsed_s / self.done * max(self.total - self.done, 0)


class TaskProgress:
    """Told how far something is by who does it, whichever thread that is in.

    Args:
        title: what goes on.
        total: how many there are to be; None if that is not known.
        unit: what is counted, such as "episodes"; "" if nothing is.
        alike: whether each takes about as long.
    """

    def __init__(
        self, title: str, total: int | None = None, unit: str = "", *, alike: bool = True
    ) -> None:
        self.begin(title, total, unit, alike=alike)

    def begin(
        self, title: str, total: int | None = None, unit: str = "", *, alike: bool = True
    ) -> None:
        """Take note that something else goes on now; the arguments are those of the class."""
        now_s = time.monotonic()
        self._what = title, now_s, total, unit, alike
        self._now = "", now_s
        self._done = 0

    def __call__(self, done: int) -> None:
        """Take how many are done."""
        self._done = done

    def doing(self, what: str) -> None:
        """Take what is being done now."""
        self._now = what, time.monotonic()

    def look(self) -> Waiting:
        """Say how far it is."""
        now_s = time.monotonic()
        (title, began_s, total, unit, alike), (doing, since_s) = self._what, self._now
        return Waiting(
            title=title,
            elapsed_s=now_s - began_s,
            done=self._done,
            total=total,
            unit=unit,
            alike=alike,
            doing=doing,
            doing_s=now_s - since_s,
        )


@contextmanager
def shown_progress(
    title: str,
    total: int | None = None,
    unit: str = "",
    *,
    alike: bool = True,
    count: Callable[[], int] | None = None,
    period_s: float = LINE_PERIOD_S,
) -> Iterator[TaskProgress]:
    """Show on standard error how far something is, until the context is left.

    A terminal has a line that is drawn anew, below whatever is printed or logged meanwhile; it is
    gone in the end. Elsewhere comes a line now and then.

    Args:
        title: what goes on.
        total: how many there are to be; None if that is not known.
        unit: what is counted, such as "episodes"; "" if nothing is.
        alike: whether each takes about as long, so that the time left can be told.
        count: gives how many are done, where nobody tells.
        period_s: between two lines where there is no terminal.

    Yields:
        Takes how many are done, and what is being done.
    """
    progress, over = TaskProgress(title, total, unit, alike=alike), threading.Event()

    def look() -> Waiting:
        if count is not None:
            progress(count())
        return progress.look()

    thread = threading.Thread(
        target=_show, args=(look, over, period_s), name="zdqn-waiting", daemon=True
    )
    thread.start()
    try:
        yield progress
    finally:
        over.set()
        thread.join()


def _show(look: Callable[[], Waiting], over: threading.Event, period_s: float) -> None:
    if over.wait(min(_QUICK_S, period_s)):
        return
    try:
        canvas = choose_canvas()
        if canvas is not None:
            if not canvas.keeps:  # as a notebook does, where only what is to stay is shown
                _draw(look, over, canvas)
            return
        while not over.wait(period_s):
            sys.stderr.write(waiting_words(look()) + "\n")
            sys.stderr.flush()
    except Exception as error:  # noqa: BLE001 - a picture must not end what it shows
        logger.warning("how far it is is shown no more: %r. It goes on.", error)


def _draw(look: Callable[[], Waiting], over: threading.Event, canvas: Canvas) -> None:
    def say(text: str) -> None:
        for line in broken(printable(text), canvas.size()[0]):
            canvas.say((Part(line),))

    drawn: list[Line] = []
    canvas.begin()
    try:
        with log_to_screen(say, None, verbose=True):
            while True:
                lines = draw_waiting(look(), canvas.size()[0], glyphs=canvas.glyphs)
                if lines != drawn:
                    canvas.draw(lines)
                    drawn = lines
                if over.wait(_DRAW_PERIOD_S):
                    return
    finally:
        canvas.end()


# --- what is shown --------------------------------------------------------------------------------


def draw_waiting(view: Waiting, width: int, *, glyphs: Glyphs) -> list[Line]:
    """Draw how far something is.

    Args:
        view: what is known of it.
        width: cells of a line.
        glyphs: what to draw with.

    Returns:
        Lines of at most `width` cells: what goes on, and below it what is being done.
    """
    width = min(width, _WIDEST)
    numbers = [
        Part(_counted(view), "", 8),
        Part(duration(view.elapsed_s), "", 6),
        Part(_left(view), "cyan", 7),
    ]
    line = joined(numbers, width, cut=glyphs.cut)
    room = width - width_of(text_of(line)) - len(_JOINT)  # a path may be longer than a line
    title = shortened(printable(view.title), room, glyphs.cut)
    line = (Part(title, "bold"), Part(_JOINT), *line) if title else line
    lines = [with_bar(view.done / view.total, line, width, glyphs) if view.total else line]
    if view.doing:
        now = [Part(printable(view.doing), "", 9), Part(duration(view.doing_s), "dim", 8)]
        lines.append((Part("  "), *joined(now, max(width - 2, 1), cut=glyphs.cut)))
    return [as_ascii(line) for line in lines] if glyphs is ASCII else lines


def waiting_words(view: Waiting) -> str:
    """Say in a line of a log how far something is."""
    words = ", ".join(filter(None, (view.title, _counted(view), _left(view))))
    now = f"; {view.doing}, {duration(view.doing_s)}" if view.doing else ""
    return printable(f"{duration(view.elapsed_s)}: {words}{now}")


def _counted(view: Waiting) -> str:
    if not view.unit:
        return ""
    of = f" of {view.total:,}" if view.total else ""
    return f"{view.done:,}{of} {view.unit}"


def _left(view: Waiting) -> str:
    left_s = view.left_s()
    return "" if left_s is None else time_left(left_s)
