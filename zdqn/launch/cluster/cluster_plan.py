"""Which host runs what, as plain data: nothing here starts, or asks, anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from zdqn.config import Config
from zdqn.config.cluster_sections import (
    ClientsSection,
    Cluster,
    HostsSection,
    ServerSection,
    SshSection,
    SyncSection,
)
from zdqn.errors import ConfigError, UsageError, did_you_mean
from zdqn.launch.cluster.host_ranges import expand_hosts
from zdqn.launch.plan import PlannedProcess

DEFAULT_PORTS = {"memory": 5556, "learner": 5558}
_ANY_HOST = "0.0.0.0"  # noqa: S104 - with keys, or with --insecure
_LOOPBACK = "127.0.0.1"

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class PlannedHost:
    """A machine of the run, and how what runs there is set up.

    Attributes:
        name: what ssh calls it.
        address: where others reach a server there; "" for the host name that ssh connects to.
        python: that zdqn is installed in; may begin with ``~/``.
        directory: in which runs keep their files; relative to the home folder there.
        setup: lines of bash that run first.
        environment: variables of its roles.
        sync: what is copied there first.
    """

    name: str
    address: str = ""
    python: str = "python3"
    directory: str = "zdqn-runs"
    setup: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    sync: tuple[SyncSection, ...] = ()


@dataclass(frozen=True)
class ClusterPlan:
    """A run on several machines.

    Attributes:
        config: of the run, with the counts of its roles and where its servers listen.
        hosts: by name; those of the servers first.
        processes: of the run, servers first.
        ssh: how connections are made.
        folder: that relative paths of the cluster's file start from.
    """

    config: Config
    hosts: Mapping[str, PlannedHost]
    processes: tuple[PlannedProcess, ...]
    ssh: SshSection = field(default_factory=SshSection)
    folder: Path = Path()

    def on(self, host: str) -> list[PlannedProcess]:
        """Give the processes of a host."""
        return [process for process in self.processes if process.host == host]

    def host_of(self, role: str) -> PlannedHost:
        """Give the host of a server."""
        (host,) = (process.host for process in self.processes if process.role == role)
        return self.hosts[host]

    def port_of(self, role: str) -> int:
        """Give the port that a server answers on; 0 for a free one."""
        bind = self.config.memory.bind if role == "memory" else self.config.learner.bind
        return int(bind.rpartition(":")[2])

    def with_clients(self, host: PlannedHost, more: Sequence[PlannedProcess]) -> ClusterPlan:
        """Give the plan with more clients, on a host that may be new."""
        return replace(
            self,
            hosts={**self.hosts, host.name: host},
            processes=(*self.processes, *more),
        )

    def without(self, host: str) -> ClusterPlan:
        """Give the plan without a host that runs clients alone.

        Raises:
            UsageError: when there is no such host, or a server runs there.
        """
        if host not in self.hosts:
            raise UsageError(
                f'--remove is "{host}", on which nothing of this run is. '
                f"{did_you_mean(host, self.hosts, label='Hosts of it')}"
            )
        server = next((p.role for p in self.on(host) if p.role in DEFAULT_PORTS), "")
        if server:
            raise UsageError(
                f"--remove is {host}, which runs the {server}, and the run cannot go on without "
                f"it. End the run with `zdqn stop`."
            )
        hosts = {name: planned for name, planned in self.hosts.items() if name != host}
        return replace(
            self, hosts=hosts, processes=tuple(p for p in self.processes if p.host != host)
        )


def plan_cluster(cluster: Cluster, config: Config, *, source: Path) -> ClusterPlan:
    """Work out which host runs what.

    Args:
        cluster: as a user wrote it.
        config: of the run.
        source: the cluster's file, for messages.

    Raises:
        ConfigError: when a host or a role is missing, or stands where it cannot.
    """
    settings = _settings_of(cluster, source)
    processes = (
        _server("memory", cluster.memory, source),
        _server("learner", cluster.learner, source),
        *_clients("collector", cluster.collectors, source),
        *_clients("evaluator", cluster.evaluators, source),
    )
    counts = Counter(process.role for process in processes)
    if not counts["collector"]:
        raise ConfigError(
            f"{source}: no host runs a collector, so that there is nothing to learn from. Add "
            f'[[collectors]] with hosts = ["NAME"], and each = 2 for two on each of them.'
        )
    used = dict.fromkeys(process.host for process in processes)
    unused = [name for name in settings if name not in used]
    if unused:
        raise ConfigError(
            f'{source}: hosts names "{unused[0]}", on which nothing runs. '
            f"{did_you_mean(unused[0], used, label='Hosts that run something')}"
        )
    return ClusterPlan(
        config=_counted(_listening(config, cluster), counts),
        hosts={name: _planned(name, cluster, settings.get(name)) for name in used},
        processes=processes,
        ssh=cluster.ssh,
        folder=source.parent,
    )


def on_this_machine(plan: ClusterPlan, *, python: str, directory: Path) -> ClusterPlan:
    """Give the same run with every host played by this machine.

    Args:
        plan: of the run.
        python: of this process.
        directory: where runs keep their files here.
    """
    hosts = {
        name: replace(
            host, address=_LOOPBACK, python=python, directory=str(directory), setup=(), sync=()
        )
        for name, host in plan.hosts.items()
    }
    free = f"tcp://{_LOOPBACK}:0"
    return replace(plan, hosts=hosts, config=_bound(plan.config, free, free))


def plan_clients(
    role: str, count: int, host: str, *, taken: Iterable[str], environment: Mapping[str, str]
) -> list[PlannedProcess]:
    """Give more clients for a host, under names that are free.

    Args:
        role: "collector" or "evaluator".
        count: how many.
        host: where.
        taken: names of processes that are, or were, in the run.
        environment: variables of theirs.
    """
    known = set(taken)
    free = (name for name in _names(role, host) if name not in known)
    return [PlannedProcess(role, next(free), environment, host) for _ in range(count)]


def _names(role: str, host: str) -> Iterator[str]:
    number = 0
    while True:
        yield f"{role}-{number}@{host}"
        number += 1


def _settings_of(cluster: Cluster, source: Path) -> dict[str, HostsSection]:
    settings: dict[str, HostsSection] = {}
    for place, section in enumerate(cluster.hosts):
        parameter = f"{source}: hosts[{place}].names"
        for name in expand_hosts(section.names, parameter=parameter):
            if name in settings:
                raise ConfigError(f'{parameter} has "{name}", which an earlier [[hosts]] has too.')
            settings[name] = section
    return settings


def _planned(name: str, cluster: Cluster, own: HostsSection | None) -> PlannedHost:
    defaults = cluster.defaults
    if own is None:
        own = HostsSection(names=(name,))
    return PlannedHost(
        name=name,
        address=own.address,
        python=_first(own.python, defaults.python),
        directory=_first(own.directory, defaults.directory),
        setup=_first(own.setup, defaults.setup),
        environment={**defaults.environment, **own.environment},
        sync=_first(own.sync, defaults.sync),
    )


def _first(own: ValueT | None, default: ValueT) -> ValueT:
    return default if own is None else own


def _server(role: str, section: ServerSection, source: Path) -> PlannedProcess:
    if not section.host:
        raise ConfigError(
            f"{source}: {role}.host is missing, the host that runs the {role}. Write [{role}] with "
            f'host = "NAME", as ssh calls it.'
        )
    hosts = expand_hosts([section.host], parameter=f"{source}: {role}.host")
    if len(hosts) > 1:
        raise ConfigError(
            f'{source}: {role}.host is "{section.host}", which names {len(hosts)} hosts. A run has '
            f"one {role}: name one."
        )
    return PlannedProcess(role, role, section.environment, hosts[0])


def _clients(
    role: str, sections: Sequence[ClientsSection], source: Path
) -> Iterator[PlannedProcess]:
    taken: set[str] = set()
    for place, section in enumerate(sections):
        parameter = f"{source}: {role}s[{place}]"
        if section.count or not section.hosts:
            raise ConfigError(
                f"{parameter} names no hosts, or a count besides them, and over ssh each process "
                f'needs one: give hosts = ["NAME"], and each for several on it; count is for '
                f"--slurm and --kubernetes."
            )
        for host in expand_hosts(section.hosts, parameter=f"{parameter}.hosts"):
            planned = plan_clients(
                role, section.each, host, taken=taken, environment=section.environment
            )
            taken.update(process.name for process in planned)
            yield from planned


def _listening(config: Config, cluster: Cluster) -> Config:
    sections = {"memory": cluster.memory, "learner": cluster.learner}
    ports = {role: DEFAULT_PORTS[role] if s.port < 0 else s.port for role, s in sections.items()}
    binds = {role: f"tcp://{_ANY_HOST}:{port}" for role, port in ports.items()}
    return _bound(config, binds["memory"], binds["learner"])


def _bound(config: Config, memory: str, learner: str) -> Config:
    return msgspec.structs.replace(
        config,
        memory=msgspec.structs.replace(config.memory, bind=memory),
        learner=msgspec.structs.replace(config.learner, bind=learner),
    )


def _counted(config: Config, counts: Mapping[str, int]) -> Config:
    launch = msgspec.structs.replace(
        config.launch, collectors=counts["collector"], evaluators=counts.get("evaluator", 0)
    )
    return msgspec.structs.replace(config, launch=launch)
