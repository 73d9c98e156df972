"""What the page shows of a run's present, as values for JSON: a pure function of what was seen.

Words are made here and numbers rounded, so that the page only lays out, and terminal and page say
the same. Nothing here is markup: the page puts each text in as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zdqn.experiments.dashboard.seen import Film, Seen
from zdqn.launch.end_conditions import nearest_end
from zdqn.launch.lines import printable
from zdqn.launch.role_lines import RoleLine, is_stalled, role_lines, standstill
from zdqn.launch.run_view import SILENT_AFTER_S, Member, RunView
from zdqn.launch.screen import doing, how_far
from zdqn.launch.wording import counted, duration, number, rate, score, share, time_left
from zdqn.wire.status import MemoryStatus, ProgressStatus

_OVER = "over"
_NONE = "\N{EN DASH}"
_ROLES = ("collector", "memory", "learner", "evaluator")


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
        "picture": {"nodes": _nodes(seen), "links": _links(seen)},
        "gauges": _gauges(seen),
        "hosts": _hosts(seen),
        "members": [_member(seen, member) for member in _all_members(view)],
        "evaluations": _evaluations(seen),
        "film": _film(seen),
        "series": seen.series.version,
    }


def _progress(view: RunView) -> ProgressStatus:
    return view.learner.progress if view.learner is not None else ProgressStatus()


def _is_told(seen: Seen) -> bool:
    """Whether what was told last still holds."""
    return seen.contact.kind in ("live", "files", "waiting")


# --- what it is, and how far ----------------------------------------------------------------------


def _run(seen: Seen) -> dict[str, Any]:
    view, kind = seen.view, seen.contact.kind
    words = {"over": "has ended", "away": "away", "waiting": "not begun"}
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
    if view.learner is None or not (view.has_begun or kind == _OVER):
        return ""
    if kind == _OVER:
        return duration(seen.summary.get("wall_s", view.learner.run.wall_s))
    return duration(view.wall_s if kind == "live" else view.learner.run.wall_s)


def _tiles(seen: Seen) -> list[dict[str, str]]:
    view, progress = seen.view, _progress(seen.view)
    rates = view.rates if _is_told(seen) else {}
    best = seen.series.best.mean if seen.series.best else progress.best_evaluation_return
    newest = seen.series.newest
    last = newest[-1].mean if newest else progress.last_evaluation_return
    goal = view.limits.evaluation_return
    stale = progress.staleness_mean
    steps = seen.summary.get("environment_steps") or view.environment_steps
    updates = seen.summary.get("updates") or progress.updates
    rows = [
        ("return", score(progress.episode_return_mean), "of episodes while exploring"),
        (
            "evaluation",
            score(last),
            _joined((score(best, "best {}"), score(goal, "goal {}"))) or "of frozen snapshots",
        ),
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
        _progress(view),
        environment_steps=view.environment_steps,
        wall_s=view.wall_s if view.has_begun else 0.0,
        rates=view.rates,
    )
    if end is None or seen.contact.kind == _OVER:
        return {"share": None, "text": ""}
    goes_on = _is_told(seen) and view.phase in ("training", "evaluating") and not view.is_silent
    left = time_left(end.left_s) if end.left_s and goes_on else ""
    text = _joined((f"{share(end.share)}, {how_far(end)}", left))
    return {"share": round(end.share, 4), "text": text}


def _verdict(seen: Seen) -> str:
    view = seen.view
    if seen.contact.kind == _OVER:
        return printable(str(seen.summary.get("verdict") or ""))
    if view.learner is None or not view.learner.progress.updates or not _is_told(seen):
        return ""
    return printable(view.learner.verdict)


# --- the picture of the roles ---------------------------------------------------------------------


def _nodes(seen: Seen) -> list[dict[str, Any]]:
    """Give a node for each role, in the order in which data goes through them."""
    lines = {_role_of(line): line for line in role_lines(seen.view)}
    return [_node(seen, role, lines.get(role)) for role in _ROLES]


_ONE_PROCESS = {"acting": "collector", "replay": "memory", "learning": "learner"}


def _role_of(line: RoleLine) -> str:
    word = line.name.split()[-1]
    return _ONE_PROCESS.get(word, word.removesuffix("s"))


def _node(seen: Seen, role: str, line: RoleLine | None) -> dict[str, Any]:
    if seen.contact.kind == _OVER:
        return {"role": role, "title": role, "health": "ended", "lines": _done(seen, role)}
    if line is None:
        alone = seen.view.plan.one_process
        text = "in the same process" if alone else "none known"
        return {"role": role, "title": role, "health": "waits", "lines": [text]}
    health = line.health if _is_told(seen) else "unknown"
    texts = [printable(part.text) for part in line.parts if part.text]
    return {"role": role, "title": line.name, "health": health, "lines": texts}


def _done(seen: Seen, role: str) -> list[str]:
    """Say what a role did in a run that is over, as far as its summary tells."""
    value = seen.summary.get
    texts = {
        "collector": (
            number(value("environment_steps"), "{:,.0f} steps"),
            number(value("environment_steps_per_s"), "{:,.0f}/s"),
            number(value("episodes"), "{:,.0f} episodes"),
        ),
        "memory": (
            number(value("samples_per_insert"), "each sampled {:.3g} times"),
            number(value("blocks_lost"), "{:,.0f} blocks lost"),
        ),
        "learner": (
            number(value("updates"), "{:,.0f} updates"),
            number(value("updates_per_s"), "{:,.0f}/s"),
        ),
        "evaluator": (counted(seen.series.count, "evaluation"),),
    }
    return [text for text in texts[role] if text]


def _links(seen: Seen) -> list[dict[str, Any]]:
    """Give what goes from role to role, and how much of it a second, as far as that is known."""
    rates = seen.rates if _is_told(seen) else {}
    progress = _progress(seen.view)
    stale, unscored = progress.staleness_mean, progress.unevaluated
    return [
        _link("transitions", "collector", "memory", rates.get("inserts")),
        _link("samples", "memory", "learner", rates.get("samples")),
        {
            **_link("weights", "learner", "collector", None),
            "text": number(stale, "{:.1f} versions old when used") if _is_told(seen) else "",
        },
        {
            **_link("snapshots", "learner", "evaluator", None),
            "text": f"{unscored:,} to score" if unscored and _is_told(seen) else "",
            "count": seen.series.count,
        },
    ]


def _link(name: str, begin: str, end: str, per_s: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "from": begin,
        "to": end,
        "per_s": None if per_s is None else round(per_s, 2),
        "text": rate(per_s),
        "count": None,
    }


# --- queues and limits ----------------------------------------------------------------------------


def _gauges(seen: Seen) -> list[dict[str, Any]]:
    """Give what is full, waits or holds back; what is not known is left out."""
    view, memory = seen.view, seen.view.memory
    if not _is_told(seen):
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


# --- who is there ---------------------------------------------------------------------------------


def _all_members(view: RunView) -> list[Member]:
    return [*view.of_role("collector"), *view.of_role("evaluator")]


def _member(seen: Seen, member: Member) -> dict[str, Any]:
    view = seen.view
    health, state = _health(view, member) if _is_told(seen) else ("unknown", "")
    told = member.collector
    blocked = view.rates.get(f"blocked of {member.name}")
    is_collector = member.role == "collector"
    return {
        "role": member.role,
        "name": printable(member.name),
        "health": health,
        "state": state,
        "rate": rate(view.rates.get(f"steps of {member.name}"), "{}") if is_collector else "",
        "done": number(told.environment_steps if is_collector else member.evaluator.evaluations),
        "return": score(told.episode_return_mean) if is_collector else "",
        "epsilon": number(told.epsilon, "{:.3f}") if is_collector else "",
        "held": share(min(blocked, 1.0)) if blocked is not None else "",
        "doing": "" if is_collector else printable(member.evaluator.doing),
    }


def _health(view: RunView, member: Member) -> tuple[str, str]:
    """Give the health of a member, and the same in words."""
    if not member.is_living:
        return "bad", f"{printable(member.state)} for {duration(member.last_seen_s)}"
    if member.last_seen_s >= SILENT_AFTER_S:
        return "odd", f"silent for {duration(member.last_seen_s)}"
    if is_stalled(view, member):
        return "odd", standstill(member)
    return "good", "living"


_RANK = ("unknown", "waits", "good", "odd", "bad")


def _hosts(seen: Seen) -> list[dict[str, Any]]:
    """Give each host that is known by name, with who is there and how the worst of them does."""
    view, told = seen.view, _is_told(seen)
    if seen.contact.kind == _OVER:
        return []
    there: dict[str, list[tuple[str, str]]] = {}
    healths = {_role_of(line): line.health for line in role_lines(view)}
    for role, address in seen.endpoints.items():
        host = address.partition("://")[2].rpartition(":")[0] or "this machine"
        there.setdefault(host, []).append((role, healths.get(role, "unknown")))
    for member in _all_members(view):
        _, at, host = member.name.rpartition("@")
        if at:
            there.setdefault(host, []).append((member.role, _health(view, member)[0]))
    return [
        {
            "name": printable(host),
            "health": max((h for _, h in rows), key=_RANK.index) if told else "unknown",
            "roles": _joined(
                role if count == 1 else counted(count, role)
                for role, count in _tally(role for role, _ in rows).items()
            ),
        }
        for host, rows in there.items()
    ]


def _tally(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts


# --- how well -------------------------------------------------------------------------------------


def _evaluations(seen: Seen) -> list[dict[str, Any]]:
    """Give the newest evaluations, the newest first, and the best below if it is none of them."""
    series = seen.series
    rows = list(reversed(series.newest))
    if series.best is not None and series.best not in rows:
        rows.append(series.best)
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
