"""Environments in which something is wrong."""

import threading

import gymnasium

RELEASED = threading.Event()
"""Set at the end of a test, so that no thread of it is left."""


class Hanging(gymnasium.Env):
    """Never comes back from a reset, until it is released."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        RELEASED.wait(60)
        raise RuntimeError("released")
