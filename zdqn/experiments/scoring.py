"""Scoring a stored network, without any other role."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.data import EnvironmentSpec, EvaluationScores
from zdqn.errors import MismatchError, UsageError
from zdqn.experiments.trained_policy import TrainedPolicy, load_policy
from zdqn.records.given_functions import other_functions
from zdqn.records.run_result import RunResult
from zdqn.rl.exploration import epsilon_greedy
from zdqn.roles.building import (
    EnvironmentFactory,
    NetworkFactory,
    build_evaluation_environments,
    one_thread,
)

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

logger = logging.getLogger("zdqn")


def evaluate(
    run: RunResult | str | Path,
    *,
    episodes: int = 20,
    seed: int = 0,
    seeds: int = 1,
    environment: EnvironmentFactory | str | None = None,
    network: NetworkFactory | None = None,
    on_episode: Callable[[int], object] | None = None,
) -> EvaluationScores:
    """Play episodes with a stored network, as an evaluator of its run does.

    Actions are greedy but for a share of ``evaluator.epsilon``. This is what ``zdqn evaluate``
    calls.

    Args:
        run: what a run gave back, or its folder, for its best network (``best.pt``); or a file of
            ``checkpoints/``.
        episodes: to play with each seed, >= 1.
        seed: of the environments, >= 0; the same seed gives the same scores, and those of an
            evaluation of the run that had it.
        seeds: how many, `seed` and those that follow, >= 1.
        environment: makes an environment; the one that the run was given, if it was. Or the id of
            another than the run's, which must look like it; ``environment.kwargs`` are not for it.
        network: makes the network; the one that the run was given, if it was.
        on_episode: told how many episodes have been played, as they end.

    Returns:
        Returns and lengths of the episodes, seed by seed, and their mean and deviation.

    Raises:
        UsageError: when `episodes`, `seed` or `seeds` is too small.
        FileError: when the file cannot be read.
        MismatchError: when it fits neither the network nor the environment.
        ConfigError: when a function made network or environment that is not given, or the
            environment cannot be made.
        EnvironmentFailedError: when the environment raises or misbehaves.
    """
    from zdqn.envs import close_environments

    check_least(episodes=(episodes, 1), seed=(seed, 0), seeds=(seeds, 1))
    with one_thread():
        another = environment if isinstance(environment, str) else ""
        factory = None if isinstance(environment, str) else environment
        policy = load_to_play(run, factory, network)
        config = _in_another(policy.config, another) if another else policy.config
        environments, found = build_evaluation_environments(config, factory, episodes=episodes)
        try:
            check_environment_fits(policy, found, another)
            scores = []
            for number in range(seeds):
                tell = _counting_from(number * episodes, on_episode)
                scores.append(
                    play_as_evaluated(
                        policy,
                        environments,
                        episodes=episodes,
                        seed=seed + number,
                        label="evaluate",
                        tell=tell,
                    )
                )
            return _together(scores)
        finally:
            close_environments(environments)


def _in_another(config: Config, environment: str) -> Config:
    section = config.environment
    if environment == section.id and section.function is None:
        return config
    changed = msgspec.structs.replace(section, id=environment, kwargs={}, function=None)
    evaluator = config.evaluator
    if evaluator.vectorization == "native":  # not all have a form of their own for several
        evaluator = msgspec.structs.replace(evaluator, vectorization="sync")
    return msgspec.structs.replace(config, environment=changed, evaluator=evaluator)


def _counting_from(
    before: int, on_episode: Callable[[int], object] | None
) -> Callable[[int, int], object] | None:
    """Tell of each episode that ends, behind those that were played before."""
    if on_episode is None:
        return None
    told = before

    def tell(episodes: int, _steps: int) -> None:
        nonlocal told
        if before + episodes > told:
            told = before + episodes
            on_episode(told)

    return tell


def _together(scores: Sequence[EvaluationScores]) -> EvaluationScores:
    return EvaluationScores(
        returns=tuple(value for some in scores for value in some.returns),
        lengths=tuple(value for some in scores for value in some.lengths),
        cut=sum(some.cut for some in scores),
    )


def load_to_play(
    run: RunResult | str | Path,
    environment: EnvironmentFactory | None,
    network: NetworkFactory | None,
) -> TrainedPolicy:
    """Load a policy, and warn of functions that are not those of the run."""
    policy = load_policy(run, network=network)
    for text in other_functions(policy.config, environment, network):
        logger.warning("%s", text)
    return policy


def play_as_evaluated(
    policy: TrainedPolicy,
    environments: VectorEnv[Any, Any, Any],
    *,
    episodes: int,
    seed: int,
    label: str,
    tell: Callable[[int, int], object] | None = None,
) -> EvaluationScores:
    """Play as in an evaluation of the run with this seed."""
    from zdqn.core.evaluation import evaluate as play_episodes

    scores = play_episodes(
        environments,
        policy.spec,
        evaluators_choice(policy, seed),
        episodes=episodes,
        seed=seed,
        label=label,
        stop=lambda: False,
        tell=tell,
    )
    assert scores is not None
    return scores


def evaluators_choice(
    policy: TrainedPolicy, seed: int
) -> Callable[[NDArray[Any], NDArray[np.bool_] | None], NDArray[np.int64]]:
    """Give what chooses actions as an evaluator does: greedily but for a few that are random.

    Args:
        policy: of the run.
        seed: of what is random.
    """
    epsilon, rng = policy.config.evaluator.epsilon, np.random.default_rng(seed)
    count = policy.spec.num_actions

    def choose(observations: NDArray[Any], allowed: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        greedy = policy.actions(observations, allowed)
        return epsilon_greedy(greedy, count, epsilon, rng, allowed)

    return choose


def check_environment_fits(policy: TrainedPolicy, found: EnvironmentSpec, name: str = "") -> None:
    """Require an environment that looks like the one that a policy was trained in.

    Args:
        policy: that is to play.
        found: of the environment.
        name: of an environment that is another.

    Raises:
        MismatchError: if `found` is another; both are described.
    """
    if policy.spec != found:
        raise MismatchError(
            f"{policy.checkpoint} was trained on {policy.spec.describe()}, but "
            f"{name or 'its environment now'} gives {found.describe()}."
        )


def check_least(**given: tuple[int, int]) -> None:
    """Require arguments, each given with the least that it may be.

    Raises:
        UsageError: if one is smaller.
    """
    for name, (value, least) in given.items():
        if value < least:
            raise UsageError(f"{name} is {value}; it must be {least} or more.")
