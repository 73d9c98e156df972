"""Which processes are to be started, again or late, when, and how often they may be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

from zdqn.launch.plan import PlannedProcess, restart_delay_s


class Restarts:
    """Keeps count of the restarts of a run's processes; threads may share it.

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
        self._wanted: set[str] = set()
        self._due: list[tuple[float, PlannedProcess]] = []
        self._lock = threading.Lock()

    def count(self, name: str) -> int:
        """Say how often a process was, or is about to be, started again."""
        return self._counts.get(name, 0)

    def are_left(self, name: str) -> bool:
        """Whether a process may be started once more."""
        return self.is_wanted(name) or self.count(name) < self.most

    def plan(self, process: PlannedProcess) -> None:
        """Have a process started again: the first time at once, then slower and slower."""
        if self.is_wanted(process.name):
            self._wanted.discard(process.name)
            self._put(process, 0.0)
            return
        count = self.count(process.name)
        self._counts[process.name] = count + 1
        self._put(process, restart_delay_s(count))

    def forgive(self, name: str) -> None:
        """Have the next start of a process not counted: somebody wants it."""
        self._wanted.add(name)

    def is_wanted(self, name: str) -> bool:
        """Whether somebody wants a process started again."""
        return name in self._wanted

    def forget(self, names: Collection[str]) -> None:
        """Start some processes no more."""
        with self._lock:
            self._due = [entry for entry in self._due if entry[1].name not in names]

    def _put(self, process: PlannedProcess, delay_s: float) -> None:
        with self._lock:
            self._due.append((self._clock() + delay_s, process))

    def plan_at_once(self, process: PlannedProcess) -> None:
        """Have a process started that is new, or was ended on purpose: now, and not counted."""
        self._put(process, 0.0)

    def waiting(self) -> list[PlannedProcess]:
        """Give those that are to be started."""
        return [process for _, process in self._due]

    def take_due(self) -> list[PlannedProcess]:
        """Give those whose time has come; they wait no longer."""
        now_s = self._clock()
        with self._lock:
            due = [process for due_s, process in self._due if due_s <= now_s]
            self._due = [entry for entry in self._due if entry[0] > now_s]
        return due

    def cancel(self) -> None:
        """Start nothing any more."""
        with self._lock:
            self._due.clear()
