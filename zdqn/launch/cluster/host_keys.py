"""Keys of a run on several hosts: made where they are used, so that no secret ever travels.

Each host makes a key for each role that it runs, and tells what is public. The launcher makes its
own, an operator's, and hands each host what it has to know: the keys of memory and learner, and
where a server runs those that it lets in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from zdqn.errors import FileError
from zdqn.wire.keys.allow_list import CLIENT_KEYS, KEY_ROLES, format_line
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.private_files import make_private_folder, replace_private

_SERVERS = ("memory", "learner")


def make_host_keys(folder: Path, roles: Iterable[str]) -> dict[str, str]:
    """Make a key for each role that has none yet.

    Returns:
        Role to its public key and name, as a line of a list.

    Raises:
        NotAllowedError: when others can enter the folder.
        FileError: when it cannot be written.
    """
    keys = KeyFolder(folder)
    asked = set(roles)
    wanted = [role for role in KEY_ROLES if role in asked]
    known = keys.own_roles() if folder.exists() else []
    keys.init([role for role in wanted if role not in known])
    own = {role: keys.own(role) for role in wanted}
    return {role: format_line(key.pair.public, key.name) for role, key in own.items()}


def put_host_keys(
    folder: Path, publics: Mapping[str, str], allowed: Mapping[str, Iterable[str]]
) -> None:
    """Write down the keys of servers, and who is let in.

    Args:
        folder: of this host's keys.
        publics: server to its line.
        allowed: role to the lines of those that are let in as that; the whole list.

    Raises:
        NotAllowedError: when others can enter the folder.
        FileError: when it cannot be written.
    """
    try:
        make_private_folder(folder)
        make_private_folder(folder / "allowed")
        for role in _SERVERS:
            if role in publics:
                replace_private(folder / f"{role}.public", publics[role])
        for role in CLIENT_KEYS:
            if role in allowed:
                replace_private(folder / "allowed" / role, "".join(allowed[role]))
    except OSError as error:
        raise FileError(f"{error.filename or folder}: {error.strerror or error}.") from error


def lists_of(lines: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Give who is let in as what.

    Args:
        lines: host to what `make_host_keys` gave there; the launcher is one of them.
    """
    return {
        role: [
            _named(line, f"{role}@{host}")
            for host, told in lines.items()
            for kept, line in told.items()
            if kept == role
        ]
        for role in CLIENT_KEYS
    }


def hosts_in(folder: Path) -> dict[str, dict[str, str]]:
    """Read from a server's lists what hosts have made: what `lists_of` was given.

    Raises:
        ZdqnError: when they cannot be read.
    """
    found: dict[str, dict[str, str]] = {}
    for public, caller in KeyFolder(folder).allowed().callers.items():
        role, _, host = caller.name.partition("@")
        found.setdefault(host, {})[role] = format_line(public, caller.name)
    return found


def _named(line: str, name: str) -> str:
    """Give a line of a list under a name by which a host can be found again."""
    return format_line(bytes.fromhex(line.split()[0]), name)
