"""Acting greedily, without PyTorch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.rl.action_masks import allowed_values
from zdqn.rl.dense import DenseNetwork
from zdqn.rl.exploration import Choice, Exploration


class Greedy(ABC):
    """Something that knows action values. NumPy in, NumPy out."""

    @abstractmethod
    def q_values(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """Evaluate observations.

        Args:
            observations: shape (N, *stacked_shape), the environment's dtype; may be read-only.

        Returns:
            Action values, shape (N, num_actions), float32.
        """

    @abstractmethod
    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over weights, in place.

        Args:
            arrays: as given by `zdqn.rl.weight_arrays.weights_to_arrays`.

        Raises:
            MismatchError: if they are not for this network; it keeps its weights then.
        """

    def greedy_actions(
        self, observations: NDArray[Any], allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Choose the action of the highest value, the first of equals.

        Args:
            observations: shape (N, *stacked_shape), the environment's dtype; may be read-only.
            allowed: which actions may be taken, shape (N, num_actions), bool, some in each row;
                None: all.

        Returns:
            Actions, shape (N,), int64.
        """
        values = allowed_values(self.q_values(observations), allowed)
        actions: NDArray[np.int64] = values.argmax(1)
        return actions

    def choose(
        self,
        observations: NDArray[Any],
        exploration: Exploration,
        weight_version: int,
        *,
        estimate: bool,
        allowed: NDArray[np.bool_] | None = None,
    ) -> Choice:
        """Act greedily where not exploring; the network is asked only if it matters.

        Args:
            observations: shape (N, *stacked_shape), the environment's dtype; may be read-only.
            exploration: where to act at random instead; of the same `allowed`.
            weight_version: packed version of the network's weights.
            estimate: whether to give Q values, for priorities.
            allowed: see `greedy_actions`.

        Returns:
            What to do in each environment.
        """
        if estimate:
            values = allowed_values(self.q_values(observations), allowed)
            greedy = values.argmax(1)
            actions = exploration.over(greedy)
            rows = np.arange(len(actions))
            return Choice(actions, weight_version, values[rows, actions], values[rows, greedy])
        if np.count_nonzero(exploration.exploring) == len(observations):
            return Choice(exploration.actions, weight_version)
        greedy = self.greedy_actions(observations, allowed)
        return Choice(exploration.over(greedy), weight_version)


class DensePolicy(Greedy):
    """Acts with a network in NumPy.

    Args:
        network: shared, not copied.
    """

    def __init__(self, network: DenseNetwork) -> None:
        self._network = network

    def q_values(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """Evaluate observations, one or more."""
        return self._network(observations)

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over weights, in place."""
        self._network.load(arrays)
