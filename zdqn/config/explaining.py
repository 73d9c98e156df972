"""From plain values to sections, and what is wrong with a value: its key, the rule, the way out."""

from __future__ import annotations

import functools
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import PurePath
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from zdqn.errors import ConfigError, did_you_mean

KindT = TypeVar("KindT", bound=msgspec.Struct)

_SHORT = reprlib.Repr()  # a peer's values may be of any length and depth
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 20
_SHORT.maxstring = _SHORT.maxother = 200

_SCALARS = (str, bool, int, float, datetime, date, time)
"""What TOML has besides lists and tables."""


def show_value(value: Any) -> str:
    """Write a value for a message, shortened if it is long or deep."""
    return _SHORT.repr(value)


def plain_value(value: Any) -> Any:
    """Give a value as TOML would: lists for tuples, text for paths, numbers for NumPy's.

    Args:
        value: anything; what has no plain form is left as it is.
    """
    if isinstance(value, Mapping):
        return {key: plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # NumPy's and PyTorch's, not imported
        return value.tolist()
    return value


def convert(values: Any, kind: type[KindT], *, source: str, top: str = "the top level") -> KindT:
    """Build a configuration, or a section of one.

    Args:
        values: key to value, as TOML gives them or as Python has them.
        kind: what to build.
        source: what to call the values in messages.
        top: what to call the place of the keys of `kind` in messages.

    Raises:
        ConfigError: for an unknown key, a wrong type, or a value out of range; it names the key,
            the value, the rule and what the key is for.
    """
    given = _plain(values, source)
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        message = _explain(error, given, kind, source, top)
    raise ConfigError(message)  # here, so that a user sees no traceback of msgspec


def convert_key(owner: type[msgspec.Struct], key: str, value: Any) -> Any:
    """Convert the value of one key, as it was given from Python.

    Args:
        owner: the section that has the key.
        key: its name.
        value: given for it.

    Raises:
        ConfigError: as `convert`, or for a value that no file could hold.
    """
    source = owner.__name__
    given = _plain(value, source)
    try:
        converted = msgspec.convert(given, key_types(owner)[key])
    except msgspec.ValidationError as error:
        message = _explain(error, {key: given}, owner, source, "its keys", within=key)
    else:
        if isinstance(converted, dict):  # of anything; what has a type can be written
            _check_writable(name_of(owner, key), converted, source)
        return converted
    raise ConfigError(message)


def check_key(kind: type[msgspec.Struct], section: str, key: str, *, source: str) -> None:
    """Refuse a section, or a key of one, that does not exist.

    Raises:
        ConfigError: naming the nearest that does.
    """
    sections = key_types(kind)
    if section not in sections:
        raise ConfigError(
            f'{source}: there is no section "{section}". {did_you_mean(section, sections)}'
        )
    fields = struct_of(sections[section]).__struct_fields__
    if key not in fields:
        raise ConfigError(
            f'{source}: section "{section}" has no key "{key}". {did_you_mean(key, fields)}'
        )


def check_keywords(given: Iterable[str], known: Sequence[str], *, source: str) -> None:
    """Refuse keywords that are no keys.

    Raises:
        ConfigError: naming the nearest that is one.
    """
    for key in given:
        if key not in known:
            raise ConfigError(f'{source}: there is no key "{key}". {did_you_mean(key, known)}')


@functools.cache
def key_types(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Give the type of each key, with its `msgspec.Meta`."""
    return get_type_hints(kind, include_extras=True)


def alternatives(kind: type[msgspec.Struct], section: str, key: str) -> tuple[Any, ...]:
    """Give the types that a key may have; none where it has one only."""
    return get_args(get_type_hints(struct_of(key_types(kind)[section]))[key])


def name_of(owner: type[msgspec.Struct], key: str) -> str:
    """Give ``section.key``; what has sections itself has no name: theirs stand alone."""
    is_whole = owner.__name__ in ("Config", "Cluster", "Study")
    section = "" if is_whole else owner.__name__.removesuffix("Section").lower()
    return f"{section}.{key}" if section else key


def struct_of(hint: Any) -> type[msgspec.Struct]:
    """Find the section in a type such as ``Annotated[tuple[WrapperSection, ...], ...]``."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    return struct_of(get_args(hint)[0])


def _plain(value: Any, source: str) -> Any:
    try:
        return plain_value(value)
    except RecursionError as error:
        raise ConfigError(
            f"{source} nests lists or tables too deep to be read; no key of a configuration wants "
            f"more than two levels."
        ) from error


def _explain(
    error: msgspec.ValidationError,
    values: Any,
    kind: type[msgspec.Struct],
    source: str,
    top: str,
    *,
    within: str = "",
) -> str:
    """Turn msgspec's message into one that names key, value, rule and way out."""
    message, _, where = str(error).partition(" - at `")
    path = within + where.rstrip("`").removeprefix("$")
    path = path.removeprefix(".")
    unknown = re.search(r"unknown field `(.+)`", message)
    if unknown is not None:
        name = unknown.group(1)
        known, place = _known_fields(kind, path, top)
        return f'{source}: there is no key "{name}" in {place}. {did_you_mean(name, known)}'
    if not path:  # no table at all
        return f"{source} is {show_value(values)}. {_in_words(message)}."
    value = show_value(_lookup(values, path))
    rule = _in_words(message)
    if message.startswith("Invalid enum"):
        rule = "Expected " + _words(kind, path)
    return f"{source}: {name_of(kind, path)} is {value}. {rule}. {_meaning(kind, path)}"


def _in_words(message: str) -> str:
    """Say msgspec's rule in the words of TOML."""
    rule = message.replace("`", "")
    for theirs, ours in (("object", "a table"), ("array", "a list"), ("null", "None")):
        rule = re.sub(rf"\b{theirs}\b", ours, rule)
    return rule


def _steps(path: str) -> list[str]:
    """Cut a path such as ``environment.wrappers[0].name`` into its keys."""
    return [part.split("[")[0] for part in path.split(".")]


def _hint(kind: type[msgspec.Struct], path: str) -> Any:
    """Give the type of the last key of a path that a section declares."""
    hint: Any = None
    for step in _steps(path):
        hints = key_types(kind)
        if step not in hints:  # within a table of anything
            break
        hint = hints[step]
        try:
            kind = struct_of(hint)
        except IndexError:
            break
    return hint


def _meaning(kind: type[msgspec.Struct], path: str) -> str:
    """Say what the key at a path is for, or what a section takes."""
    hint: Any = kind
    place: list[str] = []
    for step in _steps(path):
        if not isinstance(hint, type):
            break
        hint = key_types(struct_of(hint))[step]
        place.append(step)
    if isinstance(hint, type):
        keys = ", ".join(key_types(struct_of(hint)))
        return f"[{'.'.join(place)}] is a section, with the keys {keys}."
    return f"It means: {hint.__metadata__[-1].description}"


def _words(kind: type[msgspec.Struct], path: str) -> str:
    (hint, *_) = get_args(_hint(kind, path))
    if bool in get_args(hint):  # words beside true and false
        (literal,) = (argument for argument in get_args(hint) if argument is not bool)
        return ", ".join(["true, false", *(f'"{word}"' for word in get_args(literal))])
    return "one of " + ", ".join(f'"{word}"' for word in get_args(hint))


def _known_fields(kind: type[msgspec.Struct], path: str, top: str) -> tuple[tuple[str, ...], str]:
    if not path:
        return kind.__struct_fields__, top
    place = name_of(kind, path)
    known = struct_of(_hint(kind, path)).__struct_fields__
    return known, place if "[" in path else f"section [{place}]"


def _lookup(values: Any, path: str) -> Any:
    for part in re.findall(r"\w+", path):
        try:
            values = values[int(part)] if isinstance(values, list) else values[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return values


def _check_writable(name: str, value: Any, source: str) -> None:
    """Refuse what no TOML file holds: a configuration is written down with its run."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_writable(f"{name}.{key}", item, source)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_writable(f"{name}[{index}]", item, source)
    elif not isinstance(value, _SCALARS):
        raise ConfigError(
            f"{source}: {name} is {show_value(value)}, which a configuration cannot hold: it is "
            f"written to a file, as text, numbers, true or false, lists and tables. Leave "
            f"the key out, or give a function that makes the environment (environment=... of "
            f"zdqn.run)."
        )
