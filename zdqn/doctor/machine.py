"""What this machine has to give: files, processors, memory and room on the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.doctor.findings import Finding, bad, good, odd
from zdqn.errors import ConfigError, FileError
from zdqn.launch.descriptors import raise_limit, shortages
from zdqn.launch.wording import counted
from zdqn.roles.building_replay import build_store
from zdqn.roles.free_memory import available_bytes

_FEW_FILES = 1_024
_FULL_BYTES, _LOW_BYTES = 50e6, 1e9
"""Room on a disk for a few checkpoints of small networks; and for weeks of them."""


def examine_files(config: Config | None) -> Iterator[Finding]:
    """Look at how many files a process may open."""
    limit = raise_limit()
    if config is not None:
        lacking = shortages(config.launch, limit)
        for text in lacking:
            yield odd("open files", text, "")
        if lacking:
            return
    if limit < _FEW_FILES:
        yield odd(
            "open files",
            f"a process may have {limit:,}: a server has 3 for each client",
            "Allow more: ulimit -n, as far as ulimit -Hn goes.",
        )
    else:
        yield good("open files", f"a process may have {limit:,}")


def examine_processors(config: Config | None) -> Finding:
    """Look at how many processors there are for the processes of a run."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = f"{cores} for this process"
    if config is None:
        return good("processors", text)
    launch = config.launch
    return good(
        "processors",
        f"{text}; zdqn run would start a memory, a learner, "
        f"{counted(launch.collectors, 'collector')} and {counted(launch.evaluators, 'evaluator')}",
    )


def examine_memory(config: Config | None, spec: EnvironmentSpec | None) -> Finding:
    """Look at the free memory, or the room for a replay on disk, against what the replay needs.

    Args:
        config: of the run; None: how much is free, alone.
        spec: of its environment; None if it could not be made.
    """
    free = available_bytes()
    if config is None or spec is None:
        return good("memory", f"{free / 1e9:.1f} GB free")
    where = "memory"
    if config.replay.storage == "disk":
        there = _nearest(Path(config.replay.path or config.run.directory))
        free, where = shutil.disk_usage(there).free, f"the disk of {there}"
    try:
        room = build_store(config).find_room(spec, free, where=where)
    except ConfigError as error:
        return bad("memory", error, f"Lower replay.capacity, or use a machine with more {where}.")
    return good("memory", f"{free / 1e9:.1f} GB of {where} free; {room.describe()}")


def examine_disk(folder: Path) -> Finding:
    """Look at the room where a run's files go.

    Args:
        folder: it need not be there yet.
    """
    there = _nearest(folder)
    if not os.access(there, os.W_OK):
        error = FileError(f"{there} is not writable, and {folder} would be there.")
        return bad("disk", error, "Give another --run-dir, or set run.directory.")
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB free in {there}"
    if free < _FULL_BYTES:
        error = FileError(f"{text}: checkpoints would not fit.")
        return bad("disk", error, "Make room, or give a run directory on another disk.")
    if free < _LOW_BYTES:
        return odd("disk", text, "Make room before a long run, or use another disk.")
    return good("disk", text)


def _nearest(folder: Path) -> Path:
    """Give a folder, or the one nearest above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
