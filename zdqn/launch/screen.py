"""The screen of a run: a picture of a `RunView` as lines of text that fit a width.

A pure function: no clock, no terminal. What shows it is in `zdqn.launch.display`.
"""

from __future__ import annotations

from zdqn.launch.end_conditions import NearestEnd, nearest_end
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
    spread,
    text_of,
    width_of,
    wrapped,
)
from zdqn.launch.role_lines import PHASES, draw_roles, role_lines
from zdqn.launch.run_view import STOPPED, RunView
from zdqn.launch.sparkline import sparkline, with_bar
from zdqn.launch.wording import alike, duration, elapsed, number, score, share, time_left
from zdqn.records.run_history import ScoreRow
from zdqn.wire.status import ProgressStatus

WIDEST = 100
"""Cells that a screen takes at most: longer lines are hard to read."""
LEAST_WIDTH = 20
"""Cells that a screen takes at least; of a narrower terminal the rest is cut off."""

_LEAST_CURVE = 8
_CURVE_NAMES = 12
_CURVE_TEXT = 40
_MOST_SCORES = 5
_UNITS = {"environment_steps": "steps", "updates": "updates", "episodes": "episodes"}
_AGAIN = "stopping; again to end now"
"""What the first Ctrl-C is answered with."""


def draw_screen(
    view: RunView, width: int, *, height: int = 50, glyphs: Glyphs = UNICODE
) -> list[Line]:
    """Draw a run.

    Args:
        view: what is known of it.
        width: cells of a line; not more than `WIDEST` are used, and not less than 20.
        height: lines that there is room for; the table of evaluations gives way first.
        glyphs: what to draw with; `ASCII` for a terminal that knows nothing else.

    Returns:
        Lines of at most `width` cells.
    """
    width = max(min(width, WIDEST), LEAST_WIDTH)
    top = draw_head(view, width, glyphs)
    curves = draw_curves(view, width, glyphs)
    roles = draw_roles(role_lines(view), width, glyphs)
    verdict = draw_verdict(view, width, glyphs)
    used = sum(len(block) + 1 for block in (top, curves, roles, verdict) if block)
    scores = draw_scores(view, width, most=min(_MOST_SCORES, height - used - 2))
    lines = stacked(top, curves, scores, roles, verdict)
    if len(lines) > height:
        lines = [line for line in lines if line][: max(height, 1)]
    return [as_ascii(line) for line in lines] if glyphs is ASCII else lines


def stacked(*blocks: list[Line]) -> list[Line]:
    """Put blocks below each other, an empty line between two."""
    lines: list[Line] = []
    for block in blocks:
        if block:
            lines += [(), *block] if lines else block
    return lines


# --- what it is, and how far ----------------------------------------------------------------------


def doing(view: RunView) -> Part:
    """Say in a few words what the run does."""
    if view.ending:
        return Part(_stopping(view.ending), "bold yellow", 9)
    if view.phase in ("training", "evaluating"):
        return Part(view.phase, "green", 9)
    words = PHASES.get(view.phase, printable(view.phase))
    if view.has_begun:
        return Part(f"trained; {words}", "green", 9)
    if words == "starting" or view.plan.one_process:
        return Part(words, "yellow", 9)
    return Part(f"starting: the learner is {words}" if words.startswith("load") else
                f"starting: the learner {words}", "yellow", 9)  # fmt: skip


def _stopping(reason: str) -> str:
    if reason.startswith("SIG"):
        return _AGAIN
    return "stopping" if reason == STOPPED else f"stopping: {printable(reason)}"


def draw_head(view: RunView, width: int, glyphs: Glyphs) -> list[Line]:
    """Draw what it is, what it does, and the way to the nearest end condition."""
    return [_head(view, width, glyphs), *_way(view, width, glyphs)]


def _head(view: RunView, width: int, glyphs: Glyphs) -> Line:
    name = printable(view.plan.environment) or "run"
    left = joined(
        [Part(name, "bold", 5), doing(view), Part(elapsed(view.wall_s), "", 7)],
        width, joint="  ", cut=glyphs.cut,
    )  # fmt: skip
    room = width - width_of(text_of(left)) - 2
    directory = shortened(printable(view.directory), max(room, 0), glyphs.cut, keep_end=True)
    return spread(left, (Part(directory, "dim"),) if width_of(directory) > 1 else (), width)


def _way(view: RunView, width: int, glyphs: Glyphs) -> list[Line]:
    """Draw the way to the nearest end condition."""
    learner = view.learner
    end = nearest_end(
        view.limits,
        learner.progress if learner is not None else ProgressStatus(),
        environment_steps=view.environment_steps,
        wall_s=view.wall_s if view.has_begun else 0.0,
        rates=view.rates,
    )
    if end is None:
        return [joined([Part(_open_end(view), "dim")], width, cut=glyphs.cut)]
    text = joined(
        [
            Part(share(end.share), "bold", 9),
            Part(how_far(end), "", 7),
            Part(_left(view, end), "cyan", 8),
        ],
        width,
        cut=glyphs.cut,
    )
    return [with_bar(end.share, text, width, glyphs)]


def _left(view: RunView, end: NearestEnd) -> str:
    goes_on = view.phase in ("training", "evaluating") and not (view.ending or view.is_silent)
    return time_left(end.left_s) if end.left_s and goes_on else ""


def how_far(end: NearestEnd) -> str:
    """Say how much of the way to an end condition is done, such as ``7,488 of 500,000 steps``."""
    if end.name == "wall_s":
        return f"of {duration(end.limit)}"
    return f"{end.done:,.0f} of {end.limit:,.0f} {_UNITS[end.name]}"


def _open_end(view: RunView) -> str:
    goal = view.limits.evaluation_return
    if goal is None:
        return "goes on until it is stopped"
    return f"goes on until an evaluation reaches {score(goal)}"


# --- how well -------------------------------------------------------------------------------------


def draw_curves(view: RunView, width: int, glyphs: Glyphs) -> list[Line]:
    """Draw how well it does: returns while exploring, and of evaluations."""
    history, learner = view.history, view.learner
    progress = learner.progress if learner is not None else ProgressStatus()
    returns = [value for _, value in history.returns]
    now = progress.episode_return_mean
    if returns and (now is None or history.returns[-1][0] > progress.environment_steps):
        now = returns[-1]  # the file has a row that the learner has not told yet
    known = {*returns, *(() if now is None else (now,))}
    ranged = f"from {score(min(known))} to {score(max(known))}" if len(known) > 1 else ""
    exploring = [
        Part(score(now) or "no episode yet", "bold" if score(now) else "dim", 9),
        Part("while exploring" if score(now) else "", "dim", 2),
        Part(ranged, "dim", 3),
    ]
    lines = [_curve("return", "blue", history.returns, exploring, width, glyphs)]
    lines.append(_curve("evaluation", "magenta", history.scores, _scored(view), width, glyphs))
    return lines


def _scored(view: RunView) -> list[Part]:
    progress = view.learner.progress if view.learner is not None else ProgressStatus()
    last, best = progress.last_evaluation_return, progress.best_evaluation_return
    if view.history.newest:  # it may be newer than the learner's last word, and is never older
        last = view.history.newest[-1].mean
    if view.history.best is not None:
        best = max(view.history.best.mean, best) if best is not None else view.history.best.mean
    goal = view.limits.evaluation_return
    return [
        Part(score(last) or _unscored(view), "bold" if score(last) else "dim", 9),
        Part(score(best, "best {}"), "", 8),
        Part(score(goal, "goal {}"), "green" if _is_reached(best, goal) else "", 7),
    ]


def _is_reached(best: float | None, goal: float | None) -> bool:
    return best is not None and goal is not None and best >= goal


def _unscored(view: RunView) -> str:
    somebody = view.plan.evaluators or view.of_role("evaluator") or view.plan.one_process
    return "none yet" if somebody or not view.has_begun else "nobody evaluates"


def _curve(
    name: str,
    style: str,
    points: tuple[tuple[float, float], ...],
    parts: list[Part],
    width: int,
    glyphs: Glyphs,
) -> Line:
    """Draw a name, a curve and what it says now; the curve is as wide as the room allows."""
    room = width - _CURVE_NAMES - _CURVE_TEXT
    head = (Part(padded(name, _CURVE_NAMES), "dim"),)
    if room < _LEAST_CURVE:
        return (*head, *joined(parts, width - _CURVE_NAMES, cut=glyphs.cut))
    curve = Part(padded(sparkline(points, room - 2, glyphs.levels), room - 2), style)
    return (*head, curve, Part("  "), *joined(parts, _CURVE_TEXT, cut=glyphs.cut))


def draw_scores(view: RunView, width: int, *, most: int) -> list[Line]:
    """Draw the newest evaluations as a table, the best among them.

    Args:
        view: of the run.
        width: cells of a line.
        most: rows besides the heading; the table is left out where there is room for none.
    """
    history = view.history
    if most < 1 or not history.newest:
        return []
    rows = list(history.newest[-most:])
    best = history.best
    if best is not None and best not in rows:
        rows = [best, *rows[1:]] if len(rows) == most else [best, *rows]
    columns = ["after steps", "evaluation", "deviation", "lowest", "highest"]
    table = [columns, *_score_texts(rows)]
    widths = [max(width_of(row[i]) for row in table) for i in range(len(columns))]
    while len(widths) > 2 and sum(widths) + 3 * len(widths) + 4 > width:
        widths.pop()
    if sum(widths) + 3 * len(widths) + 4 > width:
        return []
    lines = []
    for texts, row in zip(table, [None, *rows], strict=True):
        cells = "   ".join(padded(text, wide, right=True) for text, wide in
                           zip(texts, widths, strict=False))  # fmt: skip
        mark = (Part("   best", "green"),) if row is not None and row == best else ()
        lines.append((Part(cells, "dim" if row is None else ""), *mark))
    return lines


def _score_texts(rows: list[ScoreRow]) -> list[list[str]]:
    """Write rows so that means can be compared, and single returns."""
    means = alike([value for row in rows for value in (row.mean, row.deviation)])
    singles = alike([value for row in rows for value in (row.minimum, row.maximum)])
    return [
        [
            number(row.environment_steps),
            *(number(value, means) for value in (row.mean, row.deviation)),
            *(number(value, singles) for value in (row.minimum, row.maximum)),
        ]
        for row in rows
    ]


# --- who limits it --------------------------------------------------------------------------------


def draw_verdict(view: RunView, width: int, glyphs: Glyphs) -> list[Line]:
    """Say who limits it, once it learns."""
    if view.learner is None or view.phase != "training" or not view.learner.progress.updates:
        return []
    text = printable(view.learner.verdict)
    return [(Part(line, "dim"),) for line in wrapped(text, width, glyphs.cut)]
