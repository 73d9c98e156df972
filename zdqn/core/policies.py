"""Acting greedily with a network: NumPy in, NumPy out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from zdqn.core.exploration import Choice, Exploration
from zdqn.rl.inference import dense_forward
from zdqn.rl.networks import load_arrays, tensor_view


class GreedyPolicy:
    """A network to act with.

    Args:
        network: on any device; put into evaluation mode, and shared, not copied. A network that
            is also trained is better copied first if it has dropout or batch normalization.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()
        self._device = _device(network)
        self._dense = dense_forward(network)
        self._most_rows = self._dense.most_rows if self._dense is not None else 0

    def q_values(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """Evaluate observations.

        Args:
            observations: shape (N, *stacked_shape), the environment's dtype; may be read-only.

        Returns:
            Action values, shape (N, num_actions), float32.
        """
        if self._dense is not None and 0 < len(observations) <= self._most_rows:
            return self._dense(observations)
        with torch.inference_mode():
            values = self.network(tensor_view(observations).to(self._device))
            return cast("NDArray[np.float32]", values.cpu().numpy())

    def greedy_actions(self, observations: NDArray[Any]) -> NDArray[np.int64]:
        """Choose the action of the highest value, the first of equals.

        Args:
            observations: shape (N, *stacked_shape), the environment's dtype; may be read-only.

        Returns:
            Actions, shape (N,), int64.
        """
        actions: NDArray[np.int64] = self.q_values(observations).argmax(1)
        return actions

    def choose(
        self,
        observations: NDArray[Any],
        exploration: Exploration,
        weight_version: int,
        *,
        estimate: bool,
    ) -> Choice:
        """Act greedily where not exploring; the network is asked only if it matters.

        Args:
            observations: shape (N, *stacked_shape), the environment's dtype; may be read-only.
            exploration: where to act at random instead.
            weight_version: packed version of the network's weights.
            estimate: whether to give Q values, for priorities.

        Returns:
            What to do in each environment.
        """
        if estimate:
            values = self.q_values(observations)
            greedy = values.argmax(1)
            actions = exploration.over(greedy)
            rows = np.arange(len(actions))
            return Choice(actions, weight_version, values[rows, actions], values[rows, greedy])
        if exploration.exploring.all():
            return Choice(exploration.actions, weight_version)
        return Choice(exploration.over(self.greedy_actions(observations)), weight_version)

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over weights, in place.

        Args:
            arrays: as given by `zdqn.rl.networks.weights_to_arrays`.

        Raises:
            MismatchError: if they are not for this network; it keeps its weights then.
        """
        load_arrays(self.network, arrays)


def greedy_actions(network: nn.Module, observations: NDArray[Any]) -> NDArray[np.int64]:
    """Choose actions once; hold a `GreedyPolicy` to do so again and again.

    Args:
        network: put into evaluation mode.
        observations: shape (N, *stacked_shape), the environment's dtype; may be read-only.

    Returns:
        The action of the highest value of each, the first of equals, shape (N,), int64.
    """
    return GreedyPolicy(network).greedy_actions(observations)


def _device(network: nn.Module) -> torch.device:
    """Give where the network's parameters are; a network without any is on the CPU."""
    parameter = next(network.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
