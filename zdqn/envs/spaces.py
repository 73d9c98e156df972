"""Spaces: which ones zdqn takes as they are, which it adapts, which it refuses."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import FlattenObservation, ReshapeObservation, TransformAction

from zdqn.data import ALLOWED_DTYPES, EnvironmentSpec
from zdqn.errors import ConfigError

FLATTENED = (
    spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Dict, spaces.Tuple,
)  # fmt: skip
"""Observation spaces that gymnasium's own flattening turns into one vector."""


_LARGEST_BOUND = 65_535
"""Above it a space says what fits into its dtype, and not what its observations are."""


def adapt_spaces(environment: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Wrap an environment so that it observes arrays and numbers its actions from 0.

    Discrete, MultiDiscrete, MultiBinary, Dict and Tuple observations are flattened, single numbers
    become vectors of length 1, and Discrete actions that start elsewhere are shifted.

    Args:
        environment: one environment, all other wrappers applied.

    Returns:
        The environment, wrapped where that was needed.

    Raises:
        ConfigError: if its spaces are none that a DQN can work with; the message names the space.
    """
    environment = _adapt_observations(environment)
    check_spaces(environment.observation_space, environment.action_space, numbered_from_0=False)
    return _adapt_actions(environment)


def check_spaces(
    observations: spaces.Space[Any],
    actions: spaces.Space[Any],
    *,
    numbered_from_0: bool = True,
    way_out: str = "A wrapper (environment.wrappers) can turn it into a Box.",
) -> None:
    """Check that spaces are such as the rest of the system works with.

    Args:
        observations: the space of one observation.
        actions: the space of one action.
        numbered_from_0: whether actions must be numbered from 0 already.
        way_out: what to do about an observation space that is none.

    Raises:
        ConfigError: naming the space, the rule and the way out.
    """
    if not isinstance(observations, spaces.Box) or observations.shape == ():
        raise ConfigError(
            f"The environment's observation space is {observations}, but observations must be "
            f"arrays (gymnasium.spaces.Box). {way_out}"
        )
    if 0 in observations.shape:
        raise ConfigError(f"The environment's observation space {observations} holds no numbers.")
    if observations.dtype.name not in ALLOWED_DTYPES:
        raise ConfigError(
            f"The environment's observations are of dtype {observations.dtype}, but may only be "
            f"{', '.join(ALLOWED_DTYPES)}. Convert them with the wrapper DtypeObservation, "
            'kwargs = {dtype = "float32"}.'
        )
    if not isinstance(actions, spaces.Discrete):
        raise ConfigError(
            f"The environment's action space is {actions}, but DQN needs discrete actions "
            "(gymnasium.spaces.Discrete). Put the wrapper DiscretizeAction, or one of your own, "
            "into environment.wrappers."
        )
    if numbered_from_0 and actions.start != 0:
        raise ConfigError(
            f"The environment's action space is {actions}, but a native vectorized environment "
            'must number its actions from 0. Use vectorization = "sync" or "async".'
        )


def environment_spec(
    environments: gymnasium.vector.VectorEnv[Any, Any, Any],
    frame_stack: int = 1,
    action_masks: bool = False,
) -> EnvironmentSpec:
    """Describe one of the environments that `make_environments` gave.

    Args:
        environments: the vectorized environment.
        frame_stack: frames in one observation, >= 1.
        action_masks: whether each observation comes with a mask.

    Returns:
        Shape, dtype, number of actions and stack.

    Raises:
        ConfigError: if `frame_stack` is less than 1, or the spaces are not usable.
    """
    if frame_stack < 1:
        raise ConfigError(
            f"environment.frame_stack is {frame_stack}, but an observation holds at least 1 frame. "
            "1 means no stacking."
        )
    observations = environments.single_observation_space
    actions = environments.single_action_space
    check_spaces(observations, actions)
    return spec_of_spaces(observations, actions, frame_stack, action_masks)


def spec_of_spaces(
    observations: spaces.Space[Any],
    actions: spaces.Space[Any],
    frame_stack: int,
    action_masks: bool = False,
) -> EnvironmentSpec:
    """Describe an environment by spaces that `check_spaces` has let pass."""
    assert isinstance(observations, spaces.Box)
    assert isinstance(actions, spaces.Discrete)
    return EnvironmentSpec(
        observation_shape=tuple(int(size) for size in observations.shape),
        observation_dtype=observations.dtype.name,
        num_actions=int(actions.n),
        frame_stack=frame_stack,
        observation_bound=image_bound(observations),
        action_masks=action_masks,
    )


def image_bound(space: spaces.Box) -> int:
    """Give the largest magnitude that a space allows the integers of an image.

    Args:
        space: of one observation.

    Returns:
        A number in [1, 65535]; 0 for what is no image of integers, has no such bound, or has the
        one of every uint8 image, 255.
    """
    if space.dtype.kind not in "ui" or len(space.shape) not in (2, 3):
        return 0
    bound = max(abs(int(space.low.min())), abs(int(space.high.max())))
    usual = space.dtype == np.uint8 and bound == 255
    return bound if bound <= _LARGEST_BOUND and not usual else 0


def _adapt_observations(environment: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    space = environment.observation_space
    if isinstance(space, FLATTENED):
        return FlattenObservation(environment)
    if isinstance(space, spaces.Box) and space.shape == ():
        return ReshapeObservation(environment, (1,))
    return environment


def _adapt_actions(environment: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    space = environment.action_space
    assert isinstance(space, spaces.Discrete)
    start = int(space.start)
    if start == 0:
        return environment
    return TransformAction(
        environment, lambda action: action + start, spaces.Discrete(int(space.n))
    )
