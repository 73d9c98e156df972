"""Asking a run how it does: which run is meant, where its servers are, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from zdqn.config import load_config
from zdqn.errors import FileError, PeerUnavailableError, ZdqnError
from zdqn.launch.cluster.cluster_record import is_cluster, own_keys_of, read_record
from zdqn.launch.run_view import RunPlan
from zdqn.records.endpoints import newest_run_directory, read_endpoints
from zdqn.records.run_files import RunFiles
from zdqn.wire import remote_control
from zdqn.wire.keys import role_keys
from zdqn.wire.keys.role_keys import RoleKeys
from zdqn.wire.protocol import ServerRole

LINKS: dict[ServerRole, str] = {"learner": "model", "memory": "samples"}
"""Server to the link on which it answers questions."""
TIMEOUT_S = 2.0
"""How long an answer is waited for."""
BUSY_S = 10.0
"""And how long besides, of a server that takes connections."""

ServerAddress = tuple[ServerRole | None, str]
"""Which server it is, if that is known, and its address."""


class Asked(NamedTuple):
    """What servers have answered, by role, and why others have not."""

    answers: dict[str, dict[str, Any]]
    failures: list[ZdqnError]

    @property
    def in_vain(self) -> tuple[str, ...]:
        """Servers that did not answer, if any server did."""
        return tuple(role for role in LINKS if self.failures and role not in self.answers)


def directory_of_target(target: str | None) -> Path | None:
    """Give the run directory that is meant; None when an address is given.

    Args:
        target: a run directory or a server's address; None for the newest run in ``./runs``.

    Raises:
        UsageError: when there is no run.
    """
    if target is not None and "://" in target:
        return None
    return Path(target) if target is not None else newest_run_directory(Path("runs"))


def server_addresses(target: str | None, directory: Path | None) -> list[ServerAddress]:
    """Give the addresses of a run's servers, the learner's first.

    Args:
        target: as for `directory_of_target`.
        directory: what that gave.

    Raises:
        FileError: when the run directory names no servers.
    """
    if directory is None:
        return [(None, str(target))]
    endpoints = read_endpoints(directory)
    addresses: list[ServerAddress] = [
        (server, endpoints[server][link])
        for server, link in LINKS.items()
        if link in endpoints.get(server, {})
    ]
    if not addresses:
        raise FileError(
            f"{RunFiles(directory).endpoints} names no server. Give an address instead."
        )
    return addresses


def operator_keys(given: Path | None, directory: Path | None) -> RoleKeys | None:
    """Read the keys to ask with: from the folder that is given, or that the run was given.

    Raises:
        NotAllowedError: when one is missing, or others can read it.
    """
    folder: Path | str | None = given
    if given is None and directory is not None and is_cluster(directory):
        folder = own_keys_of(directory) if read_record(directory).secure else None
    elif given is None and directory is not None:
        with suppress(ZdqnError):  # it is not there before training begins
            folder = load_config(RunFiles(directory).config).security.keys
    return role_keys.open_keys(folder, "operator")


def identity_of(directory: Path | None) -> str:
    """Give what tells a run from every other; "" where that is not known, as before its learner."""
    if directory is None:
        return ""
    with suppress(OSError, UnicodeDecodeError):
        return RunFiles(directory).identity.read_text(encoding="utf-8").strip()
    return ""


def fetch_own_status(
    address: str, keys: RoleKeys | None, server: ServerRole | None, run_id: str
) -> dict[str, Any]:
    """Ask a server how it does, which may be another run's by now.

    Args:
        address: of it.
        keys: an operator's, where servers have keys.
        server: which one it is, if that is known.
        run_id: of the run that is meant; "" for any.

    Raises:
        PeerUnavailableError: when nothing answers, or a server of another run.
        ZdqnError: as `zdqn.wire.remote_control.fetch_status` does.
    """
    answer = remote_control.fetch_status(address, TIMEOUT_S, keys, server, BUSY_S)
    told = answer.get("run", {}) if answer["role"] == "learner" else answer
    found = told.get("run_id") or run_id
    if run_id and found != run_id:
        raise PeerUnavailableError(
            f"At {address}, where a server of the run {run_id} was, that of another run answers "
            f"now: {found}. It was asked nothing else."
        )
    return answer


def ask_servers(
    addresses: Sequence[ServerAddress], keys: RoleKeys | None, run_id: str = ""
) -> Asked:
    """Ask servers how they do.

    Args:
        addresses: of them.
        keys: an operator's, where servers have keys.
        run_id: of the run that is meant, as for `fetch_own_status`.
    """
    asked = Asked({}, [])
    for server, address in addresses:
        try:
            answer = fetch_own_status(address, keys, server, run_id)
        except ZdqnError as error:
            asked.failures.append(error)
        else:
            asked.answers[str(answer.pop("role"))] = {"address": address, **answer}
    return asked


def plan_of(directory: Path | None) -> RunPlan:
    """Give what a run's own configuration says of it; nothing before training begins.

    What hosts keep by themselves has its files there until it is fetched: the launch's record says
    it then.
    """
    if directory is not None:
        with suppress(ZdqnError):
            return RunPlan.named(load_config(RunFiles(directory).config))
        if is_cluster(directory):
            with suppress(ZdqnError):
                return RunPlan.named(read_record(directory).plan.config)
    return RunPlan()
