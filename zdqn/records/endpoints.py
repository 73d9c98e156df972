"""The addresses that a run's servers leave in its folder, for those who look for them there."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path

from zdqn.errors import FileError, UsageError, what_went_wrong
from zdqn.records.replaced_files import replace_text
from zdqn.records.run_files import RunFiles
from zdqn.records.whole_lines import unwritable

Endpoints = dict[str, dict[str, str]]
"""Role to link to address, such as ``{"memory": {"samples": "tcp://127.0.0.1:5556"}}``."""


def record_endpoints(run_directory: Path, role: str, endpoints: Mapping[str, str]) -> None:
    """Add a server's addresses to the run directory, for those who look for it there.

    Several processes may do so at once; a reader sees all of a change or nothing of it.

    Raises:
        FileError: when it cannot be written.
    """
    path = RunFiles(run_directory).endpoints
    try:
        with (path.with_name(f".{path.name}.lock")).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = read_endpoints(run_directory) if path.exists() else {}
            replace_text(path, json.dumps({**known, role: dict(endpoints)}, indent=2) + "\n")
    except OSError as error:
        raise unwritable(path, error) from error


def read_endpoints(run_directory: Path) -> Endpoints:
    """Read the addresses of a run's servers.

    Raises:
        FileError: when there are none, or they cannot be read.
    """
    path = RunFiles(run_directory).endpoints
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise FileError(
            f"{run_directory} has no {path.name}, so no server of a run has started there. Give a "
            f"run directory that has one, or a server's address such as tcp://127.0.0.1:5558."
        ) from error
    except (OSError, ValueError) as error:
        raise FileError(f"Cannot read {path}: {what_went_wrong(error)}.") from error
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
    files = (RunFiles(folder).endpoints for folder in parent.glob("*"))
    started = {path.stat().st_mtime: path.parent for path in files if path.exists()}
    if not started:
        raise UsageError(
            f"There is no run under {parent.resolve()}. Give a run directory, or a server's "
            f"address such as tcp://127.0.0.1:5558."
        )
    return started[max(started)]
