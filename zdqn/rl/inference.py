"""Forward passes in NumPy, for acting with small networks on a few observations.

There PyTorch spends more on finding out what to do than on doing it: three times the NumPy code's
time for one observation of CartPole, and more yet when its code has left the processor's caches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from zdqn.rl.networks import DuelingHead, VectorInput

Values: TypeAlias = NDArray[np.float32]
Layer: TypeAlias = Callable[[Values], Values]

MOST_MULTIPLICATIONS = 2**18
"""In one layer. Above, PyTorch is the faster, and OpenBLAS would start threads."""


class DenseForward:
    """The forward pass of fully connected layers, on the CPU.

    Args:
        layers: called one after the other, on values of shape (N, features).
        most_rows: observations up to which this is the faster way, >= 0.
    """

    def __init__(self, layers: Sequence[Layer], most_rows: int) -> None:
        self._layers = layers
        self.most_rows = most_rows

    def __call__(self, observations: NDArray[Any]) -> Values:
        """Evaluate observations.

        Args:
            observations: shape (N, *stacked_shape), N >= 1, any dtype; may be read-only.

        Returns:
            Action values, shape (N, num_actions), float32; PyTorch's but for rounding.
        """
        values: Values = observations.reshape(len(observations), -1).astype(np.float32, copy=False)
        for layer in self._layers:
            values = layer(values)
        return values


def dense_forward(network: nn.Module) -> DenseForward | None:
    """Read a network that `zdqn.rl.networks.build_network` built as an ``"mlp"``.

    Args:
        network: whose memory is shared, not copied: what is loaded or trained there is used here.

    Returns:
        Its forward pass; None for a network of another kind, with an activation that NumPy lacks,
        or on a GPU.
    """
    modules = list(network.children()) if type(network) is nn.Sequential else []
    parameters = list(network.parameters())
    if not modules or type(modules[0]) is not VectorInput:
        return None
    if any(parameter.device.type != "cpu" for parameter in parameters):
        return None
    layers = [_translate(module) for module in modules[1:]]
    if None in layers:
        return None
    largest = max(parameter.numel() for parameter in parameters)
    return DenseForward(cast("list[Layer]", layers), MOST_MULTIPLICATIONS // largest)


def _translate(module: nn.Module) -> Layer | None:
    if type(module) is nn.Linear:
        return _linear(module)
    if type(module) is nn.ReLU:
        return lambda values: np.maximum(values, 0.0, out=values)
    if type(module) is nn.Tanh:
        return lambda values: np.tanh(values, out=values)
    if type(module) is DuelingHead:
        return _dueling(module)
    return None


def _linear(module: nn.Linear) -> Layer:
    weight, bias = module.weight.detach().numpy().T, module.bias.detach().numpy()

    def layer(values: Values) -> Values:
        values = np.dot(values, weight)
        values += bias
        return values

    return layer


def _dueling(module: DuelingHead) -> Layer:
    value, advantage = _linear(module.value), _linear(module.advantage)

    def layer(features: Values) -> Values:
        advantages = advantage(features)
        advantages += value(features) - advantages.mean(1, keepdims=True)
        return advantages

    return layer
