"""Frozen snapshots that wait for an evaluator: each is scored once, or dropped for newer ones."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from zdqn.data import EvaluationScores


@dataclass(frozen=True)
class FrozenSnapshot:
    """A copy of the online network at one moment of training.

    Attributes:
        number: in the run, from 0.
        weight_version: packed version.
        environment_steps: of all collectors at that moment.
        updates: of the learner at that moment.
        episodes: of all collectors at that moment.
        wall_s: seconds of training so far.
        arrays: the copied weights by name.
    """

    number: int
    weight_version: int
    environment_steps: int
    updates: int
    episodes: int
    wall_s: float
    arrays: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Evaluation:
    """A scored snapshot.

    Attributes:
        snapshot: what was scored.
        scores: of each episode.
        evaluator: who did it.
        duration_s: how long it took.
    """

    snapshot: FrozenSnapshot
    scores: EvaluationScores
    evaluator: str
    duration_s: float


class EvaluationQueue:
    """Hands each snapshot to one evaluator, and again if that one dies.

    Args:
        most_waiting: how many may wait, >= 1; the newest stay. One that an evaluator held and gave
            back may wait beyond that.

    Attributes:
        dropped: snapshots that will never be scored.
    """

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self.dropped = 0
        self._waiting: deque[FrozenSnapshot] = deque()
        self._claimed: dict[int, tuple[int, FrozenSnapshot]] = {}

    def offer_first(self, snapshot: FrozenSnapshot) -> None:
        """Put a snapshot at the front of the queue, where it is never dropped."""
        self._waiting.appendleft(snapshot)

    def offer(self, snapshot: FrozenSnapshot) -> None:
        """Put a snapshot at the end of the queue, in place of the oldest if too many wait."""
        self._waiting.append(snapshot)
        while len(self._waiting) > self._most_waiting:
            self._waiting.popleft()
            self.dropped += 1

    def claim(self, session: int) -> FrozenSnapshot | None:
        """Give the oldest waiting snapshot to an evaluator; one that it held goes back first."""
        self.release(session)
        if not self._waiting:
            return None
        snapshot = self._waiting.popleft()
        self._claimed[snapshot.number] = (session, snapshot)
        return snapshot

    def complete(self, session: int, number: int) -> FrozenSnapshot | None:
        """Take a snapshot off the list.

        Returns:
            The snapshot, or None if this session does not hold it (it was thought dead, and
            somebody else has it): then its result must not count.
        """
        holder, snapshot = self._claimed.get(number, (0, None))
        if snapshot is None or holder != session:
            return None
        del self._claimed[number]
        return snapshot

    def release(self, session: int) -> list[int]:
        """Put what a session holds back to the front, oldest first, and give the numbers."""
        held = sorted(n for n, (holder, _) in self._claimed.items() if holder == session)
        for number in reversed(held):
            self._waiting.appendleft(self._claimed.pop(number)[1])
        return held

    def __len__(self) -> int:
        """Count the snapshots that may still get a result."""
        return len(self._waiting) + len(self._claimed)
