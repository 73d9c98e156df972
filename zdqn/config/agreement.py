"""What the roles of one run must agree in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zdqn.config.plain import flatten, show_value
from zdqn.config.schema import Config

SHARED_SECTIONS = ("environment", "network")
"""Sections in which learner, collectors and evaluators of one run must agree."""
SHARED_KEYS = (("algorithm", "discount"), ("algorithm", "n_step"))
"""Single keys in which they must agree: what a stored transition is made with."""
FUNCTION_KEYS = ("environment.function", "network.function")
"""Keys that say which Python function was given in place of a name."""


def shared_values(config: Config) -> dict[str, Any]:
    """Give the values in which all roles of a run must agree, keyed ``section.key``."""
    values = flatten(config)
    for key in FUNCTION_KEYS:  # who was given one knows it, and each start of a process by itself
        values.pop(key, None)
    keys = {f"{section}.{key}" for section, key in SHARED_KEYS}
    return {
        key: value
        for key, value in values.items()
        if key in keys or key.split(".")[0] in SHARED_SECTIONS
    }


def describe_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """List where two flattened configurations differ, a line each.

    Args:
        ours: ``section.key`` to value, of the side that speaks.
        theirs: the same of the other side.

    Returns:
        Lines such as ``algorithm.n_step: here 3, there 1``; empty when they agree.
    """
    absent = "(absent)"
    return [
        f"{key}: here {show_value(here)}, there {show_value(there)}"
        for key in sorted({*ours, *theirs})
        if (here := ours.get(key, absent)) != (there := theirs.get(key, absent))
    ]
