"""Acting greedily with a PyTorch network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from zdqn.rl.greedy import Greedy
from zdqn.rl.networks import dense_view, q_values
from zdqn.rl.noisy import Noise, NoisyLinear, noisy_layers
from zdqn.rl.weight_arrays import load_arrays, tensor_view


class TorchPolicy(Greedy):
    """A network to act with.

    Args:
        network: on any device; its weights are shared, not copied, and it stays in the mode that it
            is in. So a network can be acted with and trained in turns.
        noise_seed: draw noise of this seed for each look at observations, where layers are noisy:
            so they explore. None acts by their means.

    Attributes:
        network: a view of it, always in evaluation mode.
    """

    def __init__(self, network: nn.Module, *, noise_seed: Sequence[int] | None = None) -> None:
        self.network = evaluation_view(network)
        self._noise: Noise | None = None
        if noise_seed is not None and noisy_layers(self.network):
            self._noise = Noise(self.network, noise_seed)
        self._looks = 0
        self._device = _device(network)
        self._dense = dense_view(network)

    def q_values(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """Evaluate observations; a few at a time in NumPy, where the network allows it."""
        dense = self._dense
        if dense is not None and 0 < len(observations) <= dense.most_rows:
            return dense(observations)
        if self._noise is not None:
            self._noise.use(self._looks)
            self._looks += 1
        with torch.inference_mode():
            values = q_values(self.network, tensor_view(observations).to(self._device))
            return cast("NDArray[np.float32]", values.cpu().numpy())

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over weights, in place."""
        load_arrays(self.network, arrays)


def evaluation_view(network: nn.Module) -> nn.Module:
    """Make a network in evaluation mode on the memory of one that may be in training.

    Args:
        network: left as it is.

    Returns:
        The same modules anew, with modes of their own and with the parameters and buffers of
        `network`: what trains one or loads into it, changes both. Noisy layers have no noise.
    """
    # The tables that hold them are shared, not only the tensors: some layers put new tensors there.
    # But noise is of who draws it.
    tables = [
        table
        for module in network.modules()
        for table in (module._parameters, module._buffers)
        if table is module._parameters or not isinstance(module, NoisyLinear)
    ]
    view = copy.deepcopy(network, {id(table): table for table in tables})
    for layer in noisy_layers(view):
        layer.silence()
    return view.eval()


def _device(network: nn.Module) -> torch.device:
    """Give where the network's parameters are; a network without any is on the CPU."""
    parameter = next(network.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
