"""Runs that go on without whoever started them, looked at over ssh, or through Slurm."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from zdqn.launch.cluster.cluster_record import Ends, is_cluster, read_record
from zdqn.launch.cluster.visits import Visit
from zdqn.launch.slurm.slurm_record import is_slurm
from zdqn.launch.slurm.slurm_visit import SlurmVisit


class KeptRun(Protocol):
    """A look at a run, from another terminal than the one that started it."""

    def log_names(self) -> list[str]:
        """Name the logs that there are."""

    def main_logs(self) -> list[str]:
        """Name those in which each line stands once."""

    def read_log(self, name: str, begin: int, tail: int) -> dict[str, Any]:
        """Read what has come to a log; see `zdqn.launch.cluster.rotated_log`."""

    def restart(self, name: str) -> str:
        """Have something of the run end and begin again; say so."""

    def add(self, text: str) -> str:
        """Start more clients; say so."""

    def remove(self, host: str) -> str:
        """Take a host out of the run; say so."""

    def end_agents(self) -> str:
        """End all of a run whose servers do not answer; say so."""

    def wait_for_the_end(self, timeout_s: float) -> bool:
        """Wait until nothing of the run goes on; whether that came to be."""

    def living(self) -> list[str]:
        """Name what goes on."""

    def ends(self) -> Ends:
        """Give how each ended that has."""

    def collect(self) -> None:
        """Copy the files of the run here, where they are not."""


def is_kept(directory: Path) -> bool:
    """Whether a run was launched with ``--detach``, or is one of Slurm."""
    return is_slurm(directory) or (is_cluster(directory) and read_record(directory).detached)


def recorded_ends(directory: Path) -> Ends | None:
    """Give how a run ended that its hosts kept, without asking them; None if that was not seen yet.

    A run of Slurm is None always: its jobs are asked for here.
    """
    return None if is_slurm(directory) else read_record(directory).ends


def visit(directory: Path, say: Callable[[str], None]) -> AbstractContextManager[KeptRun]:
    """Look at a run that is kept.

    Args:
        directory: of the run here.
        say: told what a person should know.

    Raises:
        ZdqnError: when it cannot be looked at.
    """
    return SlurmVisit(directory, say) if is_slurm(directory) else Visit(directory, say)
