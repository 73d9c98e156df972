"""What `zdqn top` shows: all that is known of a run, as wide and as high as a terminal is.

Pure functions, as in `zdqn.launch.screen`; what shows them is in `zdqn.launch.top_screen`.
"""

from __future__ import annotations

from collections.abc import Sequence

from zdqn.launch.lines import (
    ASCII,
    UNICODE,
    Glyphs,
    Line,
    Part,
    as_ascii,
    joined,
    padded,
    text_of,
    width_of,
    wrapped,
)
from zdqn.launch.role_lines import draw_roles, memory_line, role_lines
from zdqn.launch.run_view import RunView
from zdqn.launch.screen import (
    LEAST_WIDTH,
    draw_curves,
    draw_head,
    draw_scores,
    draw_verdict,
    stacked,
)
from zdqn.launch.sparkline import tall_curve
from zdqn.launch.status_page import draw_members, draw_silent_learner
from zdqn.launch.wording import counted, duration, number, score, share

_WIDE = 110
"""Cells from which on two curves find room beside each other."""
_NAMES = 12
_GAP = 3
_LEAST_ROWS, _MOST_ROWS = 3, 8
"""Lines of a curve; where there is room for fewer it takes one."""
_MOST_SCORES = 3
_MEMBERS = 12
"""Lines that rows of members may take before curves take them."""
LEAVES = "q leaves; the run goes on"


def draw_top(
    view: RunView,
    width: int,
    *,
    height: int = 1_000,
    glyphs: Glyphs = UNICODE,
    in_vain: Sequence[str] = (),
) -> list[Line]:
    """Draw a run.

    Args:
        view: what is known of it.
        width: cells of a line.
        height: lines that there is room for: curves become lower first, then the rows of members
            are cut.
        glyphs: what to draw with.
        in_vain: servers that were asked last and did not answer.

    Returns:
        At most `height` lines of at most `width` cells.
    """
    width = max(width, LEAST_WIDTH)
    head = _away(view, width, in_vain)
    if view.learner is not None:
        head = [*draw_head(view, width, glyphs), *head]
    lines = role_lines(view) if view.learner is not None else [memory_line(view)]
    below = stacked(draw_roles(lines, width, glyphs), _numbers(view, width))
    verdict = draw_verdict(view, width, glyphs)
    members = draw_members(view, width)
    blocks = [head, below, verdict, members[:_MEMBERS]]
    used = sum(len(block) + 1 for block in blocks if block)
    curves = _curves(view, width, height - used, glyphs)
    drawn = stacked(head, curves, below, verdict, members)
    return [as_ascii(line) for line in drawn[:height]] if glyphs is ASCII else drawn[:height]


def _away(view: RunView, width: int, in_vain: Sequence[str]) -> list[Line]:
    """Say who does not answer, and for how long."""
    if view.learner is None:
        return draw_silent_learner(view, width)
    if not view.is_silent:
        return []
    nobody = "memory" in in_vain
    who = "neither learner nor memory has answered" if nobody else "the learner has not answered"
    text = f"{who} for {duration(view.silent_s)}; what follows is from before"
    return [(Part(line, "yellow"),) for line in wrapped(text, width)]


# --- curves ---------------------------------------------------------------------------------------


def _curves(view: RunView, width: int, room: int, glyphs: Glyphs) -> list[Line]:
    """Draw returns and evaluations, as high as there is room for."""
    if view.learner is None:
        return []
    beside = width >= _WIDE
    scores = draw_scores(view, width, most=_MOST_SCORES)
    each = (room - 2 - (len(scores) + 1 if scores else 0)) // (1 if beside else 2) - 1
    no_past = not (view.history.returns or view.history.scores)
    if no_past or each < _LEAST_ROWS:
        small = draw_curves(view, width, glyphs)
        return stacked(small, scores) if room >= len(small) + len(scores) + 2 else small
    rows = min(each, _MOST_ROWS)
    wide = (width - _GAP) // 2 if beside else width
    progress, history = view.learner.progress, view.history
    returns = _plot(
        "return", "blue", history.returns, progress.episode_return_mean, wide, rows, glyphs
    )
    evaluations = _plot(
        "evaluation", "magenta", history.scores, progress.last_evaluation_return, wide, rows, glyphs
    )
    if not beside:
        return stacked([*returns, *evaluations], scores)
    lines = [
        (*left, Part(" " * (wide - width_of(text_of(left)) + _GAP)), *right)
        for left, right in zip(returns, evaluations, strict=True)
    ]
    return stacked(lines, scores)


def _plot(
    name: str,
    style: str,
    points: tuple[tuple[float, float], ...],
    now: float | None,
    width: int,
    rows: int,
    glyphs: Glyphs,
) -> list[Line]:
    """Draw a curve below its name, with the highest and the lowest value beside it."""
    known = [y for _, y in points]
    steps = f"over {number(points[-1][0])} environment steps" if points else ""
    head = joined(
        [Part(name, "bold", 9), Part(score(now) or "none yet", "", 8), Part(steps, "dim", 1)],
        width,
        joint="  ",
        cut=glyphs.cut,
    )
    labels = [""] * rows
    if known:
        labels[0], labels[-1] = score(max(known)), score(min(known))
    curve = tall_curve(points, max(width - _NAMES, 1), rows, glyphs.levels)
    return [
        head,
        *(
            (Part(padded(label, _NAMES - 1, right=True) + " ", "dim"), Part(line, style))
            for label, line in zip(labels, curve, strict=True)
        ),
    ]


# --- numbers --------------------------------------------------------------------------------------


def _numbers(view: RunView, width: int) -> list[Line]:
    """Draw what updates see, how old it is, and where things wait."""
    if view.learner is None:
        return []
    rows = (
        ("updates", _of_updates(view)),
        ("limiter", _of_limiter(view)),
        ("blocks", _of_blocks(view)),
        ("queues", _of_queues(view)),
    )
    lines = []
    for name, parts in rows:
        if any(part.text for part in parts):
            told = joined(parts, max(width - _NAMES, 1))
            lines.append((Part(padded(name, _NAMES), "dim"), *told))
    return lines


def _of_updates(view: RunView) -> list[Part]:
    assert view.learner is not None
    progress = view.learner.progress
    return [
        Part(number(progress.loss, "loss {:.3g}"), "", 9),
        Part(number(progress.td_error_mean, "TD error {:.3g}"), "", 6),
        Part(number(progress.q_mean, "Q {:.4g}"), "", 7),
        Part(number(progress.gradient_norm, "gradient norm {:.3g}"), "", 5),
        Part(number(progress.staleness_mean or None, "data {:.1f} versions old"), "", 8),
    ]


def _of_limiter(view: RunView) -> list[Part]:
    assert view.learner is not None
    if view.memory is None or view.plan.one_process:
        return []
    memory, holding = view.memory, view.rates.get("holding back")
    reads = "" if memory.reading else "holds collectors back now"
    return [
        Part(number(memory.samples_per_insert or None, "{:.3g} samples an insert"), "", 8),
        Part(reads, "yellow", 9),
        Part("" if holding is None else f"held back {share(min(holding, 1.0))} of the time", "", 7),
    ]


def _of_blocks(view: RunView) -> list[Part]:
    assert view.learner is not None
    progress = view.learner.progress
    if not progress.blocks_sent:
        return []
    return [
        Part(f"{counted(progress.blocks_sent, 'block')} sent", "", 9),
        Part(f"{progress.blocks_in_flight:,} on their way", "", 6),
        Part(f"{progress.blocks_lost:,} lost", "yellow" if progress.blocks_lost else "", 8),
        Part(
            f"{progress.blocks_refused:,} refused", "yellow" if progress.blocks_refused else "", 7
        ),
    ]


def _of_queues(view: RunView) -> list[Part]:
    assert view.learner is not None
    progress = view.learner.progress
    collectors = [member.collector for member in view.of_role("collector") if member.is_living]
    unacknowledged = [c.unacknowledged for c in collectors if c.unacknowledged is not None]
    requests = getattr(view.memory, "waiting_requests", None)
    return [
        Part(f"{counted(progress.steps_ahead, 'step')} ahead of the memory", "", 8),
        Part(f"{counted(progress.unevaluated, 'snapshot')} to score", "", 7),
        Part(f"{sum(unacknowledged):,} blocks unacknowledged" if unacknowledged else "", "", 6),
        Part(number(requests, "{:,.0f} sample requests wait"), "", 5),
        Part(
            f"{view.learner.actions_served:,} actions served"
            if view.learner.actions_served else "", "", 4,
        ),
    ]  # fmt: skip
