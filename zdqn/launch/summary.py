"""How a run ended, for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zdqn.launch.lines import printable, width_of, wrapped
from zdqn.launch.wording import duration, number
from zdqn.records.sinks import ENDED_BY_SINK
from zdqn.wire.status import LimitsStatus

_NAMES = 18
_LEAST_ROOM = 20


def summary_lines(summary: Mapping[str, Any], width: int | None = None) -> list[str]:
    """Put a summary into a few aligned lines; numbers that are absent are left out.

    Args:
        summary: of a run.
        width: cells after which a line is broken, between words; None for a stream without end.
    """
    if not summary:
        return ["The run was stopped before training began."]
    value = summary.get
    rows = (
        ("ended", (describe_end(summary), duration(value("wall_s")))),
        (
            "evaluation",
            (
                number(value("best_evaluation_return"), "best {:.5g}"),
                number(value("best_rescored_return"), "the same network scored again {:.5g}"),
                number(value("final_evaluation_return"), "final {:.5g}"),
            ),
        ),
        (
            "environment steps",
            (
                number(value("environment_steps")),
                number(value("environment_steps_per_s"), "{:,.0f}/s"),
                number(value("episodes"), "{:,.0f} episodes"),
            ),
        ),
        ("updates", (number(value("updates")), number(value("updates_per_s"), "{:,.0f}/s"))),
        (
            "data",
            (
                number(value("samples_per_insert"), "{:.3g} samples per insert"),
                number(value("staleness_mean"), "staleness {:.1f}"),
                number(value("blocks_lost"), "{:,.0f} blocks lost"),
                number(value("blocks_in_flight") or None, "{:,.0f} on their way at the end"),
            ),
        ),
        ("verdict", (str(value("verdict") or ""),)),
        ("run directory", (str(value("run_directory") or ""),)),
        ("learning curve", (str(value("learning_curve") or ""),)),
    )
    texts = ((name, ", ".join(part for part in parts if part)) for name, parts in rows)
    return [line for name, text in texts if text for line in _broken(name, printable(text), width)]


def describe_end(summary: Mapping[str, Any]) -> str:
    """Say why a run ended, such as ``stop.wall_s was reached``; "" if it is not known."""
    reason = str(summary.get("stop_reason") or "")
    if reason == "evaluation_return":
        return "the goal was reached (stop.evaluation_return)"
    if reason == ENDED_BY_SINK:
        return "a sink or callback returned False"
    if reason in LimitsStatus.__struct_fields__:
        return f"stop.{reason} was reached"
    return f"stopped by {reason}" if reason.startswith("SIG") else reason


def _broken(name: str, text: str, width: int | None) -> list[str]:
    """Give a row in as many lines as it needs; a path is left whole, for whoever copies it."""
    room = width - _NAMES if width is not None else 0
    if width is None or width_of(text) <= room or " " not in text:
        return [f"{name:<{_NAMES}}{text}"]
    pieces = wrapped(text, max(room, _LEAST_ROOM))
    return [f"{'' if i else name:<{_NAMES}}{piece}" for i, piece in enumerate(pieces)]
