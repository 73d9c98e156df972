"""How ssh is called for the hosts of a plan, and the folder of the connections that it shares."""

from __future__ import annotations

import os
from pathlib import Path

from zdqn.errors import FileError
from zdqn.launch.cluster.cluster_plan import ClusterPlan
from zdqn.launch.cluster.ssh_commands import SshUse
from zdqn.wire.keys.private_files import make_private_folder

_LONGEST = 40
"""Bytes, with which ssh's names of 40 letters, and 17 more while it makes one, fit 104."""


def control_folder() -> Path:
    """Give the folder of the sockets through which calls of ssh share a connection.

    It has a short name, as the system wants of those of sockets.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and len(os.fsencode(runtime)) <= _LONGEST:
        return Path(runtime) / "zdqn"
    return Path("/tmp") / f"zdqn-{os.geteuid()}"  # noqa: S108 - made for its owner alone, or refused


def describe_use(plan: ClusterPlan) -> SshUse:
    """Give how ssh is called for the hosts of a plan; nothing is made."""
    return SshUse(plan.ssh, f"{control_folder()}/%C", plan.folder.absolute())


def use_for(plan: ClusterPlan, *, local: bool) -> SshUse | None:
    """Give how ssh is called, with what it needs; None where this machine plays every host.

    Raises:
        NotAllowedError: when another user could enter the folder of shared connections.
        FileError: when that cannot be made.
    """
    if local:
        return None
    folder = control_folder()
    try:
        make_private_folder(folder)
    except OSError as error:
        raise FileError(f"Cannot make {folder}: {error.strerror}.") from error
    return describe_use(plan)
