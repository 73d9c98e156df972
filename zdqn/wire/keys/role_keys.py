"""The keys with which one process takes part: its own, and those of the servers it connects to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zdqn.wire.keys.allow_list import KeyRole
from zdqn.wire.keys.key_folder import KeyFolder, OwnKey
from zdqn.wire.protocol import ServerRole

CONNECTS_TO: dict[KeyRole, tuple[ServerRole, ...]] = {
    "memory": (),
    "learner": ("memory",),
    "collector": ("learner", "memory"),
    "evaluator": ("learner",),
    "operator": ("learner", "memory"),
}


@dataclass(frozen=True)
class RoleKeys:
    """The keys of one role.

    Attributes:
        folder: where they are; a server reads there who is let in.
        own: the role's own key.
        servers: the public keys of the servers that it connects to.
    """

    folder: KeyFolder
    own: OwnKey
    servers: Mapping[ServerRole, bytes]


def open_keys(folder: str | Path | None, role: KeyRole) -> RoleKeys | None:
    """Read a role's keys.

    Args:
        folder: with the keys; None or "" for a role without any.
        role: whose.

    Returns:
        The keys, or None where there is no folder.

    Raises:
        NotAllowedError: when one is missing, or others can read or change it.
        FileError: when one cannot be read.
    """
    if not folder:
        return None
    keys = KeyFolder(Path(folder).expanduser())
    own = keys.own(role)
    if role in ("memory", "learner"):
        keys.allowed()
    return RoleKeys(keys, own, {server: keys.public(server) for server in CONNECTS_TO[role]})
