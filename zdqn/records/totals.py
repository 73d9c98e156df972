"""What a run's memories and its learner have counted, whichever of them live or were replaced."""

from __future__ import annotations

from typing import Any

import msgspec

from zdqn.records.block_accounts import BlockAccounts
from zdqn.wire.memory_messages import Progress


class RunTotals:
    """Adds up the counters of every memory session that a run has had.

    A memory counts from 0 when it starts, and tells its counts since. Hence the total is the sum of
    the latest counts of each session, those of memories that are gone included. What the learner
    counts itself, it counts from 0 too: that is added up over its starts.

    Attributes:
        restarts: how often a memory was replaced by a new one.
        blocks: what became of each.
    """

    def __init__(self) -> None:
        self._latest: dict[int, Progress] = {}  # by session
        self._places: dict[int, int] = {}  # of each session that was met
        self._earlier: dict[str, float] = {}  # what earlier starts of the learner have counted
        self._own: dict[str, float] = {}
        self.restarts = 0
        self.blocks = BlockAccounts()

    def state_dict(self) -> dict[str, Any]:
        """Give all that a later start of the learner must know, as plain values."""
        return {
            "latest": [msgspec.structs.asdict(progress) for progress in self._latest.values()],
            "places": [list(pair) for pair in self._places.items()],
            "restarts": self.restarts,
            "blocks": self.blocks.state_dict(),
            "learners": {key: self.of_learners(key) for key in {**self._earlier, **self._own}},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count on from where `state_dict` was taken; the memories may be the same, or others."""
        self._earlier, self._own = dict(state.get("learners", {})), {}
        self._latest = {latest["session"]: Progress(**latest) for latest in state["latest"]}
        self._places = dict(state["places"])
        self.restarts = state["restarts"]
        self.blocks.load_state_dict(state["blocks"])

    def begin_with(self, session: int, memory: int = 0) -> bool:
        """Take note of the memory that a start of the learner joins: it has replaced nobody.

        Args:
            session: of the memory.
            memory: its place, as for `observe`.

        Returns:
            True if an earlier start of the learner has met it.
        """
        was_met = self._places.pop(session, None) is not None
        self._places[session] = memory
        return was_met

    def observe(self, progress: Progress, memory: int = 0) -> bool:
        """Take note of a memory's counters; those of several may come in any order.

        Args:
            progress: its counters.
            memory: the place that it has among the memories of the run, such as the number of the
                stream that the counters came from.

        Returns:
            True if a new session has taken the place of another; it counts as a restart.
        """
        self._latest[progress.session] = progress
        return self.meet(progress.session, memory)

    def meet(self, session: int, memory: int = 0) -> bool:
        """Take note that a memory lives, though it may have told no counters yet.

        Args:
            session: of the memory.
            memory: its place, as for `observe`.

        Returns:
            True if a new session has taken the place of another; it counts as a restart.
        """
        if session in self._places:
            return False
        replaced = memory in self._places.values()
        self.restarts += replaced
        self._places[session] = memory
        return replaced

    @property
    def newest(self) -> int:
        """Session of the memory that was met last; 0 if none was."""
        return next(reversed(self._places), 0)

    def add(self, progress: Progress) -> None:
        """Count what no living memory will tell again, such as a training without any."""
        self._latest[progress.session] = progress

    def count(self, **counts: float) -> None:
        """Take note of what this start of the learner has counted itself, by name, so far."""
        self._own = counts

    def of_learners(self, key: str) -> float:
        """Give what all starts of the learner have counted under a name; 0 if none has."""
        return self._earlier.get(key, 0) + self._own.get(key, 0)

    def __len__(self) -> int:
        """Count the sessions that were told of."""
        return len(self._latest)

    def total(self, key: str) -> int:
        """Give a counter of `Progress`, over all memories."""
        return sum(getattr(progress, key) for progress in self._latest.values())

    def counted(self) -> tuple[int, int, int]:
        """Give environment steps, episodes and transitions, over all memories."""
        return self.environment_steps, self.episodes, self.transitions

    @property
    def environment_steps(self) -> int:
        """Environment steps of all collectors."""
        return self.total("environment_steps")

    @property
    def episodes(self) -> int:
        """Episodes of all collectors."""
        return self.total("episodes")

    @property
    def transitions(self) -> int:
        """Transitions stored by all memories."""
        return self.total("transitions")
