"""What is known of a study while it trains, as lines for a screen or a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zdqn.launch.lines import (
    ASCII,
    UNICODE,
    Glyphs,
    Line,
    Part,
    as_ascii,
    joined,
    padded,
    printable,
    shortened,
)
from zdqn.launch.sparkline import with_bar
from zdqn.launch.wording import elapsed, score, share, time_left

WIDEST = 100
_LEAST_WIDTH = 20
_NAMES = 32


@dataclass(frozen=True)
class RunningRun:
    """A run that goes on.

    Attributes:
        name: of the run.
        share: of its way, in [0, 1].
        elapsed_s: since it was started.
        evaluation: its newest; None before the first.
    """

    name: str
    share: float
    elapsed_s: float
    evaluation: float | None = None


@dataclass(frozen=True)
class StudyView:
    """A study at one moment.

    Attributes:
        title: of the study.
        directory: of its files.
        total: how many runs it has.
        kept: runs that were finished before this start.
        finished: runs that this start has finished.
        failed: name to why, in a few words, of runs that failed.
        running: runs that go on.
        elapsed_s: since this start.
        ending: why it ends before its end; "" if it does not.
    """

    title: str
    directory: str
    total: int
    kept: int = 0
    finished: int = 0
    failed: Mapping[str, str] | None = None
    running: Sequence[RunningRun] = ()
    elapsed_s: float = 0.0
    ending: str = ""

    @property
    def done(self) -> int:
        """How many runs are over, well or not."""
        return self.kept + self.finished + len(self.failed or {})

    @property
    def share(self) -> float:
        """Which share of all that is to be trained is, in [0, 1]."""
        return (self.done + sum(run.share for run in self.running)) / self.total

    def left_s(self) -> float | None:
        """Estimate how long it will take; None before anything can be said.

        As fast as it went since this start, which knows how many runs share the machine.
        """
        made = self.finished + len(self.failed or {}) + sum(run.share for run in self.running)
        left = self.total - self.done - sum(run.share for run in self.running)
        if made < 0.02 or self.elapsed_s < 1:
            return None
        return self.elapsed_s / made * left


def draw_study(view: StudyView, width: int, *, glyphs: Glyphs = UNICODE) -> list[Line]:
    """Draw a study.

    Args:
        view: what is known of it.
        width: cells of a line.
        glyphs: what to draw with.

    Returns:
        Lines of at most `width` cells.
    """
    width = max(min(width, WIDEST), _LEAST_WIDTH)
    lines = [_head(view, width, glyphs), _way(view, width, glyphs), ()]
    lines += [_run_line(run, width, glyphs) for run in view.running]
    lines += [
        joined([Part(f"{glyphs.bad} {name}", "red", 9), Part(printable(why))], width, joint="  ",
               cut=glyphs.cut)
        for name, why in (view.failed or {}).items()
    ]  # fmt: skip
    while lines and not lines[-1]:
        lines.pop()
    return [as_ascii(line) for line in lines] if glyphs is ASCII else lines


def progress_words(view: StudyView) -> str:
    """Say in a few words how far a study is, such as ``3 of 20 runs, 12 min left``."""
    left_s = view.left_s()
    parts = (
        f"{view.done} of {view.total} runs",
        f"{len(view.failed)} failed" if view.failed else "",
        time_left(left_s) if left_s and not view.ending else "",
    )
    return ", ".join(part for part in parts if part)


def _head(view: StudyView, width: int, glyphs: Glyphs) -> Line:
    doing = Part(f"stopping ({view.ending}); again to end now" if view.ending else "training",
                 "bold yellow" if view.ending else "green", 8)  # fmt: skip
    parts = [
        Part(printable(view.title), "bold", 5), doing, Part(elapsed(view.elapsed_s), "", 7),
        Part(printable(view.directory), "dim", 1),
    ]  # fmt: skip
    return joined(parts, width, joint="  ", cut=glyphs.cut)


def _way(view: StudyView, width: int, glyphs: Glyphs) -> Line:
    text: Line = joined(
        [Part(share(view.share), "bold", 9), Part(progress_words(view), "", 8)], width,
        cut=glyphs.cut,
    )  # fmt: skip
    return with_bar(view.share, text, width, glyphs)


def _run_line(run: RunningRun, width: int, glyphs: Glyphs) -> Line:
    name = padded(shortened(printable(run.name), _NAMES, glyphs.cut, keep_end=True), _NAMES)
    parts = [
        Part(f"{glyphs.good} {name}", "green", 9),
        Part(padded(share(run.share), 5, right=True), "", 8),
        Part(elapsed(run.elapsed_s), "", 5),
        Part(score(run.evaluation, "evaluation {}"), "", 6),
    ]
    return joined(parts, width, joint="  ", cut=glyphs.cut)
