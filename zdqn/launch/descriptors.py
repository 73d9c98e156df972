"""File descriptors: how many a run needs, and as many as this machine allows."""

from __future__ import annotations

import contextlib
import resource

from zdqn.config import LaunchSection

_RESERVE = 40
"""Of any process, before anybody connects: libraries, sockets of its own, logs, checkpoints."""
_PER_CLIENT = 3
"""At a server: requests, data, and for a moment a second request (a hello, a goodbye)."""
_PER_CHILD = 5
"""At the launcher: three pipes, a log, and one more while it starts."""
_SENSIBLE = 65_536
"""More is never asked for: some programs walk through all that they might have."""


def raise_limit(wanted: int = _SENSIBLE) -> int:
    """Let this process open more files, up to the hard limit; never fewer than it may now.

    Args:
        wanted: how many.

    Returns:
        How many it may open now.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return max(wanted, _SENSIBLE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if most > soft:
        with contextlib.suppress(OSError, ValueError):  # a system that allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def descriptors_needed(launch: LaunchSection) -> dict[str, int]:
    """Give the descriptors that the processes of a run need at most, by what uses them.

    Args:
        launch: how many of each role there are.
    """
    clients = launch.collectors + launch.evaluators
    return {
        "zdqn run": _RESERVE + _PER_CHILD * (clients + 2),
        "the memory": _RESERVE + _PER_CLIENT * (launch.collectors + 1),
        "the learner": _RESERVE + _PER_CLIENT * clients,
    }


def shortages(launch: LaunchSection, limit: int) -> list[str]:
    """Say which processes of a run will lack descriptors, a sentence each.

    Args:
        launch: how many of each role there are.
        limit: descriptors that a process may have.
    """
    return [
        f"{who} may need {needed:,} file descriptors for launch.collectors = {launch.collectors}, "
        f"and may open {limit:,}: some will wait in vain to connect. Allow more (`ulimit -n "
        f"{needed}`, as far as `ulimit -Hn` goes), or start fewer."
        for who, needed in descriptors_needed(launch).items()
        if needed > limit
    ]
