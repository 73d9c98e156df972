"""Environments: building them vectorized, and what the rest of the system must know of one.

Importing this package loads gymnasium, no torch, and registers ``zdqn/SlowCartPole-v0``.
"""

import gymnasium

from zdqn.envs.making import VECTORIZATIONS, make_environments
from zdqn.envs.spaces import environment_spec
from zdqn.envs.vector import close_environments, reset_environments

__all__ = [
    "VECTORIZATIONS",
    "close_environments",
    "environment_spec",
    "make_environments",
    "reset_environments",
]

gymnasium.register(
    id="zdqn/SlowCartPole-v0",
    entry_point="zdqn.envs.slow_cartpole:SlowCartPole",
    max_episode_steps=200,
)
