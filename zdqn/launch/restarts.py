"""Which processes are to be started again, when, and how often they may be."""

from __future__ import annotations

import time
from collections.abc import Callable

from zdqn.launch.plan import PlannedProcess, restart_delay_s


class Restarts:
    """Keeps count of the restarts of a run's processes.

    Args:
        most: of one process.
        clock: seconds that never go back.

    Attributes:
        most: of one process.
    """

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._due: list[tuple[float, PlannedProcess]] = []

    def count(self, name: str) -> int:
        """Say how often a process was, or is about to be, started again."""
        return self._counts.get(name, 0)

    def are_left(self, name: str) -> bool:
        """Whether a process may be started once more."""
        return self.count(name) < self.most

    def plan(self, process: PlannedProcess) -> None:
        """Have a process started again: the first time at once, then slower and slower."""
        count = self.count(process.name)
        self._counts[process.name] = count + 1
        self._due.append((self._clock() + restart_delay_s(count), process))

    def plan_at_once(self, process: PlannedProcess) -> None:
        """Have a process started again that was ended on purpose: now, and without counting it."""
        self._due.append((self._clock(), process))

    def waiting(self) -> list[PlannedProcess]:
        """Give those that are to be started again."""
        return [process for _, process in self._due]

    def take_due(self) -> list[PlannedProcess]:
        """Give those whose time has come; they wait no longer."""
        now_s = self._clock()
        due = [process for due_s, process in self._due if due_s <= now_s]
        self._due = [entry for entry in self._due if entry[0] > now_s]
        return due

    def cancel(self) -> None:
        """Start nothing again any more."""
        self._due.clear()
