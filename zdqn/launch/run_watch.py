"""Puts together what servers and files tell of a run, into one view."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from zdqn.launch.rates import Rates
from zdqn.launch.run_view import BEGUN, STOPPED, RunPlan, RunView, read_members
from zdqn.records.run_history import BoundedCurve, History, HistoryReader
from zdqn.wire.status import LearnerStatus, MemoryStatistics, MemoryStatus, ProgressStatus

_READ_EVERY_S = 0.2


class RunWatch:
    """Watches a run. One thread may tell it what it has heard, and another ask for the view.

    Args:
        plan: what the run was configured to be.
        directory: of the run, whose files are read; None if it is on another machine, of which
            curves begin when somebody looks.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        plan: RunPlan,
        directory: Path | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._directory = directory
        self._clock = clock
        self._began_s = self._heard_s = clock()
        self._learner: LearnerStatus | None = None
        self._memory: MemoryStatus | None = None
        self._memory_is_newer = False
        self._reader = HistoryReader(directory) if directory is not None else None
        self._history = History()
        self._returns, self._scores = BoundedCurve(), BoundedCurve()
        self._read_s: float | None = None
        self._rates = Rates()
        self._ending = ""

    def take_learner(self, status: LearnerStatus) -> None:
        """Take what a learner tells."""
        before = self._learner.progress if self._learner is not None else None
        self._learner, self._heard_s = status, self._clock()
        self._memory_is_newer = False
        if self._reader is None:
            self._remember(status.progress, before)

    def _remember(self, now: ProgressStatus, before: ProgressStatus | None) -> None:
        """Keep what would be in the files of the run, as long as somebody looks."""
        steps = now.environment_steps
        if now.episode_return_mean is not None:
            self._returns.add(steps, now.episode_return_mean)
        score = now.last_evaluation_return
        if score is not None and (before is None or score != before.last_evaluation_return):
            self._scores.add(steps, score)
        self._history = History(returns=self._returns.points(), scores=self._scores.points())

    def take_memory(self, status: MemoryStatus) -> None:
        """Take what a memory tells."""
        self._memory, self._memory_is_newer = status, True

    def end(self, reason: str) -> None:
        """Take note that the run was asked to end; the first reason counts."""
        self._ending = self._ending or reason or STOPPED

    def view(self) -> RunView:
        """Give what is known now."""
        learner, memory, now_s = self._learner, self._memory, self._clock()
        rows = learner.clients if learner is not None else []
        if not rows and memory is not None:
            rows = memory.clients
        view = RunView(
            plan=self._plan,
            directory=str(self._directory or ""),
            learner=learner,
            memory=self._newest_memory(learner),
            members=read_members(row for row in rows if row.get("role") != "learner"),
            history=self._read_history(learner, now_s),
            watched_s=now_s - self._began_s,
            silent_s=now_s - self._heard_s,
            ending=self._ending,
        )
        return view.with_rates(self._look(view))

    def _newest_memory(self, learner: LearnerStatus | None) -> MemoryStatistics | None:
        """Give what a memory told last, itself or through its learner; None if it did not."""
        told = learner.memory if learner is not None and learner.memory.address else None
        begun = learner is not None and learner.run.phase in BEGUN
        return (
            told
            if told is not None and begun and not self._memory_is_newer
            else (self._memory or told)
        )

    def _read_history(self, learner: LearnerStatus | None, now_s: float) -> History:
        """Read the run's files, not too often; those of a run that it will replace are not read."""
        due = self._read_s is None or now_s - self._read_s >= _READ_EVERY_S
        begun = learner is not None and learner.run.phase in BEGUN
        if self._reader is not None and begun and due:
            self._read_s = now_s
            self._history = self._reader.read()
        return self._history

    def _look(self, view: RunView) -> dict[str, float]:
        """Give all rates, each by the clock of who counts."""
        rates = self._rates
        if view.learner is not None and view.has_begun:
            progress = view.learner.progress
            rates.look("updates", progress.wall_s, progress.updates)
            rates.look("episodes", progress.wall_s, progress.episodes)
            rates.look("environment_steps", progress.wall_s, progress.environment_steps)
            holding_s = view.learner.memory.holding_inserts_back_s
            rates.look("holding back", progress.wall_s, holding_s)
        for member in view.of_role("collector"):
            told = member.collector
            if told.collecting_s > 0:
                if not rates.knows(f"steps of {member.name}"):  # it began with nothing at 0 s
                    rates.look(f"steps of {member.name}", 0.0, 0)
                    rates.look(f"blocked of {member.name}", 0.0, 0.0)
                rates.look(f"steps of {member.name}", told.collecting_s, told.environment_steps)
                rates.look(f"blocked of {member.name}", told.collecting_s, told.blocked_s)
        known = rates.per_s()
        if view.learner is not None and view.has_begun:  # until there were two looks
            progress = view.learner.progress
            for name, per_s in (
                ("updates", progress.updates_per_s),
                ("environment_steps", progress.environment_steps_per_s),
            ):
                if per_s is not None:
                    known.setdefault(name, per_s)
        return known
