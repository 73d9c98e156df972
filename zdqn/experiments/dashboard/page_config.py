"""A run's configuration as rows for a page: each key, its value, its default, what it means."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec

from zdqn.config import Config, flatten
from zdqn.launch.lines import printable


def describe_config(config: Config | None) -> list[dict[str, Any]]:
    """Describe every key of a configuration.

    Args:
        config: of a run; None if it is not known.

    Returns:
        Rows of "key", "value", "default", "differs" and "meaning", in the order of the reference;
        none if it is not known.
    """
    if config is None:
        return []
    values, defaults = flatten(config), flatten(Config())
    return [
        {
            "key": f"{section}.{name}",
            "value": _text(values.get(f"{section}.{name}")),
            "default": _text(defaults.get(f"{section}.{name}")),
            "differs": values.get(f"{section}.{name}") != defaults.get(f"{section}.{name}"),
            "meaning": hint.__metadata__[-1].description,
        }
        for section, kind in get_type_hints(Config).items()
        for name, hint in get_type_hints(kind, include_extras=True).items()
    ]


def _text(value: Any) -> str:
    """Write a value as a person reads it; what is absent is said to be."""
    if value is None:
        return "absent"
    if isinstance(value, str):
        return printable(value)
    return printable(msgspec.json.encode(value).decode())
