"""The keys of a run, as its launcher knows them: what hosts have made, and have to know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zdqn.launch.cluster.cluster_plan import ClusterPlan
from zdqn.launch.cluster.host_keys import lists_of, make_host_keys, put_host_keys

_SERVERS = ("memory", "learner")
_THIS_MACHINE = ""
"""The name of the launcher among those who have keys."""


class RunKeys:
    """What is public of the keys of all hosts.

    Args:
        folder: of this machine's own keys, an operator's.
        others: what hosts have made earlier: host to role to a line of a list.
    """

    def __init__(self, folder: Path, others: Mapping[str, Mapping[str, str]]) -> None:
        self._folder = folder
        self._lines = {host: dict(told) for host, told in others.items()}

    @property
    def lines(self) -> dict[str, dict[str, str]]:
        """Host to role to a line of a list."""
        return {host: dict(told) for host, told in self._lines.items()}

    def take(self, host: str, told: Mapping[str, str]) -> None:
        """Take what a host has made."""
        self._lines[host] = dict(told)

    def forget(self, host: str) -> None:
        """Let a host in no more."""
        self._lines.pop(host, None)

    def replace(self, lines: Mapping[str, Mapping[str, str]]) -> None:
        """Let these in, and nobody else but this machine."""
        self._lines = {host: dict(told) for host, told in lines.items()}

    def make_own(self) -> None:
        """Make this machine's own key, and write down those of the servers.

        Raises:
            NotAllowedError: when others can enter the folder.
            FileError: when it cannot be written.
        """
        self._lines[_THIS_MACHINE] = make_host_keys(self._folder, ["operator"])
        put_host_keys(self._folder, self._servers(), {})

    def wanted_by(self, plan: ClusterPlan, host: str) -> dict[str, Any]:
        """Give what a host has to know: the servers' keys, and on a server's who is let in."""
        serves = any(process.role in _SERVERS for process in plan.on(host))
        return {
            "publics": self._servers(),
            "allowed": lists_of(self._lines) if serves else {},
        }

    def _servers(self) -> dict[str, str]:
        return {
            role: line
            for lines in self._lines.values()
            for role, line in lines.items()
            if role in _SERVERS
        }
