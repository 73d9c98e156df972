"""Evaluation in the process that trains, in turn with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.records.snapshots import Evaluation, FrozenSnapshot
from zdqn.roles.building import (
    EnvironmentFactory,
    build_evaluation_environments,
    evaluation_seed,
)

if TYPE_CHECKING:
    from zdqn.rl.greedy import Greedy


_NAME = "train"


class OwnEvaluator(Closing):
    """Scores snapshots, in environments that are kept for that.

    Args:
        config: of the run.
        environment: makes an environment in place of ``environment.id``.
        spec: of the environment.

    Attributes:
        count: environments stepped together.

    Raises:
        ConfigError: when the environments cannot be made.
    """

    def __init__(
        self, config: Config, environment: EnvironmentFactory | None, spec: EnvironmentSpec
    ) -> None:
        self._config = config
        self._spec = spec
        self._environments, _ = build_evaluation_environments(
            config, environment, episodes=config.evaluator.episodes
        )
        self.count = self._environments.num_envs

    def score(
        self, policy: Greedy, snapshot: FrozenSnapshot, stop: Callable[[], bool]
    ) -> Evaluation | None:
        """Play the episodes of one evaluation.

        Args:
            policy: holds the snapshot's network.
            snapshot: what is scored.
            stop: asked before each step; True gives up.

        Returns:
            The scores; None if it was given up.

        Raises:
            EnvironmentFailedError: when the environment raises or misbehaves.
        """
        from zdqn.core.evaluation import evaluate
        from zdqn.rl.exploration import epsilon_greedy

        section, spec = self._config.evaluator, self._spec
        seed = evaluation_seed(self._config.run.seed, snapshot.number)
        rng = np.random.default_rng(seed)

        def choose(
            observations: NDArray[Any], allowed: NDArray[np.bool_] | None
        ) -> NDArray[np.int64]:
            greedy = policy.greedy_actions(observations, allowed)
            return epsilon_greedy(greedy, spec.num_actions, section.epsilon, rng, allowed)

        started_s = time.monotonic()
        scores = evaluate(
            self._environments,
            spec,
            choose,
            episodes=section.episodes,
            seed=seed,
            label=_NAME,
            stop=stop,
        )
        duration_s = time.monotonic() - started_s
        if scores is None:
            return None
        return Evaluation(snapshot, scores, _NAME, duration_s)

    def close(self) -> None:
        """Close the environments."""
        from zdqn.envs import close_environments

        close_environments(self._environments)
