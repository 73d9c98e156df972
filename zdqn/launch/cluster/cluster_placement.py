"""What each role of a run on several hosts is told: addresses, keys and folders of its own host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from zdqn.config import Config
from zdqn.launch.child_main import Assignment
from zdqn.launch.cluster.cluster_plan import ClusterPlan
from zdqn.launch.plan import PlannedProcess, RunArguments, role_arguments
from zdqn.records.endpoints import Endpoints
from zdqn.wire.addresses import Address, parse_address


@dataclass(frozen=True)
class HostPlace:
    """What is known of a host once its agent has answered.

    Attributes:
        address: where others reach a server there.
        directory: of the run there, absolute.
        keys: folder of its keys, absolute; "" for none.
        launch_id: of the launch whose own folder that directory is, as on a shared disk; or "".
    """

    address: str
    directory: str
    keys: str = ""
    launch_id: str = ""


class ClusterPlacement:
    """The processes of a run on several hosts.

    Args:
        plan: of the run.
        places: of its hosts, by name; may grow.
        directory: of the run on this machine.
        resume: whether the learner goes on from its newest checkpoint.

    Attributes:
        config: as for `zdqn.launch.placement.Placement`.
        directory: likewise.
    """

    def __init__(
        self,
        plan: ClusterPlan,
        places: Mapping[str, HostPlace],
        *,
        directory: Path,
        resume: bool = False,
    ) -> None:
        self._plan = plan
        self._places = places
        self._resume = resume
        self.config = plan.config
        self.directory = directory

    def processes(self) -> tuple[PlannedProcess, ...]:
        """List the processes of the run, servers first."""
        return self._plan.processes

    def assignment(
        self, process: PlannedProcess, endpoints: Endpoints, log_level: str
    ) -> Assignment | None:
        """Give what a process is told; None as long as an address is missing."""
        place = self._places[process.host]
        directory = Path(place.directory)
        given = RunArguments(
            run_directory=directory,
            resume=directory if self._resume else None,
            insecure=not place.keys,
        )
        arguments = role_arguments(process, given, endpoints)
        if arguments is None:
            return None
        config = _with_keys(self.config, place.keys)
        if arguments.get("bind"):  # started again, it takes its ports, on every interface
            section = config.memory if process.role == "memory" else config.learner
            bind = parse_address(section.bind, parameter=process.role, bind=True)
            taken = parse_address(arguments["bind"], parameter=process.role)
            arguments["bind"] = str(Address("tcp", bind.host, taken.port))
        return Assignment(config, arguments, log_level, elsewhere=True)

    def go_on(self) -> None:
        """Have a learner that is started from now on go on from its newest checkpoint."""
        self._resume = True

    def reachable(self, process: PlannedProcess, endpoints: Mapping[str, str]) -> dict[str, str]:
        """Give the addresses of a server under its host's address."""
        host = self._places[process.host].address
        return {
            link: str(Address("tcp", host, parse_address(address, parameter=link).port))
            if address.startswith("tcp://")
            else address  # of its metrics: who asks there is on that host
            for link, address in endpoints.items()
        }


def _with_keys(config: Config, folder: str) -> Config:
    security = msgspec.structs.replace(config.security, keys=folder)
    return msgspec.structs.replace(config, security=security)
