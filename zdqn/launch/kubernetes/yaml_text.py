"""Plain values as YAML that a person reads, with comments, and every parser reads alike.

A string stands bare only where no version of YAML takes it for anything else; all others are
quoted as in JSON, or are blocks of whole lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BARE = re.compile(r"/?[A-Za-z][\w./-]*", re.ASCII)
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""That YAML 1.1, which kubectl reads, takes for something else than text."""
_BLOCK = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]+")
_UNPRINTABLE = re.compile(r"[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")
_STEP = "  "


def to_yaml(document: Mapping[str, Any], comment: str = "") -> str:
    """Write a document.

    Args:
        document: of mappings, lists, text, numbers, true and false; no anchor is made.
        comment: lines that stand before it.
    """
    above = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*above, *_mapping(document, "")]) + "\n"


def _mapping(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in values.items():
        yield from _entry(f"{indent}{_scalar(name)}:", value, indent)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    """Write a value after what it belongs to: on the same line, or on those that follow."""
    if isinstance(value, Mapping) and value:
        yield head
        yield from _mapping(value, indent + _STEP)
    elif isinstance(value, list | tuple) and value:
        yield head
        yield from _sequence(value, indent + _STEP)
    elif isinstance(value, str) and _is_block(value):
        yield f"{head} |"
        for line in value[:-1].split("\n"):
            yield f"{indent}{_STEP}{line}" if line else ""
    else:
        yield f"{head} {_scalar(value)}"


def _sequence(values: Sequence[Any], indent: str) -> Iterator[str]:
    for value in values:
        if isinstance(value, Mapping) and value:
            first, *others = _mapping(value, indent + _STEP)
            yield f"{indent}- {first.lstrip()}"
            yield from others
        else:
            yield from _entry(f"{indent}-", value, indent)


def _is_block(text: str) -> bool:
    """Whether text is several whole lines that can stand as they are."""
    lines = text.split("\n")
    whole = len(lines) > 2 and not lines[-1] and bool(lines[0].strip()) and bool(lines[-2].strip())
    return whole and not lines[0].startswith(" ") and _BLOCK.fullmatch(text) is not None


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        if _BARE.fullmatch(value) and value.lower() not in _WORDS:
            return value
        quoted = json.dumps(value, ensure_ascii=False)
        return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", quoted)
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, list | tuple):
        return "[]"
    return json.dumps(value)
