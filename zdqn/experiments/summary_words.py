"""What the keys of a summary are called where people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zdqn.experiments.plain_numbers import plain_duration, plain_number
from zdqn.launch.summary import describe_end

_SECONDS = ", s"

SUMMARY_NAMES = {
    "stop_reason": "ended by",
    "wall_s": "wall time, s",
    "environment_steps": "environment steps",
    "environment_steps_per_s": "environment steps/s",
    "updates": "updates",
    "updates_per_s": "updates/s",
    "episodes": "episodes",
    "best_evaluation_return": "best evaluation",
    "best_rescored_return": "the same network again",
    "final_evaluation_return": "last evaluation",
    "evaluations": "evaluations",
    "snapshots_unevaluated": "snapshots without a score at the end",
    "snapshots_dropped": "snapshots dropped before their score",
    "transitions": "transitions stored",
    "samples": "transitions sampled",
    "samples_per_insert": "samples per insert",
    "staleness_mean": "staleness, versions",
    "waited_for_samples_s": "learner without data, s",
    "blocks_sent": "blocks sent",
    "blocks": "blocks stored",
    "blocks_lost": "blocks lost",
    "blocks_refused": "blocks refused",
    "blocks_in_flight": "blocks on their way at the end",
    "blocks_duplicated": "blocks that came twice",
    "memory_restarts": "memory restarted",
    "learner_epoch": "starts of the learner",
    "actions_served": "actions served",
    "verdict": "bottleneck",
    "run_directory": "run directory",
    "metrics_bytes": "metrics, bytes",
}
"""Key to its name, in the order in which they are shown."""


def summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give what a summary tells as names and values for a person; what is null is left out.

    Args:
        summary: of a run. Keys that have no name, as of a later version, come last.
    """
    keys = [key for key in SUMMARY_NAMES if key in summary]
    keys += [key for key in summary if key not in SUMMARY_NAMES]
    told = [key for key in keys if summary[key] not in (None, "")]
    return [_row(key, summary) for key in told]


def _row(key: str, summary: Mapping[str, Any]) -> tuple[str, str]:
    name, value = SUMMARY_NAMES.get(key, key.replace("_", " ")), summary[key]
    if key == "stop_reason":
        return name, describe_end(summary)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return name, str(value)
    if name.endswith(_SECONDS):
        return name.removesuffix(_SECONDS), plain_duration(float(value))
    return name, plain_number(value)
