"""A configuration as plain values: nested dictionaries, TOML, or one value for each key."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

import msgspec
import tomli_w

from zdqn.config.schema import Config

_SHORT = reprlib.Repr()  # a peer's values may be of any length and depth
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 20
_SHORT.maxstring = _SHORT.maxother = 200


def show_value(value: Any) -> str:
    """Write a value for a message, shortened if it is long or deep."""
    return _SHORT.repr(value)


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
        section: {
            key: _tuples_to_lists(value) for key, value in values.items() if value is not None
        }
        for section, values in msgspec.to_builtins(config).items()
    }


def to_toml(config: Config) -> str:
    """Write the whole configuration, defaults included, as TOML."""
    return tomli_w.dumps(to_dict(config))


def _tuples_to_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples_to_lists(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tuples_to_lists(item) for item in value]
    return value
