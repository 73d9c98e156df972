"""Which memories a learner has met, and with what each began: said once, when it has told."""

from __future__ import annotations

import logging
from typing import Protocol

from zdqn.records.totals import RunTotals
from zdqn.wire.memory_messages import Progress
from zdqn.wire.status import MemoryStatistics

logger = logging.getLogger("zdqn.learner")


class MemoryWords(Protocol):
    """Who knows the memory; a `zdqn.roles.learner.memory_link.MemoryLink` is one."""

    @property
    def first_session(self) -> int | None:
        """Session of the memory that this start of the learner joined; None before that."""

    def came_back(self, session: int) -> MemoryStatistics | None:
        """Give what a start of the memory tells of itself; None if it has not told."""


class KnownMemories:
    """Tells the memory that a start of the learner begins with from those that replace it.

    One that is replaced while the learner runs has restarted, which is a warning. The one that a
    resumed run begins with is another one by nature, unless the learner alone was away.

    Args:
        totals: of the run; told of each memory.
        receivers: know the memory.
        resumed: whether the run goes on from an earlier start.
    """

    def __init__(self, totals: RunTotals, receivers: MemoryWords, *, resumed: bool) -> None:
        self._totals = totals
        self._receivers = receivers
        self._has_begun = False
        self._resumed = resumed
        self._first: int | None = None
        self._is_known = False
        self._restarts = 0

    def begin(self) -> None:
        """Take note of the memory that was joined; only the first call does anything."""
        if self._has_begun:
            return
        self._has_begun = True
        self._restarts = self._totals.restarts
        first = self._receivers.first_session
        if first is not None:
            self._is_known = self._totals.begin_with(first)
            self._first = first if self._resumed else None

    def observe(self, progress: Progress) -> None:
        """Take note of a memory's counters, and say what is new about it."""
        self.begin()
        self._totals.observe(progress)
        if self._totals.restarts > self._restarts:
            self._first = None  # it has gone before it told
            told = self._receivers.came_back(self._totals.newest)
            if told is not None:
                self._restarts = self._totals.restarts
                logger.warning("the memory was restarted: %s", _how_it_came_back(told))
        elif self._first is not None:
            told = self._receivers.came_back(self._first)
            if told is not None:
                self._first = None
                logger.info("resuming with %s", _what_it_holds(told, went_on=self._is_known))


def _how_it_came_back(told: MemoryStatistics) -> str:
    if not told.came_back_with:
        return "what it held is lost, and fills again"
    return f"it came back with {told.came_back_with} transitions{_lost(told)}"


def _what_it_holds(told: MemoryStatistics, *, went_on: bool) -> str:
    if went_on:
        return f"the memory that went on meanwhile: it holds {told.size} transitions"
    if told.came_back_with:
        return f"the {told.came_back_with} transitions that the memory kept{_lost(told)}"
    return "a memory that begins empty, and fills again: what it held before was not kept"


def _lost(told: MemoryStatistics) -> str:
    without = told.came_back_without
    return f", and without {without} that came after its snapshot" if without else ""
