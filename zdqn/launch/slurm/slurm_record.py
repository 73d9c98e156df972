"""What a submission leaves in its run's folder, for the jobs and for whoever asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from zdqn.errors import MismatchError
from zdqn.launch.private_records import read_private_record, write_private_record
from zdqn.launch.slurm.batch_files import SERVERS, RunPlace
from zdqn.launch.slurm.slurm_plan import SlurmPlan

_NAME = "slurm.json"


@dataclass(frozen=True)
class SlurmRecord:
    """A run of Slurm, as it was submitted.

    Attributes:
        plan: of the run.
        started_in: folder in which its jobs begin.
        secure: whether it has keys.
        log_level: of all roles.
        jobs: name of a batch file to the number of its job.
    """

    plan: SlurmPlan
    started_in: Path
    secure: bool = True
    log_level: str = "info"
    jobs: Mapping[str, str] = field(default_factory=dict)

    def place(self, directory: Path) -> RunPlace:
        """Give where the run is."""
        return RunPlace(directory, self.started_in)

    def with_job(self, name: str, job: str) -> SlurmRecord:
        """Give the record with a job that was submitted."""
        return replace(self, jobs={**self.jobs, name: job})

    @property
    def servers_job(self) -> str:
        """Number of the job of the servers; "" before it is submitted."""
        return self.jobs.get(SERVERS, "")


def record_file(directory: Path) -> Path:
    """Give where a record is."""
    return directory / _NAME


def is_slurm(directory: Path) -> bool:
    """Whether a folder is that of a run of Slurm."""
    return record_file(directory).exists()


def write_slurm_record(directory: Path, record: SlurmRecord) -> None:
    """Write it for its owner alone: variables of roles may be secrets.

    Raises:
        FileError: when it cannot be written.
    """
    write_private_record(record_file(directory), record)


def read_slurm_record(directory: Path) -> SlurmRecord:
    """Read it.

    Raises:
        FileError: when it is not there, or cannot be read.
        MismatchError: when another version of zdqn has written it.
        NotAllowedError: when others could have changed it.
    """
    path = record_file(directory)
    missing = (
        f"{directory} is no run of `zdqn launch --slurm`: it has no {_NAME}. Give the folder that "
        f"it printed."
    )
    try:
        return read_private_record(path, SlurmRecord, missing=missing)
    except msgspec.MsgspecError as error:
        raise MismatchError(
            f"Cannot read {path}: {error}. It was written by another version of zdqn: have the "
            f"same one where you submit and in the jobs (python in the cluster's file)."
        ) from error
