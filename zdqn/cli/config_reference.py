"""The configuration reference, ``docs/configuration.md``, written from the types of the keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Meta, Struct

from zdqn.cli.inline_toml import inline_toml
from zdqn.config import AGREEMENTS, Config, to_dict

_NAMES = {int: "integer", float: "number", str: "text", bool: "`true` or `false`", Any: "anything"}
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}

_INTRODUCTION = """\
# Configuration

<!-- Written by `zdqn config reference > docs/configuration.md`. Do not edit it here. -->

A configuration is a TOML file with the sections below. A key that it leaves out has its default;
an unknown key, a wrong type or a value out of range is refused with exit code 78. A value is taken
from `--set section.key=value` first, then from the file, then from the default. Such a value is
TOML too, and what is not TOML counts as text: `--set replay.kind=prioritized`,
`--set "network.hidden=[64, 64]"`. `--seed`, `--collectors` and `--evaluators` of `zdqn run` are
short for `run.seed`, `launch.collectors` and `launch.evaluators`.

`zdqn config show CONFIG` prints every value of a configuration and where it came from; with
`--describe` also what it means.
"""


def reference_lines() -> Iterator[str]:
    """Write the reference as lines of Markdown."""
    yield from _INTRODUCTION.splitlines()
    yield ""
    yield from _shared_lines()
    defaults = to_dict(Config())
    for section, kind in get_type_hints(Config).items():
        yield ""
        yield f"## [{section}]"
        yield ""
        yield _first_paragraph(kind)
        yield ""
        yield "| key | type | default | meaning |"
        yield "| --- | --- | --- | --- |"
        yield from _rows(kind, defaults[section])


def describe_type(hint: Any) -> str:
    """Say in words what values a type hint allows.

    Args:
        hint: of a key of the configuration, with its `msgspec.Meta`.

    Returns:
        Such as ``integer ≥ 1`` or ``list of integer``; absence is written as ``or absent``.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        rules = [rule for rule in hint.__metadata__ if isinstance(rule, Meta)]
        return " ".join([describe_type(hint.__origin__), *filter(None, map(_range, rules))])
    if origin in (Union, UnionType):
        words = (
            "absent" if argument is NoneType else describe_type(argument) for argument in arguments
        )
        return " or ".join(words)
    if origin is Literal:
        return ", ".join(f'`"{word}"`' for word in arguments)
    if origin is tuple:
        return f"list of {describe_type(arguments[0])}"
    if origin is dict:
        return "table"
    if isinstance(hint, type) and issubclass(hint, Struct):
        return "table with " + " and ".join(f"`{name}`" for name in hint.__struct_fields__)
    return _NAMES[hint]


def _rows(kind: type[Struct], defaults: Mapping[str, Any]) -> Iterator[str]:
    for key, hint in get_type_hints(kind, include_extras=True).items():
        default = f"`{inline_toml(defaults[key])}`" if key in defaults else "absent"
        meaning = hint.__metadata__[-1].description
        cells = (f"`{key}`", describe_type(hint), default, meaning)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _range(rule: Meta) -> str:
    bounds = ((sign, getattr(rule, name)) for name, sign in _BOUNDS.items())
    return ", ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


def _shared_lines() -> Iterator[str]:
    yield (
        "Roles of one run must agree in what both ends of a link act on. A client that differs is "
        "refused, and both values are printed. A collector or evaluator without a configuration "
        "takes the learner's."
    )
    yield ""
    yield "| client | server | must agree in |"
    yield "| --- | --- | --- |"
    for (client, server), agreed in AGREEMENTS.items():
        names = (f"`{name}`" if "." in name else f"`[{name}]`" for name in agreed)
        yield f"| {client} | {server} | {', '.join(names)} |"


def _first_paragraph(kind: type[Struct]) -> str:
    return " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
