"""Reading a configuration: TOML, overrides, dictionaries, and where each value came from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from types import NoneType
from typing import Any

from zdqn.config.explaining import alternatives, check_key, convert, show_value
from zdqn.config.plain import flatten
from zdqn.config.schema import Config
from zdqn.errors import ConfigError, FileError


def from_dict(values: Mapping[str, Any], *, source: str = "the configuration") -> Config:
    """Build a configuration from nested dictionaries.

    Args:
        values: section to key to value, as TOML gives them.
        source: what to call it in messages.

    Raises:
        ConfigError: for an unknown key, a wrong type, or a value out of range.
    """
    return convert(values, Config, source=source)


def as_config(given: Config | str | Path | Mapping[str, Any], *, source: str) -> Config:
    """Take a configuration in any of the forms in which Python may have it.

    Args:
        given: a `Config`; the path of a TOML file; or section to key to value.
        source: who takes it, for messages, such as ``zdqn.run``.

    Raises:
        ConfigError: when it is none of these, or cannot work.
        FileError: when the file cannot be read.
    """
    if isinstance(given, Config):
        return given
    if isinstance(given, str | PathLike):
        return load_config(given)
    if isinstance(given, Mapping):
        return convert(given, Config, source=source)
    raise ConfigError(
        f"{source}: the configuration is {show_value(given)}, a {type(given).__name__}. Give a "
        f"zdqn.Config, the path of a TOML file, or a dictionary of sections, such as "
        f'{{"environment": {{"id": "CartPole-v1"}}}}.'
    )


def load_config(path: str | Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Read a TOML file and apply ``section.key=value`` overrides.

    Args:
        path: the file; None starts from the defaults.
        overrides: values that win over the file, as ``replay.capacity=5000``; the value is TOML,
            and anything that is not is taken as a string; ``none`` makes a value absent that may
            be.

    Returns:
        The validated configuration.

    Raises:
        ConfigError: for an unknown key (with the nearest known one), a wrong type, a value out
            of range, or values that cannot work together.
        FileError: when the file cannot be read.
    """
    return load_config_with_origins(path, overrides)[0]


def load_config_with_origins(
    path: str | Path | None = None, overrides: Iterable[str] = ()
) -> tuple[Config, dict[str, str]]:
    """Read a configuration and say where each value came from.

    Args:
        path: as for `load_config`.
        overrides: as for `load_config`.

    Returns:
        The configuration, and ``section.key`` to ``"default"``, the file's name or ``"--set"``.
    """
    values = read_toml(Path(path)) if path is not None else {}
    source = str(path) if path is not None else "the configuration"
    top = "the file's top level"
    convert(values, Config, source=source, top=top)  # a message names the file, not an override
    origins = dict.fromkeys(flatten(Config()), "default")
    origins.update({f"{section}.{key}": source for section, keys in values.items() for key in keys})
    for override in overrides:
        section, key, value = parse_override(override)
        values.setdefault(section, {})[key] = value
        origins[f"{section}.{key}"] = "--set"
    config = from_dict(values, source=f"{source} with --set")
    return config, origins


def parse_override(text: str) -> tuple[str, str, Any]:
    """Split ``section.key=value``.

    Raises:
        ConfigError: when it is not of that form, or names no known key.
    """
    match = re.fullmatch(r"\s*(\w+)\.(\w+)\s*=(.*)", text, flags=re.DOTALL)
    if match is None:
        raise ConfigError(
            f'--set "{text}" is not of the form section.key=value, such as replay.capacity=5000.'
        )
    section, key, written = match.group(1), match.group(2), match.group(3).strip()
    check_key(Config, section, key, source=f'--set "{text}"')
    if written.lower() == "none" and NoneType in alternatives(Config, section, key):
        return section, key, None
    try:
        parsed = tomllib.loads(f"value = {written}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return section, key, written
    if len(parsed) > 1:
        raise ConfigError(
            f'--set "{text}" holds more than one value. Give a --set of its own for each.'
        )
    return section, key, parsed["value"]


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: when it is none.
        FileError: when it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors add a mark
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"Cannot read the configuration {path}: {reason}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error
    except RecursionError as error:
        raise ConfigError(
            f"{path} nests lists or tables too deep to be read; no key of a configuration wants "
            f"more than two levels."
        ) from error
