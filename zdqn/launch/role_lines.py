"""How each role of a run does: a mark, and a line of what it has done and how fast."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from zdqn.launch.lines import Glyphs, Line, Part, joined, padded, printable, width_of
from zdqn.launch.run_view import SILENT_AFTER_S, Member, RunView
from zdqn.launch.wording import counted, duration, number, rate, share
from zdqn.wire.stalls import find_stall
from zdqn.wire.status import STANDSTILL_S, MemoryOfLearner

_MOST_NAMED = 2
_OFTEN_BLOCKED = 0.5


class RoleLine(NamedTuple):
    """How a role does.

    Attributes:
        name: of the role, with how many there are.
        health: "good", "waits", "odd" or "bad".
        parts: what it has done, and how fast.
    """

    name: str
    health: str
    parts: tuple[Part, ...]


_STYLES = {"good": "green", "waits": "dim", "odd": "yellow", "bad": "red"}
PHASES = {
    "": "starting",
    "starting": "starting",
    "loading torch": "loading torch",
    "waiting for the memory": "waits for the memory",
    "waiting for a collector": "waits for a collector",
    "building the network": "builds the network",
    "compiling": "compiles updates, which takes half a minute or so",
    "waiting for evaluations": "waits for the last evaluations",
    "scoring the best network again": "has the best network scored again",
    "finishing": "ends the run",
}
"""What a learner does, where that is not training, as a person would say it."""


def role_lines(view: RunView) -> list[RoleLine]:
    """Give a line for each role that the run has, or should have."""
    if view.plan.one_process:
        return _one_process(view)
    lines = [_learner(view), memory_line(view)]
    if view.plan.collectors or view.of_role("collector"):
        lines.append(_collectors(view))
    if view.plan.evaluators or view.of_role("evaluator"):
        lines.append(_evaluators(view))
    return lines


def draw_roles(lines: Iterable[RoleLine], width: int, glyphs: Glyphs) -> list[Line]:
    """Put role lines below each other: name, mark, numbers."""
    rows = list(lines)
    names = max((width_of(row.name) for row in rows), default=0)
    drawn: list[Line] = []
    for row in rows:
        style = _STYLES[row.health]
        mark = getattr(glyphs, row.health)
        head = (Part(padded(row.name, names)), Part("  "), Part(mark, style), Part(" "))
        room = width - names - 4
        if room < 1:
            drawn.append(joined([Part(row.name)], width, cut=glyphs.cut))
        else:
            drawn.append((*head, *joined(row.parts, room, cut=glyphs.cut)))
    return drawn


def _learner(view: RunView) -> RoleLine:
    learner = view.learner
    if learner is None:
        return RoleLine("learner", "waits", (Part("starting"),))
    if view.is_silent:
        silent = Part(f"has not answered for {duration(view.silent_s)}", "yellow", 9)
        doing = PHASES.get(view.phase, "")
        return RoleLine("learner", "odd", (silent, Part(f"last: {doing}" if doing else "")))
    stall = find_stall(learner.run)
    if stall is not None:
        text = f"stalled for {duration(stall.stalled_s)}, {printable(stall.last)}"
        return RoleLine("learner", "odd", (Part(text, "yellow", 9), Part(stall.why, "", 8)))
    if view.phase == "training" and not learner.progress.updates:
        if view.memory is not None and view.memory.size >= max(view.plan.min_size, 1):
            return RoleLine("learner", "good", (Part("begins to learn"),))
        return RoleLine("learner", "waits", (Part("waits for the memory to fill"),))
    if view.phase == "training" and view.rates.get("updates") == 0 and _memory_silent_s(view):
        return RoleLine("learner", "waits", (Part("waits for the memory", "", 9), *_updates(view)))
    if view.phase == "training" and view.rates.get("updates") == 0:
        return RoleLine("learner", "odd", (Part("stands still", "yellow", 9), *_updates(view)))
    if view.phase == "training":
        return RoleLine("learner", "good", _updates(view))
    said = Part(PHASES.get(view.phase, printable(view.phase)), "", 9)
    if view.has_begun or learner.progress.updates:
        return RoleLine("learner", "good", (said, *_updates(view)[:1]))
    return RoleLine("learner", "waits", (said,))


def _updates(view: RunView) -> tuple[Part, ...]:
    assert view.learner is not None
    progress = view.learner.progress
    per_s = rate(view.rates.get("updates")) if progress.updates else ""
    return (
        Part(counted(progress.updates, "update"), "", 8),
        Part(per_s, "", 7),
        Part(number(progress.loss, "loss {:.3g}"), "", 5),
        Part(number(progress.staleness_mean or None, "data {:.1f} versions old"), "", 1),
    )


def memory_line(view: RunView) -> RoleLine:
    """Give the line of the memory."""
    memory = view.memory
    if memory is None:
        return RoleLine("memory", "waits", (Part("starting"),))
    parts = [*_filled(view), _sampled(view)]
    health = "good"
    silent_s = _memory_silent_s(view)
    if silent_s:
        health = "odd"
        parts.insert(0, Part(f"has not answered for {duration(silent_s)}", "yellow", 9))
    if memory.blocks_lost > 0:
        health = "odd"
        parts.append(Part(f"{counted(memory.blocks_lost, 'block')} lost", "yellow", 6))
    if memory.blocks_refused > 0:
        health = "odd"
        parts.append(Part(f"{counted(memory.blocks_refused, 'block')} refused", "yellow", 6))
    return RoleLine("memory", health, tuple(parts))


def _memory_silent_s(view: RunView) -> float:
    """Give for how long the memory has not answered its learner; 0 if no longer than usual."""
    memory = view.memory
    if not isinstance(memory, MemoryOfLearner) or view.phase == "finishing":
        return 0.0
    return memory.silent_s if memory.silent_s >= SILENT_AFTER_S else 0.0


def _filled(view: RunView) -> list[Part]:
    memory = view.memory
    assert memory is not None
    least, updates = view.plan.min_size, view.learner.progress.updates if view.learner else 0
    if memory.size < least and not updates:
        return [Part(f"{memory.size:,} of the {least:,} transitions that learning needs", "", 8)]
    if not memory.capacity:
        return [Part(counted(memory.size, "transition"), "", 8)]
    return [Part(f"{memory.size:,} of {counted(memory.capacity, 'transition')}", "", 8)]


def _sampled(view: RunView) -> Part:
    per_insert = view.memory.samples_per_insert if view.memory is not None else None
    return Part(number(per_insert or None, "each sampled {:.3g} times"), "", 4)


def _collectors(view: RunView) -> RoleLine:
    members = view.of_role("collector")
    living = [member for member in members if member.is_living]
    name = _count(len(living), view.plan.collectors, "collector")
    troubles = [] if view.phase == "finishing" else [_trouble(view, member) for member in members]
    epsilons = [m.collector.epsilon for m in living if m.collector.epsilon is not None]
    blocked = [view.rates[f"blocked of {m.name}"] for m in living if _is_known(view, m)]
    parts = (
        *_named(troubles),
        Part(rate(steps_per_s(view, living), "{} steps/s"), "", 8),
        Part(f"epsilon {sum(epsilons) / len(epsilons):.2f}" if epsilons else "", "", 4),
        Part(
            f"held back {share(sum(blocked) / len(blocked))} of the time" if blocked else "", "", 3
        ),
    )
    if not any(part.text for part in parts):  # they wait for weights
        return RoleLine(name, "waits", _NOT_YET)
    return RoleLine(name, _health(troubles, len(living), view), parts)


def steps_per_s(view: RunView, members: Iterable[Member]) -> float | None:
    """Give the environment steps a second of some collectors; None if none is known."""
    names = (f"steps of {member.name}" for member in members)
    known = [view.rates[name] for name in names if name in view.rates]
    return sum(known) if known else None


def _is_known(view: RunView, member: Member) -> bool:
    return f"blocked of {member.name}" in view.rates


def _evaluators(view: RunView) -> RoleLine:
    members = view.of_role("evaluator")
    living = [member for member in members if member.is_living]
    name = _count(len(living), view.plan.evaluators, "evaluator")
    troubles = [] if view.phase == "finishing" else [_trouble(view, member) for member in members]
    doing = {describe_doing(member) for member in living} - {""}
    waiting = view.learner.progress.unevaluated if view.learner is not None else 0
    made = max(sum(m.evaluator.evaluations for m in members), view.history.evaluations)
    parts = (
        *_named(troubles),
        Part(counted(made, "evaluation"), "", 8),
        Part(f"{waiting:,} to come" if waiting else "", "", 6),
        Part(", ".join(sorted(doing)), "", 2),
    )
    return RoleLine(name, _health(troubles, len(living), view), parts if members else _NOT_YET)


_NOT_YET = (Part("starting"),)
_WAITING = "waiting"


def describe_doing(member: Member) -> str:
    """Say what an evaluator does, and for how long if that is longer than usual."""
    told = member.evaluator
    doing = printable(told.doing)
    if told.doing_s < STANDSTILL_S or not doing or doing.startswith(_WAITING):
        return doing
    return f"{doing} for {duration(told.doing_s)}"


def _count(living: int, planned: int, role: str) -> str:
    """Say how many there are, such as ``2 collectors`` or ``1 of 2 collectors``."""
    return f"{living:,} of {counted(planned, role)}" if living < planned else counted(living, role)


def _named(troubles: list[tuple[str, str]]) -> list[Part]:
    """Name the first few who have a trouble, and count the others."""
    said = [text for _, text in troubles if text]
    parts = [Part(text, "yellow", 9) for text in said[:_MOST_NAMED]]
    more = len(said) - _MOST_NAMED
    return [*parts, Part(f"and {more:,} more", "yellow", 9)] if more > 0 else parts


def _trouble(view: RunView, member: Member) -> tuple[str, str]:
    """Give the health of a member, and what is wrong with it in words; "" if nothing is."""
    name = printable(member.name)
    if member.state == "gone":
        return "bad", f"{name} has gone"
    if not member.is_living or member.last_seen_s >= SILENT_AFTER_S:
        health = "odd" if member.is_living else "bad"
        return health, f"{name} silent for {duration(member.last_seen_s)}"
    if is_stalled(view, member):
        return "odd", f"{name} {standstill(member)}"
    return "good", ""


def is_stalled(view: RunView, member: Member) -> bool:
    """Whether somebody makes no progress, though nobody holds them back."""
    if find_stall(member.told) is not None:
        return True
    steps = view.rates.get(f"steps of {member.name}")
    blocked = view.rates.get(f"blocked of {member.name}", 0.0)
    return steps == 0 and blocked < _OFTEN_BLOCKED


def standstill(member: Member) -> str:
    """Say that somebody makes no progress, and for how long and after what if it tells."""
    stall = find_stall(member.told)
    if stall is None:
        return "stands still"
    return f"stalled for {duration(stall.stalled_s)}, {printable(stall.last)}"


def _health(troubles: list[tuple[str, str]], living: int, view: RunView) -> str:
    if living or view.phase == "finishing":
        return "odd" if any(health != "good" for health, _ in troubles) else "good"
    return "bad" if troubles else "waits"


def _one_process(view: RunView) -> list[RoleLine]:
    if view.learner is None:
        return []
    progress = view.learner.progress
    acting = (
        Part(counted(progress.environment_steps, "step"), "", 8),
        Part(rate(view.rates.get("environment_steps")), "", 7),
        Part(counted(progress.episodes, "episode"), "", 5),
        Part(number(progress.epsilon, "epsilon {:.2f}"), "", 4),
    )
    lines = [RoleLine("acting", "good", acting), RoleLine("learning", "good", _updates(view))]
    if view.memory is not None:
        lines.append(RoleLine("replay", "good", (*_filled(view), _sampled(view))))
    return lines
