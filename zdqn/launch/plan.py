"""What a local run consists of, as plain data: nothing here starts anything."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from zdqn.config import Config, LearnerSection, MemorySection
from zdqn.records.endpoints import Endpoints

RESTARTABLE_EXIT_CODES = frozenset({69, 70, 74, 75})
"""After these starting again can help; see `zdqn.errors`. After a signal (< 0) it can, too."""

_FREE_PORT = "tcp://127.0.0.1:0"
_LONGEST_DELAY_S = 30.0


@dataclass(frozen=True)
class PlannedProcess:
    """One process of a run.

    Attributes:
        role: "memory", "learner", "collector" or "evaluator".
        name: the role, with a number where there can be several.
        environment: variables that it gets besides those that it has anyway.
    """

    role: str
    name: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def argv(self) -> list[str]:
        """Give the command that starts it; what it is to do comes on its standard input."""
        return [sys.executable, "-m", "zdqn.launch", self.role, self.name]


def plan_processes(config: Config) -> tuple[PlannedProcess, ...]:
    """List the processes of a run, servers first."""
    launch = config.launch
    return (
        PlannedProcess("memory", "memory"),
        PlannedProcess("learner", "learner"),
        *(PlannedProcess("collector", f"collector-{i}") for i in range(launch.collectors)),
        *(PlannedProcess("evaluator", f"evaluator-{i}") for i in range(launch.evaluators)),
    )


def with_free_ports(config: Config) -> Config:
    """Let servers take free ports, so that several runs fit one machine.

    An address that the configuration sets to anything but the default is left alone.
    """
    memory, learner = config.memory, config.learner
    if memory.bind == MemorySection().bind:
        memory = msgspec.structs.replace(memory, bind=_FREE_PORT)
    if learner.bind == LearnerSection().bind:
        learner = msgspec.structs.replace(learner, bind=_FREE_PORT)
    return msgspec.structs.replace(config, memory=memory, learner=learner)


@dataclass(frozen=True)
class RunArguments:
    """What the roles of a run are given besides the configuration.

    Attributes:
        run_directory: where the learner writes.
        environment: makes an environment, instead of the configuration's; may be a closure.
        network: makes a Q-network from a spec, likewise.
        resume: run directory to go on from.
        overwrite: let the learner remove the run that is in `run_directory`.
        insecure: let servers listen to other machines.
    """

    run_directory: Path
    environment: Callable[..., Any] | None = None
    network: Callable[..., Any] | None = None
    resume: Path | None = None
    overwrite: bool = False
    insecure: bool = False


def role_arguments(
    process: PlannedProcess, given: RunArguments, endpoints: Endpoints
) -> dict[str, Any] | None:
    """Give the keyword arguments of a role's class.

    Args:
        process: which one.
        given: by the user.
        endpoints: addresses of the servers that are up.

    Returns:
        The arguments, or None as long as an address is missing.
    """
    memory = endpoints.get("memory", {}).get("samples")
    learner = endpoints.get("learner", {}).get("model")
    if process.role == "memory":  # started again it takes its place again
        return {"bind": memory, "insecure": given.insecure}
    if process.role == "learner":
        arguments: dict[str, Any] = {
            "memory": memory,
            "run_directory": given.run_directory,
            "network": given.network,
            "resume": given.resume,
            "overwrite": given.overwrite,
            "insecure": given.insecure,
        }
        return arguments if memory else None
    arguments = {
        "learner": learner,
        "environment": given.environment,
        "network": given.network,
        "name": process.name,
    }
    if process.role == "collector":
        arguments["memory"] = memory
    return arguments if learner else None


def may_restart(exit_code: int, restarts: int, max_restarts: int) -> bool:
    """Whether a process that died may be started again.

    Args:
        exit_code: its own, or minus the signal that ended it.
        restarts: how often it was started again already.
        max_restarts: how often it may be.
    """
    curable = exit_code < 0 or exit_code in RESTARTABLE_EXIT_CODES
    return curable and restarts < max_restarts


def restart_delay_s(restarts: int) -> float:
    """Give the wait before a restart: none at first, then 1, 2, 4 ... seconds."""
    return min(2.0 ** (restarts - 1), _LONGEST_DELAY_S) if restarts else 0.0


def describe_exit(exit_code: int, signal_names: Mapping[int, str]) -> str:
    """Say how a process ended, such as ``exit code 70`` or ``SIGKILL``."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    return signal_names.get(-exit_code, f"signal {-exit_code}")
