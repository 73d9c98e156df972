"""Reading a configuration: TOML, overrides, where each value came from, what is wrong with one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from zdqn.config.learning_sections import WrapperSection
from zdqn.config.plain import flatten, show_value
from zdqn.config.schema import Config
from zdqn.errors import ConfigError, FileError, did_you_mean


def from_dict(values: Mapping[str, Any], *, source: str = "the configuration") -> Config:
    """Build a configuration from nested dictionaries.

    Args:
        values: section to key to value, as TOML gives them.
        source: what to call it in messages.

    Raises:
        ConfigError: for an unknown key, a wrong type, or a value out of range.
    """
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(error, values, source)) from error


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
    values = _read_toml(Path(path)) if path is not None else {}
    source = str(path) if path is not None else "the configuration"
    from_dict(values, source=source)  # so that a message names the file, not an override
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
    sections = get_type_hints(Config)
    if section not in sections:
        raise ConfigError(
            f'--set "{text}": there is no section "{section}". {did_you_mean(section, sections)}'
        )
    fields = sections[section].__struct_fields__
    if key not in fields:
        raise ConfigError(
            f'--set "{text}": section "{section}" has no key "{key}". {did_you_mean(key, fields)}'
        )
    if written.lower() == "none" and type(None) in _alternatives(sections[section], key):
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


def _alternatives(section: type, key: str) -> tuple[Any, ...]:
    """Give the types that a key may have; none where it has one only."""
    return get_args(get_type_hints(section)[key])


def _read_toml(path: Path) -> dict[str, Any]:
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


def _explain(error: msgspec.ValidationError, values: Mapping[str, Any], source: str) -> str:
    """Turn msgspec's message into one that names key, value, rule and way out."""
    message, _, where = str(error).partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    unknown = re.search(r"unknown field `(.+)`", message)
    if unknown is not None:
        name = unknown.group(1)
        known, place = _known_fields(path)
        return f'{source}: there is no key "{name}" in {place}. {did_you_mean(name, known)}'
    if not path:  # raised by __post_init__, which speaks for itself
        return str(error)
    value = show_value(_lookup(values, path))
    rule = _allowed_words(path) if message.startswith("Invalid enum") else message.replace("`", "")
    rule = re.sub(r"\bobject\b", "a table", re.sub(r"\barray\b", "a list", rule))
    return f"{source}: {path} is {value}. {rule}. {_meaning(path)}"


def _meaning(path: str) -> str:
    """Say what the key at a path is for, or what a section takes."""
    section, _, key = path.split("[")[0].partition(".")
    kind = get_type_hints(Config)[section]
    hints = get_type_hints(kind, include_extras=True)
    if not key:
        return f"[{section}] is a section, with the keys {', '.join(hints)}."
    return f"It means: {hints[key.split('.')[0]].__metadata__[-1].description}"


def _known_fields(path: str) -> tuple[tuple[str, ...], str]:
    if not path:
        return Config.__struct_fields__, "the file's top level"
    section = path.split(".")[0]
    if "[" in path:  # a wrapper in environment.wrappers[...]
        return WrapperSection.__struct_fields__, path
    kind = get_type_hints(Config)[section]
    return kind.__struct_fields__, f"section [{section}]"


def _allowed_words(path: str) -> str:
    section, key = path.split(".")[:2]
    hint = get_type_hints(get_type_hints(Config)[section])[key]
    if bool in get_args(hint):  # words beside true and false
        (literal,) = (argument for argument in get_args(hint) if argument is not bool)
        return ", ".join(["Expected true, false", *(f'"{word}"' for word in get_args(literal))])
    return "Expected one of " + ", ".join(f'"{word}"' for word in get_args(hint))


def _lookup(values: Any, path: str) -> Any:
    for part in re.findall(r"\w+", path):
        try:
            values = values[int(part)] if isinstance(values, list) else values[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return values
