"""What the roles in the job of the servers are told: all of them are on its node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from zdqn.launch.child_main import Assignment
from zdqn.launch.cluster.cluster_record import own_keys_of
from zdqn.launch.plan import PlannedProcess, RunArguments, role_arguments
from zdqn.launch.slurm.slurm_record import SlurmRecord
from zdqn.records.endpoints import Endpoints
from zdqn.records.run_files import RunFiles
from zdqn.wire.addresses import Address, parse_address


class ServersPlacement:
    """The processes of the job of the servers, a `zdqn.launch.placement.Placement`.

    Its learner goes on from the newest checkpoint that is there; where a start was killed before it
    had saved one, it begins anew.

    Args:
        record: of the run.
        directory: of the run, absolute.

    Attributes:
        config: as for `Placement`.
        directory: likewise.
        resume: folder that the learner goes on from; None to begin.
        overwrite: whether an earlier start has left something, and no checkpoint.
    """

    def __init__(self, record: SlurmRecord, directory: Path) -> None:
        files = RunFiles(directory)
        goes_on = any(files.checkpoints.glob("*.pt"))
        self.directory = directory
        self.resume = directory if goes_on else None
        self.overwrite = bool(files.results()) and not goes_on
        self._processes = record.plan.processes
        self._given = RunArguments(
            run_directory=directory,
            resume=self.resume,
            overwrite=self.overwrite,
            insecure=not record.secure,
        )
        keys = str(own_keys_of(directory)) if record.secure else ""
        config = record.plan.config
        security = msgspec.structs.replace(config.security, keys=keys)
        self.config = msgspec.structs.replace(config, security=security)

    def processes(self) -> tuple[PlannedProcess, ...]:
        """List the processes of the job, servers first."""
        return self._processes

    def assignment(
        self, process: PlannedProcess, endpoints: Endpoints, log_level: str
    ) -> Assignment | None:
        """Give what a process is told; None as long as an address is missing."""
        arguments = role_arguments(process, self._given, endpoints)
        if arguments is None:
            return None
        if arguments.get("bind"):  # started again, it takes its port, on every interface
            port = parse_address(arguments["bind"], parameter=process.role).port
            arguments["bind"] = str(Address("tcp", "0.0.0.0", port))  # noqa: S104 - with keys
        return Assignment(self.config, arguments, log_level, ended_by_parent=True)

    def go_on(self) -> None:
        """Have a learner that is started from now on go on from its newest checkpoint."""
        self._given = self._given.gone_on()

    def reachable(self, process: PlannedProcess, endpoints: Mapping[str, str]) -> dict[str, str]:
        """Give the addresses of a server, which tells them with the name of its node."""
        del process
        return dict(endpoints)
