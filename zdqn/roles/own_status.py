"""What one process that trains alone says of itself: what a learner and a memory would say."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from zdqn.config import Config
from zdqn.core.agenda import Counters
from zdqn.core.store import TransitionStore
from zdqn.data import EpisodeStatistics
from zdqn.records.recorder import Recorder
from zdqn.records.totals import RunTotals
from zdqn.roles.building import describe_limits
from zdqn.wire.memory_messages import Progress
from zdqn.wire.status import (
    CollectorStatistics,
    LearnerStatus,
    MemoryOfLearner,
    MetricsRow,
    ProgressStatus,
    RunStatus,
)

if TYPE_CHECKING:
    from zdqn.core.rollout import Rollout
    from zdqn.rl.limiter import SamplesPerInsertLimiter
    from zdqn.rl.update_rule import Update

logger = logging.getLogger("zdqn.learner")

_RECENT_EPISODES = 20


class OwnBoard:
    """Says how training goes: in metrics, in the log, and to whoever asks for a status.

    Args:
        config: of the run.
        directory: of the run.
        recorder: writes the rows of metrics; knows the time and the evaluations.

    Attributes:
        phase: what is done now.
    """

    def __init__(self, config: Config, directory: Path, recorder: Recorder) -> None:
        self._config = config
        self._directory = directory
        self._recorder = recorder
        self._returns: deque[float] = deque(maxlen=_RECENT_EPISODES)
        self._row = MetricsRow()
        self._says_s = 0.0
        self.phase = "starting"

    def note(self, episodes: Iterable[EpisodeStatistics]) -> None:
        """Take note of episodes that have ended."""
        self._returns.extend(episode.total_reward for episode in episodes)

    def report(
        self, counters: Counters, *, update: Update | None, epsilon: float, last: bool = False
    ) -> None:
        """Write a row of metrics; the log has one now and then, and the last.

        Args:
            counters: how far training is.
            update: the newest, or None.
            epsilon: share of random actions, mean over the environments.
            last: whether none comes after it.

        Raises:
            RoleFailedError: when the loss is no finite number.
        """
        returns = self._returns
        statistics = CollectorStatistics(
            epsilon=epsilon,
            episode_return_mean=sum(returns) / len(returns) if returns else None,
        )
        row = self._row = self._recorder.report(counters, update=update, collectors=[statistics])
        if row.wall_s < self._says_s and not last:  # rows come faster as learning begins
            return
        self._says_s = row.wall_s + 0.9 * self._config.learner.report_period_s
        logger.info(
            "%d environment steps, %d updates, %d episodes, mean return %s",
            row.environment_steps,
            row.updates,
            row.episodes,
            row.episode_return_mean,
        )

    def describe(self, counters: Counters, store: TransitionStore) -> LearnerStatus:
        """Put a status together; it only reads, so that any thread may ask for it.

        Args:
            counters: how far training is; what is computed once a row is that of the newest.
            store: what is learned from.
        """
        metrics, limiter = self._recorder.metrics, store.limiter
        wall_s = metrics.wall_s
        values = msgspec.structs.asdict(self._row)
        values.update(
            wall_s=wall_s,
            environment_steps=counters.environment_steps,
            transitions=counters.transitions,
            updates=counters.updates,
            episodes=counters.episodes,
            last_evaluation_return=metrics.last_return,
            best_evaluation_return=metrics.best_return,
        )
        return LearnerStatus(
            run=RunStatus(
                directory=str(self._directory), phase=self.phase, wall_s=round(wall_s, 1)
            ),
            progress=ProgressStatus(**values, samples_per_insert=round(limiter.achieved, 4)),
            stop=describe_limits(self._config),
            memory=MemoryOfLearner(
                address="in this process",
                size=store.size,
                capacity=store.capacity,
                transitions=limiter.inserts,
                samples=limiter.samples,
                samples_per_insert=round(limiter.achieved, 4),
            ),
        )


def totals_of(earlier: RunTotals, rollout: Rollout, limiter: SamplesPerInsertLimiter) -> RunTotals:
    """Give the counts as if a memory had told them, so that a distributed run can go on.

    Args:
        earlier: of the starts before; left as they are.
        rollout: of this start.
        limiter: of this start, which counts what is stored and sampled.
    """
    totals = RunTotals()
    totals.load_state_dict(earlier.state_dict())
    totals.add(
        Progress(
            session=len(totals),  # a small number, unlike a memory's, that no start had yet
            environment_steps=rollout.environment_steps,
            episodes=rollout.episodes,
            transitions=limiter.inserts,
            blocks=0,
            blocks_lost=0,
            blocks_duplicated=0,
            blocks_refused=0,
            samples=limiter.samples,
        )
    )
    return totals
