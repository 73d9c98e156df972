"""What a cluster's file means on Kubernetes, as plain data, and what of it cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from zdqn.config import Config
from zdqn.config.cluster_sections import ClientsSection, Cluster, HostDefaults, SshSection
from zdqn.config.kubernetes_sections import (
    ClientPodsSection,
    KubernetesSection,
    PodsSection,
    StoringPodsSection,
)
from zdqn.errors import ConfigError
from zdqn.launch.cluster.cluster_plan import DEFAULT_PORTS
from zdqn.launch.cluster.host_ranges import count_clients

_ANY_HOST = "0.0.0.0"  # noqa: S104 - with keys, or with --insecure
_STORAGE = "10Gi"
_MOST_NAME = 40
_CHOSEN_REPLICAS = {"collector": 2, "evaluator": 1}


@dataclass(frozen=True)
class ServerPod:
    """The pod of a memory or learner.

    Attributes:
        role: which one.
        port: that it answers on; it takes the one below too.
        pods: what it gets.
        environment: variables of it.
        storage: size of its volume; "" for none.
    """

    role: str
    port: int
    pods: StoringPodsSection
    environment: Mapping[str, str]
    storage: str

    @property
    def component(self) -> str:
        """What it is called among the run's objects."""
        return self.role


@dataclass(frozen=True)
class ClientPods:
    """Pods of collectors or evaluators that are alike.

    Attributes:
        role: which one.
        component: what they are called among the run's objects.
        replicas: how many at first.
        pods: what each gets.
        environment: variables of them.
    """

    role: str
    component: str
    replicas: int
    pods: PodsSection
    environment: Mapping[str, str]


@dataclass(frozen=True)
class KubernetesPlan:
    """A run on Kubernetes.

    Attributes:
        name: what its objects are called.
        config: of the run, with the counts of its roles and where its servers listen.
        kubernetes: what the file says of image, namespace and so on.
        memory: its pod.
        learner: its pod.
        clients: the pods of collectors and evaluators.
        unused: of the file's keys those that say nothing here, each with why.
    """

    name: str
    config: Config
    kubernetes: KubernetesSection
    memory: ServerPod
    learner: ServerPod
    clients: tuple[ClientPods, ...]
    unused: tuple[str, ...]

    def named(self, component: str) -> str:
        """Give the name of an object of the run."""
        return f"{self.name}-{component}"

    def address_of(self, server: ServerPod) -> str:
        """Give the address at which the others reach a server: its Service has its name."""
        return f"tcp://{self.named(server.role)}:{server.port}"


def plan_kubernetes(cluster: Cluster, config: Config, *, source: Path) -> KubernetesPlan:
    """Work out which pods there are.

    Args:
        cluster: as a user wrote it.
        config: of the run.
        source: the cluster's file, for messages, and for a name.

    Raises:
        ConfigError: when something is missing, or has no meaning on Kubernetes.
    """
    _refuse_what_images_bring(cluster, source)
    _refuse_paths(config, source)
    kubernetes = cluster.kubernetes
    if not kubernetes.image:
        raise ConfigError(
            f'{source}: kubernetes.image is missing. Write [kubernetes] with image = "..."; '
            f"docs/deploy/Containerfile makes one."
        )
    keeps = config.replay.storage == "disk" or config.replay.snapshot_period_s > 0
    if not keeps and (kubernetes.memory.storage or kubernetes.memory.storage_class):
        raise ConfigError(
            f"{source}: kubernetes.memory has storage, but the configuration keeps no replay, so "
            f'that nothing would be in it. Set replay.storage = "disk" or '
            f"replay.snapshot_period_s, or leave storage and storage_class out."
        )
    clients = (
        *_clients("collector", cluster.collectors, kubernetes.collectors, cluster, source),
        *_clients("evaluator", cluster.evaluators, kubernetes.evaluators, cluster, source),
    )
    counts = {
        role: sum(pods.replicas for pods in clients if pods.role == role)
        for role in _CHOSEN_REPLICAS
    }
    memory = _server("memory", cluster, keeps=keeps, source=source)
    learner = _server("learner", cluster, keeps=True, source=source)
    return KubernetesPlan(
        name=kubernetes.name or _name_of(source),
        config=_as_in_pods(config, memory, learner, counts),
        kubernetes=kubernetes,
        memory=memory,
        learner=learner,
        clients=clients,
        unused=tuple(_unused(cluster)),
    )


def _as_in_pods(
    config: Config, memory: ServerPod, learner: ServerPod, counts: Mapping[str, int]
) -> Config:
    return msgspec.structs.replace(
        config,
        memory=msgspec.structs.replace(config.memory, bind=f"tcp://{_ANY_HOST}:{memory.port}"),
        learner=msgspec.structs.replace(config.learner, bind=f"tcp://{_ANY_HOST}:{learner.port}"),
        launch=msgspec.structs.replace(
            config.launch,
            collectors=max(counts["collector"], 1),  # they may be scaled up from none
            evaluators=counts["evaluator"],
        ),
    )


def _name_of(source: Path) -> str:
    """Make a name of a file's: small letters, digits and dashes, a letter first."""
    name = re.sub(r"[^a-z0-9]+", "-", source.stem.lower()).strip("-")
    name = name if name[:1].isalpha() else f"zdqn-{name}".strip("-")
    return name[:_MOST_NAME].rstrip("-")


def _server(role: str, cluster: Cluster, *, keeps: bool, source: Path) -> ServerPod:
    section = cluster.memory if role == "memory" else cluster.learner
    pods = cluster.kubernetes.memory if role == "memory" else cluster.kubernetes.learner
    if section.port == 0:
        raise ConfigError(
            f"{source}: {role}.port is 0, a port that is free when the {role} starts, and its "
            f"Service needs one that is known before. Name it, or leave it out for "
            f"{DEFAULT_PORTS[role]}."
        )
    return ServerPod(
        role=role,
        port=DEFAULT_PORTS[role] if section.port < 0 else section.port,
        pods=pods,
        environment={**cluster.defaults.environment, **section.environment},
        storage=(pods.storage or _STORAGE) if keeps else "",
    )


def _clients(
    role: str,
    sections: Sequence[ClientsSection],
    pods: ClientPodsSection,
    cluster: Cluster,
    source: Path,
) -> Iterator[ClientPods]:
    defaults = cluster.defaults.environment
    if not sections:
        chosen = _CHOSEN_REPLICAS[role] if pods.replicas < 0 else pods.replicas
        yield ClientPods(role, f"{role}s", chosen, pods, defaults)
    for place, section in enumerate(sections):
        wanted = count_clients(section, parameter=f"{source}: {role}s[{place}]")
        yield ClientPods(
            role=role,
            component=f"{role}s-{place + 1}" if place else f"{role}s",
            replicas=wanted if pods.replicas < 0 else pods.replicas,
            pods=pods,
            environment={**defaults, **section.environment},
        )


# --- what says nothing here -----------------------------------------------------------------------


def _refuse_what_images_bring(cluster: Cluster, source: Path) -> None:
    """Refuse what a role would compute something else without, and no pod can have."""
    given = {
        "defaults.setup": cluster.defaults.setup,
        "defaults.sync": cluster.defaults.sync,
    }
    for place, section in enumerate(cluster.hosts):
        for key in ("setup", "sync", "environment"):
            given[f"hosts[{place}].{key}"] = getattr(section, key) or ()
    for name, value in given.items():
        if value:
            raise ConfigError(
                f"{source}: {name} says what a host is to have, and on Kubernetes there are images "
                f"instead of hosts. Put its modules and files into the image (kubernetes.image), "
                f"and variables into `environment` of [defaults] or of a role; or keep a file for "
                f"each way to launch."
            )


def _refuse_paths(config: Config, source: Path) -> None:
    """Refuse folders of the configuration that would be elsewhere in a pod."""
    for name, value, instead in (
        ("replay.path", config.replay.path, "the replay is on a volume of its own"),
        ("security.keys", config.security.keys, "keys come from Secrets; see --keys"),
    ):
        if value:
            raise ConfigError(
                f'{source}: the configuration has {name} = "{value}", a folder that no pod has: '
                f"{instead}. Leave it out."
            )


def _unused(cluster: Cluster) -> Iterator[str]:
    """Name what the file says for hosts, and why it says nothing here."""
    hosts = [
        *(f"{role}.host" for role in ("memory", "learner") if getattr(cluster, role).host),
        *(["collectors.hosts"] if any(some.hosts for some in cluster.collectors) else []),
        *(["evaluators.hosts"] if any(some.hosts for some in cluster.evaluators) else []),
        *(["[[hosts]]"] if cluster.hosts else []),
    ]
    if hosts:
        names = ", ".join(hosts)
        yield f"{names}: Kubernetes chooses nodes; kubernetes.ROLE.node_selector limits it"
    usual = HostDefaults()
    for key in ("python", "directory"):
        if getattr(cluster.defaults, key) != getattr(usual, key):
            yield f"defaults.{key}: the image, and volumes, take its place"
    if cluster.ssh != SshSection():
        yield "[ssh]: nothing is started over ssh"
