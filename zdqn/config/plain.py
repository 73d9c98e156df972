"""A configuration as plain values: nested dictionaries, TOML, or one value for each key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import tomli_w

from zdqn.config.explaining import plain_value

if TYPE_CHECKING:
    from zdqn.config.schema import Config


def flatten(config: Config) -> dict[str, Any]:
    """Give every value under its ``section.key``, as plain TOML-like Python values."""
    return {
        f"{section}.{key}": value
        for section, values in to_dict(config).items()
        for key, value in values.items()
    }


def to_dict(config: Config) -> dict[str, Any]:
    """Give the configuration as nested plain dictionaries and lists, without absent values."""
    return {
        section: {key: plain_value(value) for key, value in values.items() if value is not None}
        for section, values in msgspec.to_builtins(config).items()
    }


def to_toml(config: Config) -> str:
    """Write the whole configuration, defaults included, as TOML."""
    return tomli_w.dumps(to_dict(config))
