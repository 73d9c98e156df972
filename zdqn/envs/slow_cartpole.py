"""A CartPole whose steps take time, as those of a real simulator do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from numpy.typing import NDArray

from zdqn.errors import ConfigError

StepResult = tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]
"""Observation, reward, terminated, truncated, info."""


class SlowCartPole(CartPoleEnv):
    """CartPole that sleeps in each step; registered as ``zdqn/SlowCartPole-v0``, 200 steps.

    Distributed collection pays off only where making an experience costs more than learning from
    it, so studies of the number of collectors need an environment that is slow without keeping a
    core busy.
    """

    def __init__(self, sleep_s: float = 0.01, **kwargs: Any) -> None:
        """Make one.

        Args:
            sleep_s: seconds asleep in each step, finite and >= 0.
            **kwargs: what `CartPoleEnv` takes.

        Raises:
            ConfigError: if `sleep_s` is negative or not finite.
        """
        if not (math.isfinite(sleep_s) and sleep_s >= 0):
            raise ConfigError(
                f"environment.kwargs: sleep_s is {sleep_s}, but one step can only sleep a finite "
                "number of seconds >= 0. Leave it out for 0.01."
            )
        super().__init__(**kwargs)
        self.sleep_s = sleep_s

    def step(self, action: Any) -> StepResult:
        """Sleep, then step.

        Args:
            action: 0 pushes left, 1 pushes right.

        Returns:
            Observation (4,) float32, reward, terminated, truncated, info, as in CartPole.
        """
        time.sleep(self.sleep_s)
        step: Callable[..., Any] = super().step
        return cast("StepResult", step(action))
