"""Which networks are scored in the process that trains, and what becomes of the scores."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.records.recorder import Recorder
from zdqn.records.snapshots import FrozenSnapshot
from zdqn.roles.building import NetworkFactory, build_policy, evaluation_deadline_s
from zdqn.roles.own_evaluator import OwnEvaluator
from zdqn.roles.own_status import OwnBoard

if TYPE_CHECKING:
    from zdqn.rl.greedy import Greedy

logger = logging.getLogger("zdqn.learner")


class OwnEvaluations:
    """Has networks scored between updates, and the scores written down.

    Args:
        config: of the run.
        network: makes the Q-network in place of ``network.kind``.
        spec: of the environment.
        evaluator: plays the episodes.
        recorder: keeps the scores, and the best network.
        board: told what is done meanwhile.
        stop: ends the run.
    """

    def __init__(
        self,
        config: Config,
        network: NetworkFactory | None,
        spec: EnvironmentSpec,
        *,
        evaluator: OwnEvaluator,
        recorder: Recorder,
        board: OwnBoard,
        stop: threading.Event,
    ) -> None:
        self._config = config
        self._network = network
        self._spec = spec
        self._evaluator = evaluator
        self._recorder = recorder
        self._board = board
        self._stop = stop

    def score(
        self, policy: Greedy, snapshot: FrozenSnapshot, give_up: Callable[[], bool] | None = None
    ) -> None:
        """Score a snapshot; one that is given up is named in the log.

        Args:
            policy: holds its network.
            snapshot: what is scored.
            give_up: asked before each step; None for one at the end of the run, which has until
                `evaluation_deadline_s`.

        Raises:
            EnvironmentFailedError: when the environment raises or misbehaves.
        """
        self._board.phase, phase = "evaluating", self._board.phase
        evaluation = self._evaluator.score(policy, snapshot, give_up or self._takes_too_long)
        if evaluation is not None:
            self._recorder.add_evaluation(evaluation, self._spec)
        else:  # who stops the run need not be warned of what that costs
            told = self._stop.is_set() or self._recorder.told_to_end
            logger.log(
                logging.INFO if told else logging.WARNING,
                "evaluation %d at %d environment steps was given up, as the run ends",
                snapshot.number,
                snapshot.environment_steps,
            )
        self._board.phase = phase

    def score_best_again(self) -> None:
        """Score the best network on fresh episodes; it was chosen for a lucky score perhaps."""
        best = self._recorder.freeze_best()
        if best is None:
            return
        policy = build_policy(self._config, self._network, self._spec, self._evaluator.count)
        policy.load(best.arrays)
        self.score(policy, best)

    def _takes_too_long(self) -> bool:
        deadline_s = evaluation_deadline_s(self._config)
        return self._stop.is_set() or self._recorder.metrics.wall_s >= deadline_s
