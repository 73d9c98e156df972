"""What a file of `zdqn launch` holds: which host runs what, and how each is set up."""

from __future__ import annotations

from typing import Annotated, Any

from zdqn.config.kubernetes_sections import KubernetesSection
from zdqn.config.section import Section, key
from zdqn.config.slurm_sections import SlurmSection


class SyncSection(Section, frozen=True, kw_only=True):
    """Files that are copied to a host before it starts; nothing there is removed."""

    source: Annotated[str, key("File or folder here, beside the cluster's file if relative.")]
    target: Annotated[str, key("Folder there; relative to the home folder.")]
    exclude: Annotated[tuple[str, ...], key("Patterns of rsync that are left out.")] = ()


class HostDefaults(Section, frozen=True, kw_only=True):
    """How every host is set up, unless its own table says otherwise."""

    python: Annotated[str, key("Python that zdqn is installed in; `~/` is the home there.")] = (
        "python3"
    )
    directory: Annotated[
        str, key("Folder there in which runs keep their files; relative to the home folder.")
    ] = "zdqn-runs"
    setup: Annotated[
        tuple[str, ...],
        key("Lines that a login shell (bash) runs first, such as `module load cuda`."),
    ] = ()
    environment: Annotated[
        dict[str, str], key("Variables of the roles; they travel encrypted, on no command line.")
    ] = {}  # noqa: RUF012 - msgspec copies it
    sync: Annotated[tuple[SyncSection, ...], key("Files that are copied there first.")] = ()


class HostsSection(Section, frozen=True, kw_only=True):
    """Some hosts; what is given here stands for them instead of `[defaults]`."""

    names: Annotated[tuple[str, ...], key("What ssh calls them, with ranges such as `cpu[01-16]`.")]
    address: Annotated[
        str,
        key(
            "Where the other hosts reach a server there, a name or an IP address. Empty: the host "
            "name that ssh connects to."
        ),
    ] = ""
    python: Annotated[str | None, key("As in `[defaults]`.")] = None
    directory: Annotated[str | None, key("As in `[defaults]`.")] = None
    setup: Annotated[tuple[str, ...] | None, key("As in `[defaults]`.")] = None
    environment: Annotated[dict[str, str], key("Besides that of `[defaults]`.")] = {}  # noqa: RUF012
    sync: Annotated[tuple[SyncSection, ...] | None, key("As in `[defaults]`.")] = None


class ServerSection(Section, frozen=True, kw_only=True):
    """Where a server runs: the memory or the learner."""

    host: Annotated[str, key("The host that it runs on.")] = ""
    port: Annotated[
        int,
        key(
            "Port that it answers on, on every interface; it takes the one below too. 0 takes free "
            "ports. -1 chooses: 5556 for the memory, 5558 for the learner.",
            ge=-1,
            le=65535,
        ),
    ] = -1
    environment: Annotated[dict[str, str], key("Variables of this role alone.")] = {}  # noqa: RUF012


class ClientsSection(Section, frozen=True, kw_only=True):
    """Where clients run: collectors or evaluators."""

    hosts: Annotated[tuple[str, ...], key("Hosts, with ranges such as `cpu[01-16]`.")] = ()
    each: Annotated[int, key("Processes on each of these hosts.", ge=1, le=1024)] = 1
    count: Annotated[
        int,
        key(
            "Processes in all where no hosts are named: for Slurm and Kubernetes alone.",
            ge=0,
        ),
    ] = 0
    environment: Annotated[dict[str, str], key("Variables of these roles alone.")] = {}  # noqa: RUF012


class SshSection(Section, frozen=True, kw_only=True):
    """How ssh is used; what it does for a host otherwise is in the user's own configuration."""

    config: Annotated[
        str, key("Configuration file of ssh, instead of the user's; beside this file if relative.")
    ] = ""
    at_once: Annotated[int, key("Connections that are opened at the same time.", ge=1, le=100)] = 8
    timeout_s: Annotated[int, key("Seconds to wait for a connection.", ge=1, le=600)] = 10
    alive_s: Annotated[
        int,
        key(
            "Seconds of silence after which a connection is dead: roles there end, and are started "
            "again once the host can be reached.",
            ge=3,
            le=3600,
        ),
    ] = 30


class Cluster(Section, frozen=True, kw_only=True):
    """A run on several hosts, which are named, or which Slurm chooses.

    Raises:
        ConfigError: for a wrong value.
    """

    config: Annotated[
        str | dict[str, Any],
        key(
            "The run's configuration: a file, beside this one if relative; or its sections, as "
            "`[config.replay]`."
        ),
    ] = {}  # noqa: RUF012
    defaults: HostDefaults = HostDefaults()
    hosts: Annotated[tuple[HostsSection, ...], key("Hosts that differ from `[defaults]`.")] = ()
    ssh: SshSection = SshSection()
    slurm: SlurmSection = SlurmSection()
    memory: ServerSection = ServerSection()
    learner: ServerSection = ServerSection()
    collectors: Annotated[tuple[ClientsSection, ...], key("Where collectors run.")] = ()
    evaluators: Annotated[tuple[ClientsSection, ...], key("Where evaluators run.")] = ()
    kubernetes: KubernetesSection = KubernetesSection()
