"""What a launch leaves in its run's folder, for whoever asks for the run from another terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from zdqn.errors import FileError
from zdqn.launch.cluster.cluster_plan import ClusterPlan
from zdqn.launch.private_records import read_private_record, write_private_record

_NAME = "cluster.json"

Ends = Mapping[str, int | None]
"""Name of a process to the exit code with which it ended, minus the signal that ended it; None
where that is not known, as its host or agent was killed first."""


@dataclass(frozen=True)
class ClusterRecord:
    """A run on several hosts, as it was launched.

    Attributes:
        plan: of the run.
        run: what its folder is called on every host.
        secure: whether it has keys.
        local: whether every host is played by this machine.
        detached: whether its agents keep it, and no launcher.
        ends: how its processes ended, once nothing of it goes on and its files were copied here.
    """

    plan: ClusterPlan
    run: str
    secure: bool = True
    local: bool = False
    detached: bool = False
    ends: dict[str, int | None] | None = None


def is_cluster(directory: Path) -> bool:
    """Whether a folder is that of a run on several hosts, seen from where it was launched."""
    return (directory / _NAME).exists()


def own_keys_of(directory: Path) -> Path:
    """Give the folder of this machine's own keys of a run, an operator's."""
    return directory / "keys"


def write_record(directory: Path, record: ClusterRecord) -> None:
    """Write it for its owner alone: variables of roles may be secrets.

    Raises:
        FileError: when it cannot be written.
    """
    write_private_record(directory / _NAME, record)


def read_record(directory: Path) -> ClusterRecord:
    """Read it.

    Raises:
        FileError: when it is not there, or cannot be read.
        NotAllowedError: when others could have changed it.
    """
    path = directory / _NAME
    missing = (
        f"{directory} is no run of `zdqn launch`: it has no {_NAME}. Give the folder that it "
        f"printed."
    )
    try:
        return read_private_record(path, ClusterRecord, missing=missing)
    except msgspec.MsgspecError as error:
        raise FileError(f"Cannot read {path}: {error}.") from error
