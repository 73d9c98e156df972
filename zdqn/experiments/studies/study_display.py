"""What a person sees of a study: a screen on a terminal or in a notebook, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from zdqn.experiments.studies.study_view import StudyView, draw_study, progress_words
from zdqn.launch.canvas import Canvas, choose_canvas
from zdqn.launch.lines import Line, Part, printable, wrapped
from zdqn.launch.waiting import LINE_PERIOD_S
from zdqn.launch.wording import duration


class StudyLines:
    """Shows a study as lines.

    Args:
        stream: where to; standard error by default.
        period_s: between two lines of progress.
    """

    def __init__(self, stream: TextIO | None = None, *, period_s: float = LINE_PERIOD_S) -> None:
        self._stream = stream or sys.stderr
        self._period_s = period_s
        self._next_s = time.monotonic() + period_s

    def show(self, view: StudyView) -> None:
        """Show how it does, now and then."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + self._period_s
            self.say(f"{duration(view.elapsed_s)}: {progress_words(view)}")

    def say(self, text: str) -> None:
        """Show a sentence."""
        self._stream.write(text + "\n")
        self._stream.flush()


class StudyScreen:
    """Shows a study as a block that is drawn anew, below the sentences that stay.

    Args:
        canvas: where it is drawn.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._drawn: list[Line] = []

    def show(self, view: StudyView) -> None:
        """Show how it does."""
        width, height = self._canvas.size()
        lines = draw_study(view, width, glyphs=self._canvas.glyphs)[: max(height, 1)]
        if lines != self._drawn:
            self._canvas.draw(lines)
            self._drawn = lines

    def say(self, text: str) -> None:
        """Show a sentence above the block."""
        width, _ = self._canvas.size()
        for piece in text.splitlines():
            for line in wrapped(printable(piece), width):
                self._canvas.say((Part(line),))


@contextmanager
def choose_study_display() -> Iterator[StudyLines | StudyScreen]:
    """Give what suits where a study is shown, for as long as it trains."""
    canvas = choose_canvas()
    if canvas is None:
        yield StudyLines()
        return
    canvas.begin()
    try:
        yield StudyScreen(canvas)
    finally:
        canvas.end()
