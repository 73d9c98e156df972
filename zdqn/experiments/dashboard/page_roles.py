"""Who takes part in a run, and how each does, as values for JSON: pure functions of what was seen.

Words are made here, as in `zdqn.experiments.dashboard.page_state`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from zdqn.experiments.dashboard.page_places import Places, describe_places, find_places
from zdqn.experiments.dashboard.seen import Seen
from zdqn.launch.lines import printable
from zdqn.launch.role_lines import RoleLine, is_stalled, role_lines, standstill
from zdqn.launch.run_view import SILENT_AFTER_S, Member, RunView
from zdqn.launch.wording import byte_size, counted, duration, lasting, number, rate, score, share

_ROLES = ("collector", "memory", "learner", "evaluator")


# --- the picture of the roles ---------------------------------------------------------------------


def describe_nodes(seen: Seen) -> list[dict[str, Any]]:
    """Give a node for each role, in the order in which data goes through them."""
    lines = {_role_of(line): line for line in role_lines(seen.view)}
    places = {} if seen.is_over else describe_places(find_places(seen), seen)
    return [
        {**_node(seen, role, lines.get(role)), "place": places.get(role, "")} for role in _ROLES
    ]


_ONE_PROCESS = {"acting": "collector", "replay": "memory", "learning": "learner"}


def _role_of(line: RoleLine) -> str:
    word = line.name.split()[-1]
    return _ONE_PROCESS.get(word, word.removesuffix("s"))


def _node(seen: Seen, role: str, line: RoleLine | None) -> dict[str, Any]:
    if seen.is_over:
        return {"role": role, "title": role, "health": "ended", "lines": _done(seen, role)}
    unheard = _unheard(seen, role, line)
    if line is None or unheard:
        health = "waits" if seen.contact.kind in ("files", "waiting") else "unknown"
        return {"role": role, "title": role, "health": health, "lines": [unheard]}
    health = line.health if seen.is_told else "unknown"
    texts = [printable(part.text) for part in line.parts if part.text]
    return {"role": role, "title": line.name, "health": health, "lines": texts}


def _unheard(seen: Seen, role: str, line: RoleLine | None) -> str:
    """Say why nothing is known of a role; "" if something is."""
    if line is None:
        return "in the same process" if seen.view.plan.one_process else "none known"
    told = {"learner": seen.view.learner, "memory": seen.view.memory}
    return "" if told.get(role, line) is not None else "nothing heard yet"


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


def describe_links(seen: Seen) -> list[dict[str, Any]]:
    """Give what goes from role to role, and how much of it a second, as far as that is known."""
    rates = seen.rates if seen.is_told else {}
    progress = seen.progress
    stale, unscored = progress.staleness_mean, progress.unevaluated
    published, learner = rates.get("publications"), seen.view.learner
    each = byte_size(learner.publication_bytes) if learner is not None else ""
    texts = (rate(published, f"{{}}/s of {each}"), number(stale, "{:.1f} versions old when used"))
    weights = ", ".join(text for text in texts if text) if seen.is_told else ""
    return [
        _link("transitions", "collector", "memory", rates.get("inserts")),
        _link("samples", "memory", "learner", rates.get("samples")),
        {**_link("weights", "learner", "collector", published), "text": weights},
        {
            **_link("snapshots", "learner", "evaluator", None),
            "text": f"{unscored:,} to score" if unscored and seen.is_told else "",
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


# --- who is there ---------------------------------------------------------------------------------


def _all_members(view: RunView) -> list[Member]:
    return [*view.of_role("collector"), *view.of_role("evaluator")]


def describe_members(seen: Seen) -> list[dict[str, Any]]:
    """Give each collector and each evaluator, with how it does."""
    places = find_places(seen)
    return [_member(seen, member, places) for member in _all_members(seen.view)]


def _member(seen: Seen, member: Member, places: Places) -> dict[str, Any]:
    view = seen.view
    health, state = _health(view, member) if seen.is_told else ("unknown", "")
    told = member.collector
    blocked = view.rates.get(f"blocked of {member.name}")
    is_collector = member.role == "collector"
    return {
        "role": member.role,
        "name": printable(member.name),
        "host": "" if places.is_one else printable(places.of(member)),
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
        return "bad", f"{printable(member.state)}{lasting(member.last_seen_s)}"
    if member.last_seen_s >= SILENT_AFTER_S:
        return "odd", f"silent for {duration(member.last_seen_s)}"
    if is_stalled(view, member):
        return "odd", standstill(member)
    return "good", "living"


_RANK = ("unknown", "waits", "good", "odd", "bad")


def describe_hosts(seen: Seen) -> list[dict[str, Any]]:
    """Give each host that is known, with who is there and how the worst of them does."""
    view, told = seen.view, seen.is_told
    if seen.is_over:
        return []
    there: dict[str, list[tuple[str, str]]] = {}
    healths = {_role_of(line): line.health for line in role_lines(view)}
    places = find_places(seen)
    for role, host in places.servers.items():
        there.setdefault(host, []).append((role, healths.get(role, "unknown")))
    for member in _all_members(view):
        if host := places.of(member):
            there.setdefault(host, []).append((member.role, _health(view, member)[0]))
    return [
        {
            "name": printable(host),
            "health": max((h for _, h in rows), key=_RANK.index) if told else "unknown",
            "roles": ", ".join(
                role if count == 1 else counted(count, role)
                for role, count in Counter(role for role, _ in rows).items()
            ),
        }
        for host, rows in there.items()
    ]
