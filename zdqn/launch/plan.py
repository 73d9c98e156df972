"""What a local run consists of, as plain data: nothing here starts anything."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from zdqn.config import Config, LearnerSection, MemorySection, StopSection
from zdqn.records.endpoints import Endpoints

RESTARTABLE_EXIT_CODES = frozenset({69, 70, 74, 75})
"""After these, after 0 and after a signal starting again can help; see `zdqn.errors`."""

_FREE_PORT = "tcp://127.0.0.1:0"
_LONGEST_DELAY_S = 30.0


@dataclass(frozen=True)
class PlannedProcess:
    """One process of a run.

    Attributes:
        role: "memory", "learner", "collector" or "evaluator".
        name: the role, with a number where there can be several.
        environment: variables that it gets besides those that it has anyway.
        host: where it runs; "" for this machine.
    """

    role: str
    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    host: str = ""

    def argv(self) -> list[str]:
        """Give the command that starts it; what it is to do comes on its standard input."""
        # -P: no file of the current folder takes the place of a module of Python's
        return [sys.executable, "-P", "-m", "zdqn.launch", self.role, self.name]


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
        tells: have the learner tell the launcher what it tells its sinks.
    """

    run_directory: Path
    environment: Callable[..., Any] | None = None
    network: Callable[..., Any] | None = None
    resume: Path | None = None
    overwrite: bool = False
    insecure: bool = False
    tells: bool = False

    def gone_on(self) -> RunArguments:
        """Give what a learner gets that goes on in the run's own folder."""
        return replace(self, resume=self.run_directory, overwrite=False)


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
    # a server that is started again takes its place again
    if process.role == "memory":
        return {
            "bind": memory,
            "insecure": given.insecure,
            "run_directory": given.run_directory,
        }
    if process.role == "learner":
        arguments: dict[str, Any] = {
            "memory": memory,
            "bind": learner,
            "run_directory": given.run_directory,
            "network": given.network,
            "resume": given.resume,
            "overwrite": given.overwrite,
            "insecure": given.insecure,
            "evaluators_come": True,
        }
        if given.tells:
            arguments["tells"] = True  # made into a sink in its process
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


def restart_delay_s(restarts: int) -> float:
    """Give the wait before a restart: none at first, then 1, 2, 4 ... seconds."""
    return min(2.0 ** (restarts - 1), _LONGEST_DELAY_S) if restarts else 0.0


# --- ends -----------------------------------------------------------------------------------------

_SIGNAL_NAMES = {int(number): number.name for number in signal.Signals}
_BY_A_SHELL = 128
"""A shell, ssh, or a role at the second signal, gives this plus the number of the signal."""


class Ending(Enum):
    """How a process ended, as far as it matters for what happens now."""

    OVER = auto()
    """With code 0, and it said that the run is over, or that somebody asked it to stop."""
    SIGNALLED = auto()
    """With code 0, and it said that a signal had told it to."""
    CURABLE = auto()
    """So that starting again can help: broken, killed, or with code 0 and without a word."""
    INCURABLE = auto()
    """So that it would fail again."""
    LOST = auto()
    """With its host, of which nothing is heard any more."""


class Consequence(Enum):
    """What the launcher does about the end of a process."""

    NOTHING = auto()
    """The run is ending, and nothing more is expected of it."""
    RESTART = auto()
    """It is started again."""
    GO_ON = auto()
    """The run goes on without it."""
    END = auto()
    """The run ends, well: the exit code is 0."""
    FAIL = auto()
    """The run ends with the error of this process, and with its exit code."""


class Outcomes(NamedTuple):
    """What may follow an end.

    Attributes:
        restarts_left: while it may be started again; None where that would not help.
        needed: else, if the run cannot do without it.
        spare: else, if it can.
    """

    restarts_left: Consequence | None
    needed: Consequence
    spare: Consequence


_END = Outcomes(None, Consequence.END, Consequence.END)
_FAIL = Outcomes(None, Consequence.FAIL, Consequence.FAIL)
_NOTHING = Outcomes(None, Consequence.NOTHING, Consequence.NOTHING)
_AGAIN_OR_FAIL = Outcomes(Consequence.RESTART, Consequence.FAIL, Consequence.FAIL)
_AGAIN = Outcomes(Consequence.RESTART, Consequence.FAIL, Consequence.GO_ON)
_NOT_AGAIN = Outcomes(None, Consequence.FAIL, Consequence.GO_ON)

OUTCOMES: Mapping[str, Mapping[Ending, Outcomes]] = {
    "learner": {  # its end is the run's end
        Ending.OVER: _END,
        Ending.SIGNALLED: _END,
        Ending.CURABLE: _FAIL,
        Ending.INCURABLE: _FAIL,
        Ending.LOST: _AGAIN_OR_FAIL,  # it did nothing wrong, and goes on from its checkpoint
    },
    "memory": {
        Ending.OVER: _END,
        Ending.SIGNALLED: _AGAIN_OR_FAIL,
        Ending.CURABLE: _AGAIN_OR_FAIL,
        Ending.INCURABLE: _FAIL,
        Ending.LOST: _AGAIN_OR_FAIL,
    },
    "collector": {
        Ending.OVER: _NOTHING,  # the learner, or the memory, told it so
        Ending.SIGNALLED: _AGAIN,
        Ending.CURABLE: _AGAIN,
        Ending.INCURABLE: _NOT_AGAIN,
        Ending.LOST: _AGAIN,
    },
    "evaluator": {
        Ending.OVER: _NOTHING,
        Ending.SIGNALLED: _AGAIN,
        Ending.CURABLE: _AGAIN,
        Ending.INCURABLE: _NOT_AGAIN,
        Ending.LOST: _AGAIN,
    },
}
"""Role and how it ended to what happens, while nobody has asked the run to end."""


@dataclass(frozen=True)
class LastWord:
    """What a process said before it ended with code 0.

    Attributes:
        signal: that told it to end; "" if none did.
        reason: why it ended, in its own words; may be "".
    """

    signal: str = ""
    reason: str = ""


def signal_of(exit_code: int) -> str:
    """Name the signal that ended a process, from its exit code; "" if none did."""
    number = -exit_code if exit_code < 0 else exit_code - _BY_A_SHELL
    name = _SIGNAL_NAMES.get(number, "")
    return name or (f"signal {number}" if exit_code < 0 else "")


def ending_of(exit_code: int, word: LastWord | None, *, lost: bool = False) -> Ending:
    """Judge how a process ended.

    Args:
        exit_code: its own, or minus the signal that ended it.
        word: its last, or None.
        lost: whether its host is, so that neither is its own.
    """
    if lost:
        return Ending.LOST
    if exit_code == 0 and word is not None:
        return Ending.SIGNALLED if word.signal else Ending.OVER
    if exit_code == 0 or exit_code in RESTARTABLE_EXIT_CODES or signal_of(exit_code):
        return Ending.CURABLE
    return Ending.INCURABLE


def consequence(
    role: str, ending: Ending, *, restarts_left: bool, needed: bool, asked: bool
) -> Consequence:
    """Decide what happens after a process has ended.

    Args:
        role: of the process.
        ending: how it ended.
        restarts_left: whether it may be started once more.
        needed: whether the run cannot do without it; see `is_needed`.
        asked: whether the run is ending already, because somebody asked for it.
    """
    if asked and role != "learner":
        return Consequence.NOTHING
    outcomes = OUTCOMES[role][ending]
    if restarts_left and not asked and outcomes.restarts_left is not None:
        return outcomes.restarts_left
    return outcomes.needed if needed else outcomes.spare


def is_needed(role: str, others: int, stop: StopSection) -> bool:
    """Whether a run cannot go on, or never end, without a process.

    Args:
        role: of the process.
        others: of its role that live, or will be started again.
        stop: when the run is to end.
    """
    if role == "evaluator":
        return not others and stop.evaluation_return is not None and not other_limits(stop)
    return role != "collector" or not others


def other_limits(stop: StopSection) -> list[str]:
    """Name the limits that end a run and need no evaluator."""
    keys = [key for key in stop.__struct_fields__ if key != "evaluation_return"]
    return [f"stop.{key}" for key in keys if getattr(stop, key)]


def without_goal(role: str, others: int, stop: StopSection) -> str:
    """Say that nobody is left to see a run reach its goal, if the last evaluator has gone.

    Args:
        role: of the process that has gone.
        others: of its role that are left.
        stop: when the run is to end.

    Returns:
        A part of a sentence; "" where nothing is lost.
    """
    if role != "evaluator" or others or stop.evaluation_return is None:
        return ""
    limits = " or ".join(other_limits(stop))
    return f", and cannot reach stop.evaluation_return, as nobody evaluates: only {limits} ends it"


def describe_exit(exit_code: int, word: LastWord | None = None) -> str:
    """Say how a process ended, such as ``ended with exit code 70`` or ``ended with SIGKILL``."""
    if exit_code == 0 and word is not None and word.signal:
        return f"was told to end by {word.signal}, and did (exit code 0)"
    if exit_code == 0 and word is None:
        return "ended with exit code 0 in the middle of the run, which nobody had asked for"
    name = signal_of(exit_code)
    if exit_code < 0:
        return f"ended with {name}"
    return f"ended with exit code {exit_code}" + (f" ({name})" if name else "")
