"""Whose keys are let in: a text file for each role, a key and a name on each line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from zdqn.wire.keys.key_pairs import first_letters, is_key

KeyRole: TypeAlias = Literal["memory", "learner", "collector", "evaluator", "operator"]
"""Whose key it is; an operator is a person who asks for status, or to stop."""
KEY_ROLES: tuple[KeyRole, ...] = get_args(KeyRole)
CLIENT_KEYS: tuple[KeyRole, ...] = ("learner", "collector", "evaluator", "operator")
"""Roles that connect to a server, and so have a list of those allowed."""

_MOST_NAME = 64
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Caller:
    """Whose key a client has shown.

    Attributes:
        role: what the key is for; None if it is on no list (any more).
        name: what the list calls it.
        public: the key.
    """

    role: KeyRole | None
    name: str
    public: bytes

    def __str__(self) -> str:
        letters = first_letters(self.public)
        if self.role is None:
            return f"key {letters}, which is not allowed"
        name = f" ({self.name})" if self.name else ""
        return f"{self.role}'s key {letters}{name}"


@dataclass(frozen=True)
class AllowList:
    """All keys that are let in, each with its role.

    Attributes:
        callers: public key to whose it is.
        complaints: a sentence for each line that is none, or that stands twice.
    """

    callers: Mapping[bytes, Caller] = field(default_factory=dict)
    complaints: tuple[str, ...] = ()

    def caller(self, public: bytes) -> Caller:
        """Tell whose key it is; one that is not listed has no role."""
        return self.callers.get(public) or Caller(None, "", public)

    def gone_since(self, before: AllowList) -> list[Caller]:
        """Give those that were let in before, and are no more, or as something else."""
        return [
            caller
            for public, caller in before.callers.items()
            if self.caller(public).role != caller.role
        ]


def format_line(public: bytes, name: str) -> str:
    """Write a key and its name as a line of a list; a public key's file is such a line."""
    return f"{public.hex()} {clean_name(name)}\n"


def parse_line(line: str) -> tuple[bytes, str] | None:
    """Read a key and its name; None for a line that holds none."""
    key, _, name = line.strip().partition(" ")
    return (bytes.fromhex(key), clean_name(name)) if is_key(key) else None


def is_comment(line: str) -> bool:
    """Whether a line says nothing: it is empty, or begins with a #."""
    return not line.strip() or line.lstrip().startswith("#")


def clean_name(name: str) -> str:
    """Give a name as it can stand on a line of a list, and of a log."""
    return _UNPRINTABLE.sub(" ", name).strip()[:_MOST_NAME]


def parse_lists(lists: Iterable[tuple[KeyRole, str, str]]) -> AllowList:
    """Read the lists of all roles. A line that is wrong lets nobody in, and hinders no other.

    Args:
        lists: of each role: its name, what to call its file in a complaint, and its text.
    """
    callers: dict[bytes, Caller] = {}
    complaints = []
    for role, source, text in lists:
        for number, line in enumerate(text.splitlines(), 1):
            if is_comment(line):
                continue
            read = parse_line(line)
            if read is None:
                complaints.append(
                    f"line {number} of {source} is not a key of 64 hexadecimal digits and a name; "
                    f"it lets nobody in"
                )
                continue
            public, name = read
            known = callers.setdefault(public, Caller(role, name, public))
            if known.role != role:
                complaints.append(
                    f"line {number} of {source} holds the {known}, which is a {known.role}'s "
                    f"already: a key has one role, and stays a {known.role}'s"
                )
    return AllowList(callers, tuple(complaints))
