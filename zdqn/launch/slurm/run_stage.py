"""How far a run of Slurm is: left in its folder by the job of the servers, for all other jobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from zdqn.errors import FileError, what_went_wrong
from zdqn.wire.keys.private_files import replace_private

StageName = Literal["submitted", "running", "suspended", "ended", "failed"]


@dataclass(frozen=True)
class RunStage:
    """How far a run is.

    Attributes:
        name: "suspended" is a run that goes on when its job of the servers is started again.
        start: number of the newest start of that job; 0 before the first.
        why: it is so; may be "".
        node: that this start is, or was, on.
        exit_code: of the servers, where the run has ended or failed.
    """

    name: StageName = "submitted"
    start: int = 0
    why: str = ""
    node: str = ""
    exit_code: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing of the run is to go on."""
        return self.name in ("ended", "failed")


def stage_file(directory: Path) -> Path:
    """Give where the stage of a run is kept."""
    return directory / "slurm" / "stage.json"


def read_stage(directory: Path) -> RunStage:
    """Read how far a run is.

    Raises:
        FileError: when it cannot be read.
    """
    path = stage_file(directory)
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunStage)
    except FileNotFoundError:
        return RunStage()
    except (OSError, msgspec.MsgspecError) as error:
        raise FileError(f"Cannot read {path}: {what_went_wrong(error)}.") from error


def write_stage(directory: Path, stage: RunStage) -> None:
    """Say how far a run is; a reader sees what was said before, or this.

    Raises:
        FileError: when it cannot be written.
    """
    path = stage_file(directory)
    try:
        replace_private(path, msgspec.json.encode(stage).decode() + "\n")
    except OSError as error:
        raise FileError(f"Cannot write {path}: {error.strerror}.") from error
