"""Run directories, and the addresses that servers leave in them."""

from __future__ import annotations

import fcntl
import itertools
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path

from zdqn.errors import FileError, UsageError

ENDPOINTS = "endpoints.json"

Endpoints = dict[str, dict[str, str]]
"""Role to link to address, such as ``{"memory": {"samples": "tcp://127.0.0.1:5556"}}``."""


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


def choose_run_directory(
    given: Path | None, resume: Path | None, *, parent: str | Path, stem: str
) -> Path:
    """Choose the folder of a run: the one named, the one gone on with, or else a new one.

    Args:
        given: by the user, or None.
        resume: run directory to go on from, or None; it must hold a checkpoint.
        parent: where a new folder goes.
        stem: what a new folder is called after.

    Raises:
        FileError: when it cannot be made, or there is nothing to go on from.
    """
    if resume is not None and not any(resume.glob("checkpoints/*.pt")):  # before anything starts
        raise FileError(
            f"--resume is {resume}, which is no run directory with a checkpoint "
            f"({resume / 'checkpoints'} holds none). Give the folder of a run that saved one, or "
            f"leave --resume out to start anew."
        )
    if given is not None:
        return open_run_directory(given)
    return resume or make_run_directory(parent, stem)


def record_endpoints(run_directory: Path, role: str, endpoints: Mapping[str, str]) -> None:
    """Add a server's addresses to the run directory, for those who look for it there.

    Several processes may do so at once; a reader sees all of a change or nothing of it.

    Raises:
        FileError: when it cannot be written.
    """
    path = run_directory / ENDPOINTS
    try:
        with (run_directory / f".{ENDPOINTS}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = read_endpoints(run_directory) if path.exists() else {}
            temporary = run_directory / f".{ENDPOINTS}.new"
            temporary.write_text(json.dumps({**known, role: dict(endpoints)}, indent=2) + "\n")
            temporary.replace(path)
    except OSError as error:
        raise FileError(f"Cannot write {path}: {error.strerror}.") from error


def read_endpoints(run_directory: Path) -> Endpoints:
    """Read the addresses of a run's servers.

    Raises:
        FileError: when there are none, or they cannot be read.
    """
    path = run_directory / ENDPOINTS
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise FileError(
            f"{run_directory} has no {ENDPOINTS}, so no server of a run has started there. Give a "
            f"run directory that has one, or a server's address such as tcp://127.0.0.1:5558."
        ) from error
    except (OSError, ValueError) as error:
        raise FileError(f"Cannot read {path}: {error}.") from error
    if not isinstance(found, dict) or not all(isinstance(links, dict) for links in found.values()):
        raise FileError(f"{path} is not a map of roles to addresses. Start the run again.")
    return found


def newest_run_directory(parent: Path) -> Path:
    """Find the run whose servers have started last.

    Args:
        parent: the folder with run directories.

    Raises:
        UsageError: when there is none.
    """
    started = {path.stat().st_mtime: path.parent for path in parent.glob(f"*/{ENDPOINTS}")}
    if not started:
        raise UsageError(
            f"There is no run under {parent.resolve()}. Give a run directory, or a server's "
            f"address such as tcp://127.0.0.1:5558."
        )
    return started[max(started)]


def _cannot_make(directory: Path, error: OSError) -> FileError:
    return FileError(
        f"Cannot make the run directory {directory}: {error.strerror}. Give another --run-dir, or "
        f"set run.directory."
    )
