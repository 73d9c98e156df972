"""What the page shows of a run's present, as values for JSON: a pure function of what was seen.

Words are made here and numbers rounded, so that the page only lays out, and terminal and page say
the same. Nothing here is markup: the page puts each text in as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zdqn.experiments.dashboard.page_roles import (
    describe_hosts,
    describe_links,
    describe_members,
    describe_nodes,
)
from zdqn.experiments.dashboard.seen import Film, Seen
from zdqn.launch.end_conditions import nearest_end
from zdqn.launch.lines import printable
from zdqn.launch.run_view import RunView
from zdqn.launch.screen import doing, how_far
from zdqn.launch.wording import counted, duration, elapsed, number, rate, score, share, time_left
from zdqn.wire.status import MemoryStatus

_NONE = "\N{EN DASH}"
_ROWS_IN_SIGHT = 12
"""Of evaluations, without scrolling."""
_OF_A_MEMORY = "A memory does not tell them. Give the learner's address, or the run's directory."


def describe_page(seen: Seen) -> dict[str, Any]:
    """Describe a run's present.

    Args:
        seen: what is known of it.

    Returns:
        Nested dictionaries and lists of text and numbers.
    """
    view = seen.view
    return {
        "run": _run(seen),
        "contact": {"kind": seen.contact.kind, "text": printable(seen.contact.text)},
        "warnings": [printable(text) for text in seen.warnings],
        "tiles": _tiles(seen),
        "way": _way(seen),
        "goal": view.limits.evaluation_return,
        "verdict": _verdict(seen),
        "picture": {"nodes": describe_nodes(seen), "links": describe_links(seen)},
        "gauges": _gauges(seen),
        "hosts": describe_hosts(seen),
        "members": describe_members(seen),
        "evaluations": _evaluations(seen),
        "unevaluated": _why_no_evaluations(seen),
        "undrawn": _why_no_curves(seen),
        "film": _film(seen),
        "series": seen.series.version,
    }


# --- what it is, and how far ----------------------------------------------------------------------


def _run(seen: Seen) -> dict[str, Any]:
    view, kind = seen.view, seen.contact.kind
    words = {"over": "has ended", "away": "away", "waiting": "not begun"}
    if _tells_no_learner(seen):
        words["live"] = "live"
    return {
        "name": printable(seen.name),
        "directory": printable(view.directory),
        "environment": printable(view.plan.environment) or "run",
        "doing": words.get(kind) or printable(doing(view).text),
        "time": _time(seen),
    }


def _time(seen: Seen) -> str:
    """Give how long it has trained; of what nobody tells any more, as far as was told."""
    view, kind = seen.view, seen.contact.kind
    if view.learner is None or not (view.has_begun or seen.is_over):
        return ""
    if seen.is_over:
        return duration(seen.summary.get("wall_s", view.learner.run.wall_s))
    return elapsed(view.wall_s if kind == "live" else view.learner.run.wall_s)


def _tiles(seen: Seen) -> list[dict[str, str]]:
    view, progress = seen.view, seen.progress
    rates = view.rates if seen.is_told else {}
    best = seen.series.best.mean if seen.series.best else progress.best_evaluation_return
    newest = seen.series.newest
    last = newest[-1].mean if newest else progress.last_evaluation_return
    again = seen.summary.get("best_rescored_return")
    goal = view.limits.evaluation_return
    marks = _joined(
        (score(best, "best {}"), score(again, "scored again {}"), score(goal, "goal {}"))
    )
    stale = progress.staleness_mean
    steps = seen.summary.get("environment_steps") or view.environment_steps
    updates = seen.summary.get("updates") or progress.updates
    rows = [
        ("return", score(progress.episode_return_mean), "of episodes while exploring"),
        ("evaluation", score(last), marks or "of frozen snapshots"),
        ("environment steps", number(steps or None),
         rate(rates.get("environment_steps"))),
        ("updates", number(updates or None), rate(rates.get("updates"))),
        ("staleness", number(stale, "{:.1f}"), "versions between acting and learning"),
        ("loss", number(progress.loss, "{:.3g}"), "mean of the last updates"),
    ]  # fmt: skip
    return [{"name": name, "value": value or _NONE, "note": note} for name, value, note in rows]


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(text for text in texts if text)


def _way(seen: Seen) -> dict[str, Any]:
    """Describe the way to the nearest end condition."""
    view = seen.view
    end = nearest_end(
        view.limits,
        seen.progress,
        environment_steps=view.environment_steps,
        wall_s=view.wall_s if view.has_begun else 0.0,
        rates=view.rates,
    )
    if end is None or seen.is_over:
        return {"share": None, "text": ""}
    goes_on = seen.is_told and view.phase in ("training", "evaluating") and not view.is_silent
    left = time_left(end.left_s) if end.left_s and goes_on else ""
    text = _joined((f"{share(end.share)}, {how_far(end)}", left))
    return {"share": round(end.share, 4), "text": text}


def _verdict(seen: Seen) -> str:
    view = seen.view
    if seen.is_over:
        return printable(str(seen.summary.get("verdict") or ""))
    if view.learner is None or not view.learner.progress.updates or not seen.is_told:
        return ""
    return printable(view.learner.verdict)


# --- queues and limits ----------------------------------------------------------------------------


def _gauges(seen: Seen) -> list[dict[str, Any]]:
    """Give what is full, waits or holds back; what is not known is left out."""
    view, memory = seen.view, seen.view.memory
    if not seen.is_told:
        return []
    rows: list[tuple[str, float | None, str]] = []
    if memory is not None and memory.capacity:
        filled = f"{memory.size:,} of {counted(memory.capacity, 'transition')}"
        rows.append(("replay filled", memory.size / memory.capacity, filled))
    if memory is not None and memory.samples_per_insert:
        wanted = seen.samples_per_insert
        text = number(memory.samples_per_insert, "{:.3g}") + number(wanted, " of {:.3g} wanted")
        part = memory.samples_per_insert / wanted if wanted else None
        rows.append(("limiter: samples per insert", part, text))
    rows += [
        (name, seen.rates[key], f"{share(min(seen.rates[key], 1.0))} of the time")
        for name, key in (
            ("limiter holds collectors back", "holding"),
            ("memory stores", "inserting"),
            ("memory samples", "sampling"),
        )
        if key in seen.rates
    ]
    blocked = [view.rates[key] for key in view.rates if key.startswith("blocked of ")]
    if blocked:
        mean = min(sum(blocked) / len(blocked), 1.0)
        rows.append(("collectors wait to send", mean, f"{share(mean)} of the time"))
    rows += _counts(view)
    return [
        {"name": name, "share": None if part is None else round(min(part, 1.0), 4), "text": text}
        for name, part, text in rows
    ]


def _counts(view: RunView) -> list[tuple[str, float | None, str]]:
    """Give how much waits on each queue, and what was lost."""
    if view.learner is None or view.plan.one_process:
        return []
    progress, memory = view.learner.progress, view.memory
    waiting = memory.waiting_requests if isinstance(memory, MemoryStatus) else None
    counts = [
        ("sample requests that wait", waiting),
        ("blocks under way", progress.blocks_in_flight),
        ("steps ahead of the memory", progress.steps_ahead),
        ("snapshots to score", progress.unevaluated),
        ("blocks lost", progress.blocks_lost),
        ("blocks refused", progress.blocks_refused),
    ]
    return [(name, None, f"{count:,}") for name, count in counts if count is not None]


# --- how well -------------------------------------------------------------------------------------


def _evaluations(seen: Seen) -> list[dict[str, Any]]:
    """Give the newest evaluations, the newest first, and the best above if it would not be seen."""
    series = seen.series
    rows = list(reversed(series.newest))
    if series.best is not None and series.best not in rows[:_ROWS_IN_SIGHT]:
        rows = [series.best, *(row for row in rows if row != series.best)]
    return [
        {
            "steps": number(row.environment_steps),
            "mean": score(row.mean),
            "deviation": score(row.deviation),
            "lowest": score(row.minimum),
            "highest": score(row.maximum),
            "episodes": number(row.episodes),
            "best": row == series.best,
        }
        for row in rows
    ]


def _tells_no_learner(seen: Seen) -> bool:
    """Whether a memory's address is all that is known."""
    return not seen.has_folder and seen.view.learner is None and seen.view.memory is not None


def _why_no_curves(seen: Seen) -> str:
    """Say why nothing is drawn, where there is nothing to draw."""
    if seen.is_over:
        return "The run has left no metrics."
    if _tells_no_learner(seen):
        return _OF_A_MEMORY
    return "None yet: they begin with the first row of metrics."


def _why_no_evaluations(seen: Seen) -> str:
    """Say why there is no table of evaluations; "" if there is."""
    if seen.series.count:
        return ""
    if seen.is_over:
        return "The run was not evaluated."
    if _tells_no_learner(seen):
        return _OF_A_MEMORY
    if not seen.has_folder:
        return (
            "An address tells only the newest and the best evaluation, which are above. Give the "
            "run's directory to see all of them."
        )
    if seen.contact.kind == "live" and not seen.view.of_role("evaluator"):
        return "None yet: no evaluator has joined."
    return "None yet."


def _film(seen: Seen) -> dict[str, Any]:
    film, why = seen.film, printable(seen.film_why)
    return {"why": why} if film is None else {"why": why, **_shown(film, seen.now_s)}


def _shown(film: Film, now_s: float) -> dict[str, Any]:
    return {
        "number": film.number,
        "columns": film.columns,
        "frames": film.frames,
        "width": film.width,
        "height": film.height,
        "frame_s": film.frame_s,
        "text": printable(film.text),
        "age": duration(max(now_s - film.made_s, 0.0)),
    }
