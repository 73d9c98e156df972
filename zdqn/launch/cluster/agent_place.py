"""What an agent has on its host: a folder for keys and logs, and what its last start left there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zdqn.records.replaced_files import replace_text
from zdqn.records.run_files import RunFiles, open_run_directory

LAUNCH_ID = ".launch_id"
_SOON_S = 15.0
_TICK_S = 0.05


class AgentPlace:
    """A folder for one host of one run: several hosts may share a file system.

    Args:
        directory: of the run on this host.
        host: what the launcher calls this host.

    Raises:
        FileError: when it cannot be made.
    """

    def __init__(self, directory: Path, host: str) -> None:
        self.directory = directory
        self.folder = directory / "hosts" / host
        self.keys = self.folder / "keys"
        self.logs = RunFiles(self.folder).logs
        self._record = self.folder / "agent.json"
        self._is_new = not self.folder.exists()
        for folder in (directory, directory / "hosts", self.folder, self.logs):
            open_run_directory(folder)

    def launch_id(self) -> str:
        """Give the launch whose folder on the launcher's machine is this one; "" for none."""
        return read_launch_id(self.directory)

    def take_over(self) -> None:
        """End what an earlier agent left here, and be the one that is found."""
        left, we = self.read(), identify(os.getpid())
        for identity in [left.get("agent"), *left.get("processes", {}).values()]:
            if identity is not None and identity != we:
                _end(identity)
        self.remember({})

    def is_taken(self) -> bool:
        """Whether an agent is here."""
        return lives(self.read().get("agent") or [])

    def send_signal(self, name: str, number: int) -> bool:
        """Send a signal to a process that an agent has started here; whether it lives.

        Args:
            name: of it; ``agent`` for the agent itself.
            number: of the signal.
        """
        left = self.read()
        who = left.get("agent") if name == "agent" else left.get("processes", {}).get(name)
        if who is None or not lives(who):
            return False
        os.kill(who[0], number)
        return True

    def read(self) -> dict[str, Any]:
        """Read who is, or was, here."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._record.read_text())
            return found if isinstance(found, dict) else {}
        return {}

    def remember(self, processes: Mapping[str, int], ends: Mapping[str, int] | None = None) -> None:
        """Write down who this agent is, and what it has started.

        Args:
            processes: name to number of those that live.
            ends: name to exit code of those that have ended.

        Raises:
            FileError: when it cannot be written.
        """
        known = {name: identify(number) for name, number in processes.items()}
        living = {name: identity for name, identity in known.items() if identity is not None}
        told = {"agent": identify(os.getpid()), "processes": living, "ends": ends or {}}
        replace_text(self._record, json.dumps(told))

    def vanish(self) -> None:
        """Leave nothing of a place that was new, as nothing has begun there."""
        if self._is_new:
            shutil.rmtree(self.folder, ignore_errors=True)
            for folder in (self.folder.parent, self.directory):
                with contextlib.suppress(OSError):  # there is something else in it
                    folder.rmdir()

    def leave(self) -> None:
        """Say that nobody is here any more, and how all ended, unless another has the place."""
        left = self.read()
        if left.get("agent") == identify(os.getpid()):
            with contextlib.suppress(OSError):
                self._record.write_text(json.dumps({"ends": left.get("ends", {})}))


def read_launch_id(directory: Path) -> str:
    """Read what tells a launch's own folder from all others: a shared disk shows it elsewhere."""
    with contextlib.suppress(OSError):
        return (directory / LAUNCH_ID).read_text()
    return ""


def identify(number: int) -> list[Any] | None:
    """Tell a process from any that gets its number later: number, start, and start of the host.

    Returns:
        What two looks at one process agree in; None if it is no more.
    """
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else [number, fields[18], boot]


def lives(identity: list[Any]) -> bool:
    """Whether a process that was identified is still there."""
    return bool(identity) and identify(identity[0]) == identity


def _end(identity: list[Any]) -> None:
    """Tell a process to end, and kill it with its group if it does not soon."""
    if not lives(identity):
        return
    with contextlib.suppress(OSError):
        os.kill(identity[0], signal.SIGTERM)
    by_s = time.monotonic() + _SOON_S
    while lives(identity) and time.monotonic() < by_s:
        time.sleep(_TICK_S)
    if lives(identity):
        with contextlib.suppress(OSError):
            os.killpg(identity[0], signal.SIGKILL)
