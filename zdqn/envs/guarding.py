"""The outermost wrapper of every environment: what leaves it is what the rest may trust.

Gymnasium's vector environments cast, reshape and merge what environments return without a word, or
fail far from the cause. Here each value is checked where it comes from, and what nobody needs
(`info`) is dropped.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np

from zdqn.envs.masking import MASK_KEY, read_masks
from zdqn.envs.spaces import image_bound

CHOSEN_LIMIT = 10_000
"""Steps after which an evaluation cuts off an episode of an environment without a time limit."""

RETURN_KEY = "zdqn/return"
"""In `info` at an episode's end: its return by the environment's own rewards."""
CUT_KEY = "zdqn/cut"
"""In `info` at an episode's end: that it was cut off, and did not end by itself."""

UNUSED_MASK_KEY = "zdqn/unused_mask"
"""In `info` of a reset: that there was a mask of allowed actions, and that nobody asked for any."""

_NUMBERS = (float, int, np.floating, np.integer, np.bool_)


class OwnRewards(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Adds up the rewards of the environment itself, under all wrappers that may change them.

    Args:
        environment: as it was made, no other wrapper applied.
    """

    def __init__(self, environment: gymnasium.Env[Any, Any]) -> None:
        super().__init__(environment)
        self._total: float | None = 0.0

    def step(self, action: Any) -> Any:
        """Step, and add the reward up."""
        result = self.env.step(action)
        reward = result[1]
        if not isinstance(reward, _NUMBERS):
            self._total = None
        elif self._total is not None:
            self._total += float(reward)
        return result

    def take(self) -> float | None:
        """Give the sum since the last call; None if a reward was no single number, or not finite.

        A wrapper that puts something else in place of such a reward is in its right.
        """
        total, self._total = self._total, 0.0
        return total if total is not None and math.isfinite(total) else None


class Guarded(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Refuses what an environment may not return, and drops what nobody needs.

    Observations must be what the observation space declares. Reward and flags must be single
    numbers, also as arrays of one element. `info` is dropped, whatever it holds: all that leaves
    is `RETURN_KEY` and `CUT_KEY`, at an episode's end, and masks where there are some.

    Args:
        environment: observes a Box, all other wrappers applied.
        own_rewards: the innermost wrapper, where others are between; None: there are none.
        limit: steps after which an episode is cut off; None: never.
        action_masks: whether each observation must come with a mask, under `MASK_KEY`.
    """

    def __init__(
        self,
        environment: gymnasium.Env[Any, Any],
        own_rewards: OwnRewards | None = None,
        limit: int | None = None,
        action_masks: bool = False,
    ) -> None:
        super().__init__(environment)
        self._masks_shape: tuple[int, ...] | None = None
        if action_masks:
            actions = environment.action_space
            assert isinstance(actions, gymnasium.spaces.Discrete)
            self._masks_shape = (int(actions.n),)
        self._shape = environment.observation_space.shape
        self._dtype = environment.observation_space.dtype
        space = environment.observation_space
        self._bound = image_bound(space) if isinstance(space, gymnasium.spaces.Box) else 0
        self._own_rewards = own_rewards
        self._limit = math.inf if limit is None else limit
        self._length = 0
        self._return = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset and check.

        Raises:
            TypeError: naming what came and what is declared.
        """
        begun: Any = self.env.reset(seed=seed, options=options)
        observation, given = begun
        self._check(observation)
        info: dict[str, Any] = {}
        if self._masks_shape is not None:
            info[MASK_KEY] = read_masks(given, self._masks_shape, "reset()")
        elif isinstance(given, dict) and MASK_KEY in given:
            info[UNUSED_MASK_KEY] = True
        self._length, self._return = 0, 0.0
        if self._own_rewards is not None:
            self._own_rewards.take()  # of steps within the reset, such as no-ops
        return observation, info

    def step(self, action: Any) -> Any:
        """Step and check.

        Raises:
            TypeError: naming what came and what is declared.
        """
        result: Any = self.env.step(action)
        observation, reward, terminated, truncated, given = result
        self._check(observation)
        if type(reward) is not float:
            reward = _number(reward)
        if type(terminated) is not bool:
            terminated = _flag("terminated", terminated)
        if type(truncated) is not bool:
            truncated = _flag("truncated", truncated)
        self._length += 1
        info: dict[str, Any] = {}
        if self._masks_shape is not None:
            info[MASK_KEY] = read_masks(given, self._masks_shape, "step()", terminated)
        if self._own_rewards is not None:
            own = self._own_rewards.take()
            self._return += reward if own is None else own
            if terminated or truncated:
                info[RETURN_KEY] = self._return
        if self._length >= self._limit and not (terminated or truncated):
            truncated = info[CUT_KEY] = True
            if self._own_rewards is not None:
                info[RETURN_KEY] = self._return
        return observation, reward, terminated, truncated, info

    def _check(self, observation: Any) -> None:
        if (
            isinstance(observation, np.ndarray)
            and observation.shape == self._shape
            and observation.dtype == self._dtype
        ):
            if self._bound:
                self._check_bound(observation)
            return
        found = type(observation).__name__
        if isinstance(observation, np.ndarray):
            found = _described(observation)
        raise TypeError(
            f"the observation is {found}, but observation_space declares shape "
            f"{self._shape}, dtype {self._dtype}"
        )

    def _check_bound(self, image: np.ndarray[Any, Any]) -> None:
        largest = max(abs(int(image.min())), abs(int(image.max())))
        if largest > self._bound:
            raise TypeError(
                f"the observation holds {largest}, but observation_space declares at most "
                f"{self._bound}, by which images are scaled"
            )


def time_limit(environment: gymnasium.Env[Any, Any]) -> bool:
    """Whether an environment says of itself that its episodes end after some steps.

    Args:
        environment: with all its wrappers.
    """
    spec = environment.spec
    if spec is not None and (
        spec.max_episode_steps is not None or "max_num_frames_per_episode" in spec.kwargs
    ):
        return True
    return any(isinstance(layer, gymnasium.wrappers.TimeLimit) for layer in layers(environment))


def layers(environment: gymnasium.Env[Any, Any]) -> list[gymnasium.Env[Any, Any]]:
    """Give an environment's wrappers, outermost first, and the environment itself at the end."""
    found = [environment]
    while isinstance(found[-1], gymnasium.Wrapper):
        found.append(found[-1].env)
    return found


def _number(reward: Any) -> float:
    if isinstance(reward, _NUMBERS):
        return float(reward)
    value = np.asarray(reward)
    if value.size == 1 and value.dtype.kind in "biuf":
        return float(value.item())
    raise TypeError(f"the reward is {_described(reward)}, but must be a single number")


def _flag(name: str, value: Any) -> bool:
    found = np.asarray(value)
    if found.size == 1 and found.dtype.kind in "biuf" and found.item() in (0, 1):
        return bool(found.item())
    raise TypeError(f"{name} is {_described(value)}, but must be True or False")


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}, dtype {value.dtype}"
    plain = value is None or isinstance(value, str | int | float)
    return repr(value)[:60] if plain else type(value).__name__
