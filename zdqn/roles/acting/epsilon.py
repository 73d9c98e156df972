"""How much a collector explores, which follows the steps of all collectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.rl.schedules import LinearSchedule, ladder_epsilons


class StepsOfAll:
    """The environment steps of all collectors, as one of them can guess them.

    That is what was last heard of the learner, and this one's own steps of which the learner had
    not heard then, for each of the living collectors.
    """

    def __init__(self) -> None:
        self._heard = 0
        self._own_then = 0

    def guess(self, *, heard: int, own: int, collectors: int, ahead: int = 0) -> int:
        """Give the steps of all.

        Args:
            heard: what the learner said last; an older or smaller number changes nothing.
            own: steps of this collector, >= 0.
            collectors: living ones, as far as is known; 0 counts as 1.
            ahead: steps of this collector that had not reached the memory when it heard, >= 0.

        Returns:
            The guess, >= the largest number heard.
        """
        if heard > self._heard:
            self._heard, self._own_then = heard, own - ahead
        return self._heard + (own - self._own_then) * max(collectors, 1)


class EpsilonSource:
    """The epsilon of each of a collector's environments.

    Args:
        config: its ``exploration`` section is used.
    """

    def __init__(self, config: Config) -> None:
        section = config.exploration
        self._section = section
        self._index = -1
        self._environments = config.collector.environments
        self._planned = config.launch.collectors
        self._linear = LinearSchedule(
            section.epsilon_initial,
            section.epsilon_final,
            section.epsilon_decay_environment_steps,
        )
        self._collectors = 0
        self._rungs: NDArray[np.float64] | None = None

    def at(
        self, environment_steps: int, collectors: int, index: int
    ) -> float | NDArray[np.float64]:
        """Give epsilon now.

        Args:
            environment_steps: of all collectors.
            collectors: living ones, as far as is known.
            index: of this one among them, from 0.

        Returns:
            One number, or one for each environment, shape (N,).
        """
        if self._section.kind == "linear":
            return self._linear(environment_steps)
        collectors = max(collectors, self._planned, index + 1)
        if self._rungs is None or (collectors, index) != (self._collectors, self._index):
            self._collectors, self._index = collectors, index
            ladder = ladder_epsilons(
                collectors * self._environments,
                base=self._section.ladder_base,
                exponent=self._section.ladder_exponent,
            )
            start = self._index * self._environments
            self._rungs = ladder[start : start + self._environments]
        return self._rungs
