"""An environment of any spaces, and making environments with what a test leaves out."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from zdqn.envs import make_environments


def build(identifier="CartPole-v1", **changes):
    arguments: dict[str, Any] = {
        "kwargs": {},
        "wrappers": [],
        "max_episode_steps": None,
        "count": 2,
        "vectorization": "sync",
    }
    return make_environments(identifier, **(arguments | changes))


class Shaped(gymnasium.Env):
    """Any spaces; an observation is a sample, the last action is remembered."""

    def __init__(self, observation_space=None, action_space=None, fail=None):
        if fail is not None:
            raise fail
        self.observation_space = observation_space or spaces.Box(0, 1, (3,), np.float32)
        self.action_space = action_space or spaces.Discrete(2)
        self.actions = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        self.actions.append(action)
        return self.observation_space.sample(), 0.0, False, False, {}
