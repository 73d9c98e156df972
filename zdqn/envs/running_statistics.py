"""Wrappers that normalize by what they have seen: refused, for each would see something else.

Such a wrapper belongs to one environment. Collectors, evaluators and `zdqn evaluate` would each
show the network other numbers for the same state, and none of them is saved with it.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from gymnasium.wrappers import vector as vector_wrappers

from zdqn.errors import ConfigError

_OBSERVATIONS = (NormalizeObservation, vector_wrappers.NormalizeObservation)
_REWARDS = (NormalizeReward, vector_wrappers.NormalizeReward)


def check_running_statistics(environment: Any, *, made: Any = None) -> None:
    """Refuse an environment whose observations, or scores, depend on what it has seen before.

    A wrapper that holds a running mean and variance (a class named ``RunningMeanStd``, as those of
    gymnasium and Stable-Baselines3 are) is one. It may stay if it is told not to update them
    (``update_running_mean`` or ``training`` is False), or if they are those of rewards and it is
    one of ``environment.wrappers``, under which returns are taken.

    Args:
        environment: with all its wrappers; single or vectorized.
        made: the part of it that was made without ``environment.wrappers``.

    Raises:
        ConfigError: naming the wrapper and the ways out.
    """
    inside = False
    layer = environment
    while layer is not None:
        inside = inside or layer is made
        if _updates(layer):
            name = type(layer).__name__
            if not _of_rewards(layer):
                raise ConfigError(
                    f"The wrapper {name} normalizes observations by a mean and variance of its "
                    "own, which change as it sees more: every collector and evaluator would show "
                    "the network other numbers for the same state, and none is saved with it. Use "
                    "fixed bounds (RescaleObservation, or TransformObservation in a factory of "
                    "yours), or set its mean and variance there and update_running_mean = False."
                )
            if inside:
                raise ConfigError(
                    f"The environment is made with the wrapper {name}, whose scale changes as it "
                    "sees more, so that its returns could not be compared. Move it to "
                    "environment.wrappers: scores are those of the rewards under it."
                )
        layer = layer.env if isinstance(layer, _WRAPPERS) else None


_WRAPPERS = (gymnasium.Wrapper, gymnasium.vector.VectorWrapper)


def _updates(layer: Any) -> bool:
    frozen = False in (
        getattr(layer, "update_running_mean", None), getattr(layer, "training", None),
    )  # fmt: skip
    return not frozen and bool(isinstance(layer, (*_OBSERVATIONS, *_REWARDS)) or _statistics(layer))


def _of_rewards(layer: Any) -> bool:
    if isinstance(layer, _OBSERVATIONS):
        return False
    means: list[Any] = [getattr(found, "mean", None) for found in _statistics(layer)]
    return isinstance(layer, _REWARDS) or all(np.shape(mean) == () for mean in means)


def _statistics(layer: Any) -> list[Any]:
    """Give the running means and variances that a wrapper holds."""
    values = vars(layer).values() if isinstance(layer, _WRAPPERS) else ()
    return [
        value
        for value in values
        if any(kind.__name__ == "RunningMeanStd" for kind in type(value).__mro__)
    ]
