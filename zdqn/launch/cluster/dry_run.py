"""What a launch would run, as text."""

from __future__ import annotations

from collections.abc import Iterator

from zdqn.launch.cluster.cluster_plan import ClusterPlan, PlannedHost
from zdqn.launch.cluster.ssh_commands import (
    SshUse,
    agent_command,
    agent_script,
    as_text,
    rsync_argv,
    ssh_argv,
)


def describe_launch(plan: ClusterPlan, use: SshUse | None) -> list[str]:
    """Give the commands of a launch, host by host, each as it can be copied into a shell.

    Args:
        plan: of the run.
        use: how ssh is called; None where every host is played by this machine.
    """
    return [line for host in plan.hosts.values() for line in _describe(plan, host, use)]


def _describe(plan: ClusterPlan, host: PlannedHost, use: SshUse | None) -> Iterator[str]:
    yield f"# {host.name}: {', '.join(process.name for process in plan.on(host.name))}"
    if use is None:
        yield as_text(["sh", "-c", agent_script(host)])
        return
    for sync in host.sync:
        yield as_text(rsync_argv(use, host.name, sync))
    yield as_text(ssh_argv(use, host.name, agent_command(host)))
