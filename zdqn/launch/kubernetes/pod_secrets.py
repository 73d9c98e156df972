"""The keys of a run as Secrets: what each role's pods have to know, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from zdqn.errors import FileError
from zdqn.wire.keys.allow_list import CLIENT_KEYS, KeyRole
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.private_files import read_private
from zdqn.wire.keys.role_keys import CONNECTS_TO

Secrets = Mapping[str, Mapping[str, str]]
"""Role to the files of its Secret: name, without a folder, to text."""

_ROLES: tuple[KeyRole, ...] = ("memory", "learner", "collector", "evaluator")
_LIST = "allowed."


def path_in_folder(name: str) -> str:
    """Say where a file of a Secret belongs in a folder of keys; names of a Secret have no /."""
    return name.replace(_LIST, "allowed/", 1) if name.startswith(_LIST) else name


def read_secrets(folder: Path, say: Callable[[str], None]) -> Secrets:
    """Read the keys of a run, which are made where there are none.

    Whoever asks twice gets the same, so that pods of one print talk to those of the other.

    Args:
        folder: of the keys; also those with which the run is asked for its status.
        say: told that keys were made.

    Raises:
        NotAllowedError: when a key is missing, or others can read it.
        FileError: when one cannot be read or written.
    """
    keys = KeyFolder(folder)
    if not folder.exists():
        keys.init()
        say(f"made the keys of the run in {folder}; keep that folder as long as the run")
    try:
        return {role: dict(_files(keys, role)) for role in _ROLES}
    except OSError as error:
        raise FileError(f"{error.filename or folder}: {error.strerror or error}.") from error


def _files(keys: KeyFolder, role: KeyRole) -> list[tuple[str, str]]:
    keys.own(role)  # says what is wrong with it
    serves = role in ("memory", "learner")
    # in the pod of a server its probes ask too, with an operator's key
    servers = CONNECTS_TO["operator" if serves else role]
    for server in servers:
        keys.public(server)
    known = list(dict.fromkeys([role, *servers]))
    files = [(f"{role}.secret", read_private(keys.path / f"{role}.secret"))]
    files += [(f"{name}.public", (keys.path / f"{name}.public").read_text()) for name in known]
    if serves:
        keys.allowed()
        lets_in = [who for who in CLIENT_KEYS if who == "operator" or role in CONNECTS_TO[who]]
        paths = [(who, keys.path / "allowed" / who) for who in lets_in]
        files += [(f"{_LIST}{who}", read_private(path)) for who, path in paths if path.exists()]
    return files
