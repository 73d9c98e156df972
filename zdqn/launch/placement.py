"""Where the processes of a run are, and what each is told; nothing here starts anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from zdqn.config import Config
from zdqn.launch.child_main import Assignment
from zdqn.launch.plan import (
    PlannedProcess,
    RunArguments,
    plan_processes,
    role_arguments,
    with_free_ports,
)
from zdqn.records.endpoints import Endpoints


class Placement(Protocol):
    """What `zdqn.launch.local_run` has to know of a run's processes.

    Attributes:
        config: of the run.
        directory: on this machine, where logs and addresses go.
    """

    config: Config
    directory: Path

    def processes(self) -> tuple[PlannedProcess, ...]:
        """List the processes that the run begins with, servers first."""

    def assignment(
        self, process: PlannedProcess, endpoints: Endpoints, log_level: str
    ) -> Assignment | None:
        """Give what a process is told; None as long as an address is missing.

        Args:
            process: which one.
            endpoints: addresses of the servers that are up, as others reach them.
            log_level: of its log.
        """

    def go_on(self) -> None:
        """Have a learner that is started from now on go on from its newest checkpoint."""

    def reachable(self, process: PlannedProcess, endpoints: Mapping[str, str]) -> dict[str, str]:
        """Give the addresses of a server as others reach them.

        Args:
            process: the server.
            endpoints: link to address, as the server itself tells them.
        """


class ThisMachine:
    """All processes on this machine; servers take free ports.

    Args:
        config: of the run.
        given: what the roles get besides.

    Attributes:
        config: as for `Placement`.
        directory: likewise.
    """

    def __init__(self, config: Config, given: RunArguments) -> None:
        self.config = with_free_ports(config)
        self.directory = given.run_directory
        self._given = given

    def processes(self) -> tuple[PlannedProcess, ...]:
        """List the processes of the run, servers first."""
        return plan_processes(self.config)

    def assignment(
        self, process: PlannedProcess, endpoints: Endpoints, log_level: str
    ) -> Assignment | None:
        """Give what a process is told; None as long as an address is missing."""
        arguments = role_arguments(process, self._given, endpoints)
        return Assignment(self.config, arguments, log_level) if arguments is not None else None

    def go_on(self) -> None:
        """Have a learner that is started from now on go on from its newest checkpoint."""
        self._given = self._given.gone_on()

    def reachable(self, process: PlannedProcess, endpoints: Mapping[str, str]) -> dict[str, str]:
        """Give the addresses of a server: all are here."""
        del process
        return dict(endpoints)
