"""Changing a run that was launched from another terminal, whoever keeps it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from zdqn.errors import UsageError
from zdqn.launch import keepers
from zdqn.launch.cluster.cluster_record import is_cluster
from zdqn.launch.cluster.order_box import OrderBox

_ORDER_S = 180.0
"""Seconds that a launcher may take: a host that is added is connected to first."""


def change_run(directory: Path, kind: str, what: str, say: Callable[[str], None]) -> str:
    """Restart a role of a run, add to it, or remove a host.

    Args:
        directory: of the run on this machine.
        kind: "restart", "add" or "remove".
        what: a role's name, ``collectors=8@host5``, or a host.
        say: told what a person should know meanwhile.

    Returns:
        What was done.

    Raises:
        ZdqnError: why it cannot be done.
    """
    if not (is_cluster(directory) or keepers.is_kept(directory)):
        raise UsageError(
            f"{directory} is no run of `zdqn launch`. Give the folder that it printed; what `zdqn "
            f"run` started is restarted by itself, as far as it can be."
        )
    if not keepers.is_kept(directory):
        return OrderBox(directory).post({"order": kind, "what": what}, _ORDER_S)
    with keepers.visit(directory, say) as visit:
        actions = {"restart": visit.restart, "add": visit.add, "remove": visit.remove}
        return actions[kind](what)
