"""Environments in this process, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import SyncVectorEnv


class InTurn(SyncVectorEnv):
    """`SyncVectorEnv` for what `zdqn.envs.guarding.Guarded` lets through, with a quicker step.

    Observations of a Box are written to where they belong at once, and there is next to no `info`
    to be merged: what zdqn adds to stepping one environment is 2 us in place of 7.

    Args:
        makers: make the environments, which observe a Box.
        **options: of `SyncVectorEnv`; it must not copy, and reset in the step after an end.
    """

    _observations: np.ndarray[Any, Any]

    def step(self, actions: Any) -> Any:
        """Step each environment, or reset it if its episode has ended."""
        ended = self._autoreset_envs.tolist()
        infos: dict[str, Any] = {}
        for index, (environment, action) in enumerate(zip(self.envs, actions, strict=True)):
            if ended[index]:
                observation, info = environment.reset()
                result: Any = (0.0, False, False)
            else:
                observation, *result, info = environment.step(action)
            self._observations[index] = observation
            self._rewards[index], self._terminations[index], self._truncations[index] = result
            if info:
                infos = self._add_info(infos, info, index)
        self._autoreset_envs = self._terminations | self._truncations
        flags = self._terminations.copy(), self._truncations.copy()
        return self._observations, self._rewards.copy(), *flags, infos
