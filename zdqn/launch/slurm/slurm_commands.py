"""What Slurm is asked, with its own commands: to submit, to list, to cancel, to queue again."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from zdqn.errors import ConfigError, FileError, PeerUnavailableError

_ANSWER_S = 60.0
_SEPARATOR = "|"
_FIELDS = "%i|%F|%K|%T|%N|%M|%r"
_JOB = re.compile(r"(\d+)(?:;.*)?")
_UNREACHABLE = re.compile(r"unable to contact slurm controller|connection refused|timed out", re.I)


class QueuedJob(NamedTuple):
    """A job, or a task of an array, that Slurm has not ended.

    Attributes:
        job: its number; of a task ``ARRAY_TASK``.
        array: number of the whole array, or of the job.
        task: number of the task; "" for a job that is none.
        state: such as ``PENDING`` or ``RUNNING``.
        node: that it is on; "" if it is on none.
        time: that it has run, as Slurm writes it.
        reason: why it waits; ``None`` as Slurm writes it where there is nothing to say.
    """

    job: str
    array: str
    task: str
    state: str
    node: str
    time: str
    reason: str


def submit(path: Path, *, after: str = "") -> str:
    """Submit a batch file.

    Args:
        path: of the file.
        after: number of a job that has to begin first.

    Returns:
        The number of the job.

    Raises:
        ConfigError: when Slurm refuses it; it is quoted.
        PeerUnavailableError: when Slurm does not answer.
        FileError: when there is no sbatch here.
    """
    dependency = [f"--dependency=after:{after}"] if after else []
    said = ask(["sbatch", "--parsable", *dependency, str(path)])
    match = _JOB.fullmatch(said.strip().rpartition("\n")[2])
    if match is None:
        raise ConfigError(
            f'sbatch took {path} and printed "{said.strip()}", in which no number of a job stands '
            f"alone on the last line. See `squeue`, and cancel what was submitted."
        )
    return match[1]


def judge(text: str) -> str:
    """Have Slurm judge a batch file, without submitting it; gives what it says.

    Raises: as `submit` does.
    """
    done = _run(["sbatch", "--test-only"], given=text)
    return done.stderr.strip()


def queued_jobs() -> list[QueuedJob]:
    """List this user's jobs that have not ended, each task of an array for itself.

    Raises:
        PeerUnavailableError: when Slurm does not answer.
        FileError: when there is no squeue here.
    """
    said = ask(["squeue", "--noheader", "--array", f"--user={os.geteuid()}", "-o", _FIELDS])
    return [_read(line) for line in said.splitlines() if line.strip()]


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs; those that have ended already are no mistake.

    Raises: as `queued_jobs` does.
    """
    if jobs:
        ask(["scancel", *jobs])


def requeue(job: str) -> None:
    """End a job that runs, and have it wait in the queue again.

    Raises:
        ConfigError: when Slurm does not do so; it is quoted.
        PeerUnavailableError: when it does not answer.
        FileError: when there is no scontrol here.
    """
    ask(["scontrol", "requeue", job])


def partitions() -> list[str]:
    """Name the partitions that there are.

    Raises: as `queued_jobs` does.
    """
    return ask(["sinfo", "--noheader", "-o", "%R"]).split()


def of_run(jobs: Iterable[QueuedJob], numbers: Iterable[str]) -> list[QueuedJob]:
    """Keep the jobs of a run, whose numbers are given."""
    known = set(numbers)
    return [job for job in jobs if job.array in known]


def _read(line: str) -> QueuedJob:
    job, array, task, state, node, time, reason = line.split(_SEPARATOR, 6)
    return QueuedJob(job, array, "" if task == "N/A" else task, state, node, time, reason)


def ask(argv: Sequence[str]) -> str:
    """Run a command of Slurm; gives what it prints.

    Raises: as `submit` does.
    """
    return _run(argv).stdout


def _run(argv: Sequence[str], given: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(  # noqa: S603 - a command of Slurm's, and no shell
            argv,
            input=given,
            stdin=None if given is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise FileError(
            f"There is no {argv[0]} on PATH, so that this machine is none from which jobs of Slurm "
            f"are submitted. Log in to one that is, or load its module."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise PeerUnavailableError(
            f"{argv[0]} has not answered within {_ANSWER_S:.0f} s. Try again when Slurm's "
            f"controller does (`scontrol ping`)."
        ) from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}, and not a word"
        if _UNREACHABLE.search(said):
            raise PeerUnavailableError(
                f"{argv[0]}: {said}. Slurm's controller does not answer: see `scontrol ping`."
            )
        raise ConfigError(
            f"{argv[0]} refuses: {said}. It was: {' '.join(argv)}. The keys of [slurm] say what is "
            f"asked for."
        )
    return done
