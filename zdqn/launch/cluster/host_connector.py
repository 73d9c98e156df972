"""How a host is connected: what is copied there, its agent, and whether that is the right one."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from zdqn.config.cluster_sections import SshSection
from zdqn.errors import FileError, PeerUnavailableError, ZdqnError
from zdqn.launch.cluster.cluster_placement import HostPlace
from zdqn.launch.cluster.cluster_plan import PlannedHost
from zdqn.launch.cluster.host_link import HostLink, Listener
from zdqn.launch.cluster.ssh_commands import (
    SshUse,
    agent_command,
    agent_script,
    hostname_argv,
    hostname_from,
    rsync_argv,
    ssh_argv,
)
from zdqn.launch.cluster.versions import check_version
from zdqn.launch.starting import where_zdqn_is

Errand: TypeAlias = Literal["run", "visit", "look"]
"""What agents are for: to run roles, to visit the agents that keep them, or to look alone."""
ANSWER_S = 30.0
_AGENT_S = 60.0
_LATER_S = 5.0
"""How much later than the launcher an agent takes the connection for dead."""


class HostConnector:
    """Connects hosts, a few at a time.

    Args:
        settings: of ssh.
        use: how ssh is called; None plays every host with a process of this machine.
        run: what the run's folder is called on every host.
        errand: what agents are for.
        say: told what a person should know, with the host.
    """

    def __init__(
        self,
        settings: SshSection,
        use: SshUse | None,
        *,
        run: str,
        errand: Errand,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._use = use
        self._run = run
        self._errand = errand
        self._say = say
        self._turns = threading.Semaphore(settings.at_once)

    def connect(self, host: PlannedHost, listener: Listener) -> HostLink:
        """Make a connection to an agent of the same zdqn.

        Raises:
            ZdqnError: why that is not possible.
        """
        with self._turns:
            if self._use is not None and self._errand == "run":
                for sync in host.sync:
                    _copy(host.name, rsync_argv(self._use, host.name, sync))
            link = self._start_agent(host, listener)
        try:
            who = link.ask("who", {}, ANSWER_S)
            check_version(host.name, who["zdqn"], python=host.python)
        except ZdqnError:
            link.close()
            raise
        return link

    def _start_agent(self, host: PlannedHost, listener: Listener) -> HostLink:
        def say(line: str) -> None:
            self._say(f"{host.name}: {line}")

        if self._use is None:
            argv, environment = ["sh", "-c", agent_script(host)], where_zdqn_is()
        else:
            argv, environment = ssh_argv(self._use, host.name, agent_command(host)), {}
        try:
            link = HostLink(host.name, argv, environment=environment, listener=listener, say=say)
        except OSError as error:
            raise FileError(f"Cannot run {argv[0]}: {error.strerror}. Install it.") from error
        try:
            link.wait_for_agent(self._settings.timeout_s + _AGENT_S)
        except ZdqnError:
            link.close()
            raise
        return link

    def find_place(self, host: PlannedHost, link: HostLink, *, secure: bool) -> HostPlace:
        """Have an agent take its place for the errand, and say where that is.

        Args:
            host: how it is set up.
            link: to its agent.
            secure: whether the run has keys.
        """
        there = {"directory": "", "keys": "", "launch_id": ""}
        if self._errand != "look":
            where: dict[str, Any] = {
                "directory": str(Path(host.directory) / self._run),
                "host": host.name,
            }
            if self._errand == "run":
                where["silent_s"] = self._settings.alive_s + _LATER_S
            question = "settle" if self._errand == "run" else "visit"
            there = link.ask(question, where, ANSWER_S)
        return HostPlace(
            address=self._address_of(host),
            directory=there["directory"],
            keys=there["keys"] if secure else "",
            launch_id=there["launch_id"],
        )

    def _address_of(self, host: PlannedHost) -> str:
        if host.address or self._use is None:
            return host.address
        found = subprocess.run(  # noqa: S603 - ssh, which connects to nobody here
            hostname_argv(self._use, host.name), capture_output=True, text=True, check=False
        )
        return hostname_from(found.stdout) or host.name.rpartition("@")[2]


def _copy(host: str, argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - rsync
            argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise FileError(f"Cannot run rsync: {error.strerror}. Install it.") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise PeerUnavailableError(
            f"{host}: files could not be copied there (rsync ended with exit code "
            f'{done.returncode}). It said: "{said[-1] if said else ""}".'
        )
