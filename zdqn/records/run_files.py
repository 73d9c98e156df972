"""What the files of a run are called, and which folder they are in."""

from __future__ import annotations

import itertools
import json
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zdqn.errors import FileError, what_went_wrong


@dataclass(frozen=True)
class RunFiles:
    """What the files of a run are called.

    Attributes:
        path: the run's folder; it need not be there.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.toml"

    @property
    def metrics(self) -> Path:
        """A JSON object a line; see `zdqn.wire.status.MetricsRow`."""
        return self.path / "metrics.jsonl"

    @property
    def metrics_csv(self) -> Path:
        """The same as columns, where ``sinks.csv`` wants it."""
        return self.path / "metrics.csv"

    def event_files(self) -> list[Path]:
        """List what ``sinks.tensorboard`` has written: a file for each start of the learner."""
        return sorted(self.path.glob("events.out.tfevents.*"))

    @property
    def evaluations(self) -> Path:
        """A row for each evaluation, with `EVALUATION_COLUMNS`."""
        return self.path / "evaluations.csv"

    @property
    def summary(self) -> Path:
        """How it ended, as a JSON object."""
        return self.path / "summary.json"

    @property
    def learning_curve(self) -> Path:
        """The picture that is drawn at the end."""
        return self.path / "learning_curve.png"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints from which training can go on."""
        return self.path / "checkpoints"

    @property
    def replay(self) -> Path:
        """The folder of a memory's replay, where that is kept on disk."""
        return self.path / "replay"

    @property
    def best(self) -> Path:
        """The network with the best evaluation."""
        return self.path / "best.pt"

    @property
    def identity(self) -> Path:
        """What tells this run from every other."""
        return self.path / "run_id"

    @property
    def learner_epoch(self) -> Path:
        """How often the run's learner was started."""
        return self.path / "learner_epoch"

    @property
    def endpoints(self) -> Path:
        """The addresses of the run's servers."""
        return self.path / "endpoints.json"

    @property
    def lock(self) -> Path:
        """Held by the process that writes the run's files."""
        return self.path / ".run.lock"

    @property
    def launch_lock(self) -> Path:
        """Held by the ``zdqn run`` that started that process, and the others."""
        return self.path / ".launch.lock"

    @property
    def logs(self) -> Path:
        """The folder of the processes' logs."""
        return self.path / "logs"

    def count_metrics_bytes(self) -> int:
        """Say how long ``metrics.jsonl`` is; 0 if it is not there."""
        try:
            return self.metrics.stat().st_size
        except OSError:
            return 0

    def log_of(self, process: str) -> Path:
        """Give the log of a process, such as ``collector-0``."""
        return self.logs / f"{process}.log"

    def results(self) -> list[Path]:
        """List what makes the folder one that holds a run: what its training has left there.

        It is there from when training begins. Addresses, logs and the count of starts alone are
        no run: a server that is up, or a start that was refused, has left them.
        """
        files = (
            self.config, self.metrics, self.metrics_csv, self.evaluations, self.summary,
            self.learning_curve, self.best,
        )  # fmt: skip
        there = [path for path in files if path.exists()]
        return [*there, *self.event_files(), *sorted(self.checkpoints.glob("update-*.pt"))]


_MOST_BYTES = 16 * 2**20
"""That a file of a run may have which is read as a whole, with room to spare."""


def is_plain(path: Path, most_bytes: int = _MOST_BYTES) -> bool:
    """Whether a file can be read as a whole: a folder may be somebody else's.

    A pipe would be waited for, for ever, and a device may have no end.

    Args:
        path: of the file.
        most_bytes: that it may have.

    Raises:
        OSError: when it is not there.
    """
    found = path.stat()
    return stat.S_ISREG(found.st_mode) and found.st_size <= most_bytes


def read_summary(run_directory: Path) -> dict[str, Any]:
    """Read the ``summary.json`` that the last start of a run has left.

    Returns:
        Its values; empty when that start goes on, was killed, or was stopped before there was
        anything to sum up: that of an earlier one may be there.

    Raises:
        FileError: when it cannot be read.
    """
    files = RunFiles(run_directory)
    path = files.summary
    try:
        if not is_plain(path):
            raise ValueError(f"it is no plain file of at most {_MOST_BYTES:,} bytes")
        summary = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(summary, dict):
            raise ValueError("it holds no JSON object")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"Cannot read {path}: {what_went_wrong(error)}.") from error
    return {} if _is_of_an_earlier_start(summary, files) else summary


def _is_of_an_earlier_start(summary: Mapping[str, Any], files: RunFiles) -> bool:
    """Whether rows of metrics have come since a summary was written, which is what comes last.

    It says itself how many bytes there were: clocks of several hosts, and copies, tell no order.
    """
    written = summary.get("metrics_bytes")
    return isinstance(written, int) and files.count_metrics_bytes() > written


def has_ended(run_directory: Path) -> bool:
    """Whether the last start of a run has left a summary, even one that cannot be read."""
    try:
        return bool(read_summary(run_directory))
    except FileError:
        return True


# --- which folder -------------------------------------------------------------------------------


def make_run_directory(parent: str | Path, stem: str) -> Path:
    """Make a new folder, named by the time and by the configuration it belongs to.

    Args:
        parent: where; made if it is missing.
        stem: what it is about, such as the configuration's file name without its ending.

    Returns:
        The folder, which no other call returns.

    Raises:
        FileError: when it cannot be made.
    """
    name = time.strftime("%Y-%m-%d-%H%M%S-") + (re.sub(r"[^\w.-]+", "-", stem) or "run")
    for number in itertools.count(1):
        directory = Path(parent) / (name if number == 1 else f"{name}-{number}")
        try:
            directory.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise _cannot_make(directory, error) from error
        return directory
    raise AssertionError("unreachable")


def open_run_directory(directory: Path) -> Path:
    """Make a folder that was named, if it is missing.

    Raises:
        FileError: when it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_make(directory, error) from error
    return directory


@contextmanager
def chosen_run_directory(
    given: Path | None, resume: Path | None, *, parent: str | Path, stem: str
) -> Iterator[Path]:
    """Choose the folder of a run: the one named, the one gone on with, or else a new one.

    One that is named is made when the run begins. A new one is made here, and is no more when it is
    left with nothing in it, such as after a start that was refused.

    Args:
        given: by the user, or None.
        resume: run directory to go on from, or None; it must hold a checkpoint.
        parent: where a new folder goes.
        stem: what a new folder is called after.

    Yields:
        The folder.

    Raises:
        FileError: when it cannot be made, or there is nothing to go on from.
    """
    if resume is not None:
        check_resumable(resume)
    named = given or resume
    directory = named or make_run_directory(parent, stem)
    try:
        yield directory
    finally:
        if named is None:
            with suppress(OSError):  # there is something in it
                directory.rmdir()


def check_resumable(resume: Path) -> None:
    """Refuse to go on with what is no run, or with one that has saved no checkpoint yet.

    Raises:
        FileError: when there is nothing to go on from.
    """
    checkpoints = RunFiles(resume).checkpoints
    if not any(checkpoints.glob("*.pt")):
        raise FileError(
            f"--resume is {resume}, which is no run directory with a checkpoint ({checkpoints} "
            f"holds none). Give the folder of a run that saved one, or leave --resume out to start "
            f"anew (with --overwrite, where a run has begun)."
        )


def _cannot_make(directory: Path, error: OSError) -> FileError:
    return FileError(
        f"Cannot make the run directory {directory}: {error.strerror}. Give another --run-dir, or "
        f"set run.directory."
    )
