"""How much memory is left: of this machine, and of what a container or a job may have of it.

Who takes more than a control group allows is killed, whatever the machine has.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
"""Limit and use of a control group, of the second version and of the first."""
_CACHED = ("total_inactive_file", "inactive_file")
"""What counts as used, and is let go of when memory is wanted: of the first version, the second."""


def available_bytes() -> int:
    """Give the memory that this process can still have, in bytes."""
    return int(min(_of_machine(), of_control_groups()))


def _of_machine() -> int:
    with suppress(OSError), open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # not Linux


def of_control_groups(groups: Path = _GROUPS, own: Path = _OWN) -> float:
    """Give what the control groups of this process leave, in bytes; infinity without a limit.

    Args:
        groups: where they are.
        own: the file that says which are this process's.
    """
    return min((_left_in(folder) for folder in _folders(groups, own)), default=math.inf)


def _folders(groups: Path, own: Path) -> Iterator[Path]:
    """Give the folders that may limit memory: each group of this process, and those around it.

    In a container the names may be those of the host, and the groups begin with the container's.
    """
    try:
        lines = own.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers == "":
            roots = [groups, groups / "unified"]
        elif "memory" in controllers.split(","):
            roots = [groups / "memory"]
        else:
            continue
        parts = [part for part in name.split("/") if part not in ("", "..")]
        for root in roots:
            for depth in range(len(parts) + 1):
                yield root.joinpath(*parts[:depth])


def _left_in(folder: Path) -> float:
    for limit_name, used_name in _FILES:
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            limit = int((folder / limit_name).read_text())
            used = int((folder / used_name).read_text())
            return max(0, limit - used + _cached_bytes(folder))
    return math.inf


def _cached_bytes(folder: Path) -> int:
    with suppress(OSError, ValueError):
        rows = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return next((int(rows[name]) for name in _CACHED if name in rows), 0)
    return 0
