"""Which role of a run is killed next, and whether one that was works again: decisions alone."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from zdqn.launch.plan import PlannedProcess
from zdqn.launch.run_view import BEGUN, Member, read_members
from zdqn.wire.status import LearnerStatus, MemoryStatus

ROLES = ("memory", "learner", "collector", "evaluator")
"""Those that can be struck, in the order of reports."""
SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "STOP": signal.SIGSTOP}
"""Name to signal. The last stops a process for a while, and ends none."""

_SPREAD = 0.5
"""Gaps between two strikes differ from their mean by this share of it at most."""
_ROUNDED_S = 0.2
"""Times in a status are rounded, by less than this."""


class Strikes:
    """Chooses whom to strike, and when.

    Args:
        rng: of all choices.
        every_s: mean seconds between two strikes, > 0.
        roles: that may be struck.
    """

    def __init__(
        self, rng: np.random.Generator, *, every_s: float, roles: Iterable[str] = ROLES
    ) -> None:
        self._rng = rng
        self._every_s = every_s
        self._roles = frozenset(roles)
        self._next_s: float | None = None

    def take_due(self, now_s: float, spared: Iterable[PlannedProcess]) -> PlannedProcess | None:
        """Give whom to strike now, if it is time; the first call begins to count.

        A role is drawn first, and then one of its processes, so that many collectors do not keep
        the others safe. When there is nobody to strike, it stays due.

        Args:
            now_s: seconds that never go back.
            spared: processes that live, and have not been struck without having come back since.
        """
        if self._next_s is None:
            self._next_s = now_s + self._gap_s()
        if now_s < self._next_s:
            return None
        able = [process for process in spared if process.role in self._roles]
        if not able:
            return None
        self._next_s = now_s + self._gap_s()
        role = self._rng.choice(sorted({process.role for process in able}))
        of_role = [process for process in able if process.role == role]
        return of_role[int(self._rng.integers(len(of_role)))]

    def pause_s(self) -> float:
        """Say how long to stop a process that is stopped."""
        return self._gap_s()

    def _gap_s(self) -> float:
        return self._every_s * float(self._rng.uniform(1 - _SPREAD, 1 + _SPREAD))


@dataclass(frozen=True)
class Heard:
    """What a server has answered.

    Attributes:
        asked_s: when it was asked.
        heard_s: when it had answered.
        status: its answer.
    """

    asked_s: float
    heard_s: float
    status: MemoryStatus | LearnerStatus

    def members(self, since_s: float = 0.0) -> list[Member]:
        """Give the living clients that the server has heard of since a moment."""
        return [
            member
            for member in read_members(self.status.clients)
            if member.is_living and self.heard_s - member.last_seen_s > since_s + _ROUNDED_S
        ]


@dataclass
class Recovery:
    """One strike, and what became of it.

    Attributes:
        process: that was struck.
        since_s: from when on it could work again: when it was killed, or stopped no more.
        begins_anew: whether it counts from 0 then, as what was killed does.
        worked_s: when it was seen to work again; None as long as it was not.
    """

    process: PlannedProcess
    since_s: float
    begins_anew: bool
    worked_s: float | None = None
    _mark: int | None = field(default=None, repr=False)

    @property
    def took_s(self) -> float | None:
        """Seconds until it worked again; None as long as it did not."""
        return None if self.worked_s is None else self.worked_s - self.since_s

    def look(self, heard: Mapping[str, Heard]) -> bool:
        """Take note of what servers say; whether it works again.

        A learner does when it makes updates, a memory when it stores or deals out transitions, a
        collector when it takes steps, and an evaluator when it plays, or waits for a snapshot.

        Args:
            heard: the last answers of servers, by role.
        """
        role = self.process.role
        newest = heard.get("memory" if role == "memory" else "learner")
        if newest is None or newest.asked_s <= self.since_s:
            return False
        if self._has_moved(self._count(newest)):
            self.worked_s = newest.heard_s
        return self.worked_s is not None

    def _has_moved(self, count: int | None) -> bool:
        """Whether a count is above the first that was seen."""
        if count is None:
            return False
        if self._mark is None:
            self._mark = -1 if self.process.role == "evaluator" else count
            if self.process.role == "collector" and self.begins_anew:
                self._mark = 0
        return count > self._mark

    def _count(self, newest: Heard) -> int | None:
        """Give what grows while it works; None if it has not been heard of."""
        status = newest.status
        if isinstance(status, MemoryStatus):
            return status.transitions + status.samples
        if self.process.role == "learner":
            return status.progress.updates if status.run.phase in BEGUN else None
        for member in newest.members(self.since_s):
            if (member.role, member.name) == (self.process.role, self.process.name):
                if member.role == "collector":
                    return member.collector.environment_steps
                return 0 if member.evaluator.doing not in ("", "starting") else None
        return None
