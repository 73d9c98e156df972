"""Evaluation: how well a policy plays, over a fixed number of episodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from zdqn.data import EnvironmentSpec, EpisodeStatistics, EvaluationScores
from zdqn.envs.stepping import EnvironmentStepper
from zdqn.errors import UsageError


def evaluate(
    environments: VectorEnv[Any, Any, Any],
    spec: EnvironmentSpec,
    choose: Callable[[NDArray[Any], NDArray[np.bool_] | None], NDArray[np.int64]],
    *,
    episodes: int,
    seed: int,
    label: str,
    stop: Callable[[], bool],
    tell: Callable[[int, int], object] | None = None,
) -> EvaluationScores | None:
    """Play exactly `episodes` episodes and give their scores.

    Environment i of N plays the episodes i, i + N, i + 2 N, ... Were they instead taken in the
    order in which they end, short episodes would be counted more often than they occur. What an
    environment plays beyond its share is not counted. The same seed, environments and policy give
    the same scores. The environments are left open, for the next evaluation.

    Args:
        environments: N environments, from `zdqn.envs.make_environments`.
        spec: what `zdqn.envs.environment_spec` says of them.
        choose: the policy: observations (N, *spec.stacked_shape), and what is allowed at each,
            (N, num_actions) bool or None where the spec has no masks, to actions (N,) int64.
        episodes: how many to play, >= 1.
        seed: seed of the environments, >= 0.
        label: who evaluates, for messages, such as ``evaluator-0``.
        stop: asked before each step; True gives up.
        tell: told after each step how many episodes have been played, and how many steps of each
            environment.

    Returns:
        Returns and lengths in the order of the episodes' numbers; None if `stop` said so.

    Raises:
        UsageError: if `episodes` is less than 1.
        EnvironmentFailedError: if an environment raised or returned what it may not.
    """
    if episodes < 1:
        raise UsageError(f"episodes is {episodes}, but an evaluation plays at least 1.")
    stepper = EnvironmentStepper(environments, spec, seed=seed, label=label)
    next_episodes = list(range(stepper.count))
    played: dict[int, EpisodeStatistics] = {}
    _check_frames(stepper, stepper.first_frames)
    while len(played) < episodes:
        if stop():
            return None
        result = stepper.step(choose(stepper.observations, stepper.allowed))
        _check_frames(stepper, result.frames)
        for index, statistics in result.finished:
            if next_episodes[index] < episodes:
                played[next_episodes[index]] = statistics
            next_episodes[index] += stepper.count
        if tell is not None:
            tell(len(played), stepper.environment_steps // stepper.count)
    ordered = [played[episode] for episode in range(episodes)]
    return EvaluationScores(
        returns=tuple(statistics.total_reward for statistics in ordered),
        lengths=tuple(statistics.length for statistics in ordered),
        cut=sum(statistics.cut for statistics in ordered),
    )


def _check_frames(stepper: EnvironmentStepper, frames: NDArray[Any]) -> None:
    if frames.dtype.kind != "f" or np.isfinite(frames).all():
        return
    index = int(np.argwhere(~np.isfinite(frames))[0][0])
    raise stepper.refuse(
        index, stepper.environment_steps, f"an observation that is not finite: {frames[index]}"
    )
