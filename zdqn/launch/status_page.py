"""What `zdqn status` shows: the screen of the run, and a row for each collector and evaluator.

Pure functions, as in `zdqn.launch.screen`, but for the tables of raw numbers, which are rich's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zdqn.launch.lines import (
    ASCII,
    UNICODE,
    Glyphs,
    Line,
    Part,
    as_ascii,
    padded,
    printable,
    shortened,
    width_of,
    wrapped,
)
from zdqn.launch.role_lines import describe_doing, draw_roles, is_stalled, memory_line
from zdqn.launch.run_view import Member, RunView
from zdqn.launch.screen import LEAST_WIDTH, WIDEST, draw_screen, stacked
from zdqn.launch.wording import duration, elapsed, lasting, number, rate, score, share
from zdqn.wire.stalls import find_stall
from zdqn.wire.status import STANDSTILL_S, MemoryStatus

if TYPE_CHECKING:
    from rich.table import Table

_LONGEST_NAME = 24
_MOST_NAMES = 4
_GAP = "   "


def draw_status(
    view: RunView,
    width: int,
    *,
    height: int = 1_000,
    glyphs: Glyphs = UNICODE,
    in_vain: Sequence[str] = (),
) -> list[Line]:
    """Draw what was answered.

    Args:
        view: of the run.
        width: cells of a line.
        height: lines that there is room for; members that do not fit are counted.
        glyphs: what to draw with.
        in_vain: servers that were asked and did not answer.

    Returns:
        Lines of at most `width` cells.
    """
    width = max(min(width, WIDEST), LEAST_WIDTH)
    members = draw_members(view, width)
    if view.learner is not None:
        lines = draw_screen(view, width, height=height - min(len(members), 12), glyphs=glyphs)
    elif "learner" in in_vain:
        silent = draw_silent_learner(view, width)
        lines = [*silent, *draw_roles([memory_line(view)], width, glyphs)]
    else:
        lines = draw_roles([memory_line(view)], width, glyphs)
    warnings = [*_open_to_all(view), *_of_several_releases(view, width)]
    lines = _at_most(stacked([*warnings, *lines], members), height)
    return [as_ascii(line) for line in lines] if glyphs is ASCII else lines


def draw_silent_learner(view: RunView, width: int) -> list[Line]:
    """Say that a learner does not answer, in as many lines as that takes."""
    return [(Part(text, "yellow"),) for text in wrapped(_silent_learner(view), width)]


def _silent_learner(view: RunView) -> str:
    """Say that a learner does not answer, and what the memory knows of it."""
    silent = "the learner does not answer"
    rows = view.memory.clients if isinstance(view.memory, MemoryStatus) else []
    learners = [row for row in rows if row.get("role") == "learner"]
    if not learners:
        return silent
    row = min(learners, key=lambda row: row["last_seen_s"])
    said = ", ".join(
        part
        for part in (printable(row.get("phase", "")), number(row.get("updates"), "{:,.0f} updates"))
        if part
    )
    last = f"; it said last: {said}" if said else ""
    ago = elapsed(row["last_seen_s"])
    return f"{silent}; the memory heard of it {f'{ago} ago' if ago else 'just now'}{last}"


def _open_to_all(view: RunView) -> list[Line]:
    """Warn of servers that anybody on the network can join."""
    memory = view.memory.security if isinstance(view.memory, MemoryStatus) else ""
    learner = view.learner.run.security if view.learner is not None else ""
    told = {"memory": memory, "learner": learner}
    names = " and ".join(name for name, security in told.items() if security == "open")
    if not names:
        return []
    return [(Part(f"{names}: open to the network without keys (--insecure)", "yellow"),)]


def _of_several_releases(view: RunView, width: int) -> list[Line]:
    """Say who is of which zdqn, where not all are of one."""
    releases = view.releases
    if len(releases) < 2:
        return []
    told = "; ".join(
        f"{printable(release)}: {printable(_names(names))}"
        for release, names in sorted(releases.items())
    )
    text = f"several versions of zdqn, of one protocol: {told}"
    return [(Part(line, "yellow"),) for line in wrapped(text, width)]


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _at_most(lines: list[Line], height: int) -> list[Line]:
    if len(lines) <= height:
        return lines
    return [*lines[: height - 1], (Part(f"... {len(lines) - height + 1:,} lines more", "dim"),)]


def draw_members(view: RunView, width: int) -> list[Line]:
    """Draw a row for each collector and evaluator."""
    return stacked(_collectors(view, width), _evaluators(view, width))


def _collectors(view: RunView, width: int) -> list[Line]:
    rows = []
    for member in view.of_role("collector"):
        told = member.collector
        blocked = view.rates.get(f"blocked of {member.name}")
        rows.append(
            (
                printable(member.name),
                rate(view.rates.get(f"steps of {member.name}"), "{}"),
                number(told.environment_steps),
                score(told.episode_return_mean),
                number(told.epsilon, "{:.2f}"),
                share(min(blocked, 1.0)) if blocked is not None else "",
                _state(view, member),
                number(told.steps_ahead or None, "{:,.0f} steps"),
                printable(member.host),
            )
        )
    titles = (
        "collector", "steps/s", "steps", "return", "epsilon", "held back", "state", "ahead", "host"
    )  # fmt: skip
    return _table(titles, rows, width)


def _evaluators(view: RunView, width: int) -> list[Line]:
    rows = [
        (
            printable(member.name),
            number(member.evaluator.evaluations),
            _state(view, member),
            describe_doing(member) if member.is_living else "",
            printable(member.host),
        )
        for member in view.of_role("evaluator")
    ]
    return _table(("evaluator", "evaluations", "state", "does", "host"), rows, width)


def _state(view: RunView, member: Member) -> str:
    if not member.is_living:
        return f"{printable(member.state)}{lasting(member.last_seen_s)}"
    waits_s = member.collector.acknowledging_s or 0.0
    if waits_s >= STANDSTILL_S:
        return f"waits for acknowledgements for {duration(waits_s)}"
    if is_stalled(view, member):
        stall = find_stall(member.told)
        return f"stalled for {duration(stall.stalled_s)}" if stall else "stands still"
    return "living" if member.last_seen_s < 2 else f"silent for {duration(member.last_seen_s)}"


_LEFT = frozenset({"collector", "evaluator", "state", "does", "host"})


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[Line]:
    """Draw a table; columns without anything in them, and those that do not fit, are left out."""
    if not rows:
        return []
    kept = [i for i in range(len(titles)) if i == 0 or any(row[i] for row in rows)]
    widths = {
        i: min(
            max(width_of(titles[i]), *(width_of(row[i]) for row in rows)),
            _LONGEST_NAME if i == 0 else width,
        )
        for i in kept
    }
    while len(kept) > 1 and sum(widths[i] for i in kept) + len(_GAP) * (len(kept) - 1) > width:
        state = titles.index("state")  # whether it lives is worth more than its numbers
        kept.remove(next((i for i in reversed(kept) if i not in (0, state)), kept[-1]))

    def line(texts: Sequence[str]) -> str:
        cells = (
            padded(shortened(texts[i], widths[i]), widths[i], right=titles[i] not in _LEFT)
            for i in kept
        )
        return shortened(_GAP.join(cells).rstrip(), width)

    return [(Part(line(titles), "dim"),), *((Part(line(row)),) for row in rows)]


# --- the raw numbers ------------------------------------------------------------------------------


def raw_tables(answers: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Put all that servers have answered into tables, whatever it is.

    Args:
        answers: of the servers, by role.
    """
    return [_raw_table(role, answer) for role, answer in answers.items()]


def _raw_table(role: str, answer: Mapping[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=role, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("name")
    table.add_column("value")
    for name, value in _flat(answer):
        table.add_row(Text(printable(name)), Text(_raw(value)))
    return table


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            for place, row in enumerate(value):
                named = isinstance(row, Mapping)
                label = str(row.get("name", place)) if named else str(place)
                rows += _flat(row if named else {label: row}, f"{prefix}{name}.{label}.")
        else:
            rows.append((f"{prefix}{name}", value))
    return rows


def _raw(value: Any) -> str:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return number(value, "{:,.0f}" if whole else "{:.4g}") or printable(value)
