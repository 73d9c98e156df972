"""Which jobs a run consists of, as plain data: nothing here submits, or asks, anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from zdqn.config import Config
from zdqn.config.cluster_sections import ClientsSection, Cluster, HostDefaults
from zdqn.config.slurm_sections import AtTimeLimit, SlurmJobSection, SlurmSection
from zdqn.errors import ConfigError
from zdqn.launch.cluster.host_ranges import count_clients
from zdqn.launch.plan import PlannedProcess

ValueT = TypeVar("ValueT")

_EARLY_S = 60
"""Seconds by which Slurm may send a signal before it is due."""
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<rest>\d+(?::\d+){0,2})")
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OPTION = re.compile(r"-{1,2}([A-Za-z][\w-]*).*", re.ASCII)
_KEYS = {
    "partition": "partition", "p": "partition", "account": "account", "A": "account",
    "qos": "qos", "q": "qos", "time": "time", "t": "time", "mem": "memory", "gres": "gres",
    "cpus-per-task": "cpus", "c": "cpus",
}  # fmt: skip
"""Options of sbatch that have a key."""
_OWN = frozenset({
    "output", "o", "error", "e", "open-mode", "array", "a", "signal", "dependency", "d", "requeue",
    "no-requeue", "chdir", "D", "job-name", "J", "parsable", "wrap", "test-only",
})  # fmt: skip
"""Options of sbatch on which it rests that a run can be found, ended and gone on with."""


@dataclass(frozen=True)
class JobSettings:
    """What the jobs of one kind ask for, and how they are set up.

    Attributes:
        partition: "" leaves it to Slurm, as with all that follow.
        account: that is charged.
        qos: quality of service.
        time: limit, as sbatch takes it.
        cpus: cores; 0 leaves it to Slurm.
        memory: such as ``8G``.
        gres: such as ``gpu:1``.
        sbatch: more options, as they stand in a batch file.
        python: that zdqn is installed in; may begin with ``~/``.
        setup: lines of bash that run first.
        environment: variables of the roles.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    time: str = ""
    cpus: int = 0
    memory: str = ""
    gres: str = ""
    sbatch: tuple[str, ...] = ()
    python: str = "python3"
    setup: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedArray:
    """Collectors that are the tasks of one array.

    Attributes:
        first: number of the first, in the run.
        count: how many.
        environment: variables of these alone.
    """

    first: int
    count: int
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """What its collectors are called."""
        return tuple(f"collector-{self.first + i}" for i in range(self.count))


@dataclass(frozen=True)
class SlurmPlan:
    """A run whose roles are jobs of Slurm.

    Attributes:
        config: of the run, with the counts of its roles and where its servers listen.
        processes: of the job of the servers: memory, learner, evaluators.
        servers: what that job asks for.
        arrays: of collectors.
        collectors: what each of them asks for.
        at_once: collectors of an array that run at the same time; 0 for all.
        checkpoint_s: seconds before its time limit at which a job begins to end.
        at_time_limit: "end" or "requeue".
    """

    config: Config
    processes: tuple[PlannedProcess, ...]
    servers: JobSettings
    arrays: tuple[PlannedArray, ...]
    collectors: JobSettings
    at_once: int = 0
    checkpoint_s: int = 120
    at_time_limit: AtTimeLimit = "end"

    def with_array(self, count: int) -> SlurmPlan:
        """Give the plan with another array, of variables as the last has."""
        last = self.arrays[-1]
        return replace(
            self,
            arrays=(*self.arrays, PlannedArray(last.first + last.count, count, last.environment)),
        )


def plan_slurm(cluster: Cluster, config: Config, *, source: Path) -> SlurmPlan:
    """Work out which jobs a run consists of.

    Args:
        cluster: as a user wrote it; of hosts that it names their number alone counts.
        config: of the run.
        source: the cluster's file, for messages.

    Raises:
        ConfigError: for a value that no batch file can hold, or that would not work.
    """
    slurm = cluster.slurm
    if config.security.keys:
        raise ConfigError(
            f'{source}: the configuration has security.keys = "{config.security.keys}", and a run '
            f"of Slurm makes keys of its own in its folder. Leave it out."
        )
    arrays = tuple(_arrays(cluster.collectors, source))
    if not arrays:
        raise ConfigError(
            f"{source}: there is no collector, so that there is nothing to learn from. Add "
            f"[[collectors]] with count = 16, for an array of so many."
        )
    evaluators = [
        environment
        for place, section in enumerate(cluster.evaluators)
        for environment in [section.environment]
        * count_clients(section, parameter=f"{source}: evaluators[{place}]")
    ]
    plan = SlurmPlan(
        config=_prepared(config, cluster, arrays, len(evaluators)),
        processes=(
            PlannedProcess("memory", "memory", cluster.memory.environment),
            PlannedProcess("learner", "learner", cluster.learner.environment),
            *(
                PlannedProcess("evaluator", f"evaluator-{number}", environment)
                for number, environment in enumerate(evaluators)
            ),
        ),
        servers=_settings(slurm, slurm.servers, cluster.defaults),
        arrays=arrays,
        collectors=_settings(slurm, slurm.collectors, cluster.defaults),
        at_once=slurm.at_once,
        checkpoint_s=slurm.checkpoint_s,
        at_time_limit=slurm.at_time_limit,
    )
    for name, settings in (("servers", plan.servers), ("collectors", plan.collectors)):
        _check(settings, f"{source}: slurm.{name}", plan)
    for process in plan.processes:
        _check_variables(process.environment, f"{source}: the environment of the {process.role}")
    for array in plan.arrays:
        _check_variables(array.environment, f"{source}: the environment of collectors")
    return plan


def unused_keys(cluster: Cluster) -> list[str]:
    """Say which keys of a file mean nothing to Slurm, a sentence each; they are for ssh."""
    sentences = []
    hosts = [
        f"{role}.host" for role in ("memory", "learner") if getattr(cluster, role).host
    ]  # fmt: skip
    clients = [
        f"{role}.hosts" for role in ("collectors", "evaluators")
        if any(section.hosts for section in getattr(cluster, role))
    ]  # fmt: skip
    if hosts or clients:
        counted = f"; of {' and '.join(clients)} it counts how many processes" if clients else ""
        sentences.append(
            f"Slurm chooses the nodes: {', '.join(hosts + clients)} name none{counted}."
        )
    if cluster.hosts:
        sentences.append(
            "[[hosts]] is not used: python, setup and environment of jobs are in [slurm.servers] "
            "and [slurm.collectors], where they differ from [defaults]."
        )
    if cluster.defaults.directory != HostDefaults().directory:
        sentences.append(
            "defaults.directory is not used: the run's folder here is that of all jobs."
        )
    if cluster.defaults.sync:
        sentences.append("defaults.sync is not used: nothing is copied on a shared file system.")
    return sentences


def time_limit_s(time: str) -> int | None:
    """Read a time limit as sbatch takes it: ``90``, ``1:30:00``, ``2-12``, ``2-12:30``.

    Returns:
        Seconds, or None where it is no such limit.
    """
    match = _TIME.fullmatch(time)
    if match is None:
        return None
    parts = [int(part) for part in match["rest"].split(":")]
    if match["days"] is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
        return ((int(match["days"]) * 24 + hours) * 60 + minutes) * 60 + seconds
    if len(parts) == 1:
        return parts[0] * 60
    hours, minutes, seconds = parts if len(parts) == len("hms") else (0, *parts)
    return (hours * 60 + minutes) * 60 + seconds


def _settings(slurm: SlurmSection, own: SlurmJobSection, defaults: HostDefaults) -> JobSettings:
    return JobSettings(
        partition=_first(own.partition, slurm.partition),
        account=_first(own.account, slurm.account),
        qos=_first(own.qos, slurm.qos),
        time=_first(own.time, slurm.time),
        cpus=_first(own.cpus, slurm.cpus),
        memory=_first(own.memory, slurm.memory),
        gres=_first(own.gres, slurm.gres),
        sbatch=(*slurm.sbatch, *own.sbatch),
        python=_first(own.python, defaults.python),
        setup=_first(own.setup, defaults.setup),
        environment={**defaults.environment, **own.environment},
    )


def _first(own: ValueT | None, default: ValueT) -> ValueT:
    return default if own is None else own


def _arrays(sections: Sequence[ClientsSection], source: Path) -> Iterator[PlannedArray]:
    first = 0
    for place, section in enumerate(sections):
        count = count_clients(section, parameter=f"{source}: collectors[{place}]")
        yield PlannedArray(first, count, section.environment)
        first += count


def _prepared(
    config: Config, cluster: Cluster, arrays: Sequence[PlannedArray], evaluators: int
) -> Config:
    def bind(port: int) -> str:
        return f"tcp://0.0.0.0:{max(port, 0)}"  # a node may have several runs, or others' jobs

    return msgspec.structs.replace(
        config,
        memory=msgspec.structs.replace(config.memory, bind=bind(cluster.memory.port)),
        learner=msgspec.structs.replace(config.learner, bind=bind(cluster.learner.port)),
        launch=msgspec.structs.replace(
            config.launch, collectors=sum(array.count for array in arrays), evaluators=evaluators
        ),
    )


def _check(settings: JobSettings, parameter: str, plan: SlurmPlan) -> None:
    """Refuse what would say something else in a batch file than it was meant to.

    Raises:
        ConfigError: naming the key.
    """
    for name in ("partition", "account", "qos", "time", "memory", "gres"):
        _check_line(getattr(settings, name), f"{parameter}.{name}")
    for option in settings.sbatch:
        _check_option(option, f"{parameter}.sbatch")
    _check_variables(settings.environment, f"{parameter}.environment")
    limit_s = time_limit_s(settings.time)
    if settings.time and limit_s is None:
        raise ConfigError(
            f'{parameter}.time is "{settings.time}", which is no time limit: write minutes, '
            f"HOURS:MINUTES:SECONDS, DAYS-HOURS or DAYS-HOURS:MINUTES:SECONDS."
        )
    if limit_s is not None and limit_s <= plan.checkpoint_s + _EARLY_S:
        raise ConfigError(
            f'{parameter}.time is "{settings.time}", {limit_s} s, and slurm.checkpoint_s is '
            f"{plan.checkpoint_s}: the job would be told to end before it has begun, as Slurm may "
            f"be {_EARLY_S} s early. Give more time, or a smaller slurm.checkpoint_s."
        )


def _check_option(option: str, parameter: str) -> None:
    _check_line(option, parameter)
    match = _OPTION.fullmatch(option)
    if match is None:
        raise ConfigError(
            f'{parameter} has "{option}", which is no option of sbatch. Write one in each text, as '
            f"it would stand behind #SBATCH, such as --constraint=skylake."
        )
    name = match[1] if option.startswith("--") else match[1][0]
    if name in _KEYS:
        raise ConfigError(f'{parameter} has "{option}". Give it as the key {_KEYS[name]}.')
    if name in _OWN:
        raise ConfigError(
            f'{parameter} has "{option}", which zdqn sets itself: by it a run is found, ended and '
            f"gone on with. Leave it out."
        )


def _check_line(text: str, parameter: str) -> None:
    if not text.isprintable():
        raise ConfigError(
            f"{parameter} is {text!r}: a line of a batch file holds no end of a line, and nothing "
            f"that cannot be printed. Write it on one line."
        )


def _check_variables(environment: Mapping[str, str], parameter: str) -> None:
    for name in environment:
        if not _VARIABLE.fullmatch(name):
            raise ConfigError(
                f"{parameter} has {name!r}, which no shell takes for a variable: letters, digits "
                f"and _, and no digit first."
            )
