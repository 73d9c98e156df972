"""How a run has borne that its roles were killed: a table, and what is wrong with its account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from zdqn.launch.lines import padded
from zdqn.launch.strikes import ROLES, Recovery
from zdqn.launch.wording import counted, number, score

_GAP = "   "
_BLOCKS = ("blocks", "blocks_lost", "blocks_refused", "blocks_in_flight")
"""Where what was sent is, as keys of a summary."""


def strike_table(recoveries: Sequence[Recovery], what: str) -> list[str]:
    """Give a table of who was struck how often, and how long it took until each worked again.

    Args:
        recoveries: all of them.
        what: was done, such as ``killed``.
    """
    rows: list[tuple[str, ...]] = [("", what, "worked again", "median", "longest")]
    for role in ROLES:
        of_role = [one for one in recoveries if one.process.role == role]
        if of_role:
            rows.append((role, *_figures(of_role)))
    rows.append(("all", *_figures(recoveries)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        _GAP.join(padded(cell, widths[i], right=i > 0) for i, cell in enumerate(row)).rstrip()
        for row in rows
    ]


def _figures(recoveries: Iterable[Recovery]) -> tuple[str, ...]:
    every = list(recoveries)
    took_s = [one.took_s for one in every if one.took_s is not None]
    times = (f"{median(took_s):.1f} s", f"{max(took_s):.1f} s") if took_s else ("", "")
    return (str(len(every)), str(len(took_s)), *times)


def ended_without_learner(recoveries: Iterable[Recovery], summary: Mapping[str, Any]) -> bool:
    """Whether a run has no account because its learner was away when the run was asked to end.

    Args:
        recoveries: all strikes.
        summary: of the run; a learner that was killed leaves none.
    """
    away = any(one.process.role == "learner" and one.worked_s is None for one in recoveries)
    return away and not summary


NO_ACCOUNT = "the run was ended while its learner was away: nobody was left to account for blocks"
"""The closing line of such a run."""


def closing_line(recoveries: Sequence[Recovery]) -> str:
    """Say that a run has borne what was done to it, where nothing is wrong with its account."""
    if not recoveries:
        return "nobody was struck: the run ended first; take a shorter --every"
    coming = sum(one.took_s is None for one in recoveries)
    late = f", but for {coming} that had no time left before the run ended" if coming else ""
    return f"every role that was struck came back{late}; the account of blocks is exact"


def account_lines(summary: Mapping[str, Any]) -> list[str]:
    """Say in lines where all blocks of a run's transitions are, and how well it played."""
    value = summary.get
    where = ("stored", "lost", "refused", "in flight")
    parts = [f"{value(key) or 0:,} {name}" for key, name in zip(_BLOCKS, where, strict=True)]
    restarts = value("memory_restarts") or 0
    return [
        f"blocks        {number(value('blocks_sent'))} sent = {' + '.join(parts)}",
        f"transitions   {number(value('transitions'))} stored, by "
        f"{counted(restarts + 1, 'start')} of the memory",
        f"evaluation    best {score(value('best_evaluation_return')) or 'none'}, "
        f"final {score(value('final_evaluation_return')) or 'none'}",
    ]


def account_fault(summary: Mapping[str, Any], told: int) -> str:
    """Say in a sentence what is wrong with the account of a run's blocks; "" if nothing is.

    Args:
        summary: of the run.
        told: blocks that all starts of its collectors were heard to have sent, by somebody who
            asked while the run went on. Those that they sent later are not among them.
    """
    missing = [key for key in ("blocks_sent", *_BLOCKS) if key not in summary]
    if missing:
        return f"The run left no account of its blocks (summary.json lacks {', '.join(missing)})."
    sent, parts = summary["blocks_sent"], [summary[key] for key in _BLOCKS]
    if min(parts) < 0 or sent != sum(parts):
        return (
            f"The account of blocks is not exact: {sent:,} were sent, and "
            f"{' + '.join(f'{part:,}' for part in parts)} = {sum(parts):,} are stored, lost, "
            f"refused and in flight."
        )
    if sent < told:
        return (
            f"The account of blocks is not exact: it knows of {sent:,} that were sent, and "
            f"collectors were heard to say {told:,}."
        )
    return ""
