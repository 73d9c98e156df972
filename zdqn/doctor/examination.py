"""Everything that can be looked at, in an order in which one thing explains the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from zdqn.config import Config
from zdqn.doctor.environments import examine_environment
from zdqn.doctor.findings import Finding
from zdqn.doctor.machine import (
    examine_disk,
    examine_files,
    examine_memory,
    examine_processors,
)
from zdqn.doctor.run_folder import examine_run
from zdqn.doctor.servers import examine_ports, examine_server
from zdqn.doctor.software import examine_software
from zdqn.wire.keys.role_keys import RoleKeys
from zdqn.wire.protocol import ServerRole


def examine(
    config: Config | None = None,
    *,
    memory: str | None = None,
    learner: str | None = None,
    run_directory: Path | None = None,
    keys: RoleKeys | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Iterator[Finding]:
    """Look at this machine, and at what else is named. Nothing is changed.

    Args:
        config: of a run: its environment is made and stepped, its replay's room and its servers'
            ports are looked at.
        memory: address of a memory that should be up.
        learner: address of a learner that should be up.
        run_directory: folder of a run.
        keys: an operator's, where servers have keys.
        say: told what is looked at next.

    Yields:
        What was found, one by one.
    """
    say("the software")
    yield from examine_software(config)
    say("files and processors")
    yield from examine_files(config)
    yield examine_processors(config)
    spec = None
    if config is not None:
        say("the environment, which is made and stepped")
        found, spec = examine_environment(config)
        yield from found
    say("memory and disk")
    yield examine_memory(config, spec)
    directory = config.run.directory if config is not None else "."
    yield examine_disk(run_directory or Path(directory))
    servers: dict[ServerRole, str | None] = {"memory": memory, "learner": learner}
    if config is not None and not any(servers.values()):
        say("the ports")
        yield from examine_ports(config)
    for role, address in servers.items():
        if address is not None:
            say(f"the {role} at {address}")
            yield from examine_server(role, address, keys)
    if run_directory is not None:
        say(f"the run in {run_directory}")
        yield from examine_run(run_directory)
