"""How a run ended, for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zdqn.launch.display import duration, number


def summary_lines(summary: Mapping[str, Any]) -> list[str]:
    """Put a summary into a few aligned lines; numbers that are absent are left out."""
    if not summary:
        return ["The run was stopped before training began."]
    value = summary.get
    rows = (
        ("ended", (str(value("stop_reason") or ""), duration(value("wall_s")))),
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
    return [f"{name:<18}{text}" for name, text in texts if text]
