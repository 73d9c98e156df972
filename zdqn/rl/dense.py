"""Fully connected Q-networks in NumPy, for acting on a few observations at a time.

There PyTorch spends more on finding out what to do than on doing it: three times the NumPy code's
time for one observation of CartPole, and more yet when its code has left the processor's caches.
And a collector that only acts need not load it: a second less to start, and 150 MB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from zdqn.data import EnvironmentSpec
from zdqn.rl.weight_checks import check_finite, check_schema

Values: TypeAlias = NDArray[np.float32]
Layer: TypeAlias = Callable[[Values], Values]

ACTIVATIONS: dict[str, Layer] = {
    "relu": lambda values: np.maximum(values, 0.0, out=values),
    "tanh": lambda values: np.tanh(values, out=values),
}
"""Those activations of `zdqn.rl.networks` that NumPy has, done in place."""

MOST_MULTIPLICATIONS = 2**18
"""In one layer. Above, PyTorch is the faster, and OpenBLAS would start threads."""


class DenseNetwork:
    """The forward pass of `zdqn.rl.networks.build_network`'s ``"mlp"``, on the CPU.

    Args:
        parameters: by the names that PyTorch gives them; shared, not copied, so that what is
            written to them later is used.
        activation: one of `ACTIVATIONS`, after each hidden layer.

    Attributes:
        most_rows: observations up to which this is the faster way, >= 0.
    """

    def __init__(self, parameters: Mapping[str, Values], activation: str) -> None:
        self._parameters = parameters
        self._layers: list[Layer] = []
        hidden = 0
        while f"hidden_{hidden}.weight" in parameters:
            self._layers += [_linear(parameters, f"hidden_{hidden}"), ACTIVATIONS[activation]]
            hidden += 1
        head = _linear if "head.weight" in parameters else _dueling
        self._layers.append(head(parameters, "head"))
        largest = max(array.size for array in parameters.values())
        self.most_rows = MOST_MULTIPLICATIONS // largest

    @classmethod
    def empty(
        cls, spec: EnvironmentSpec, *, hidden: Sequence[int], activation: str, dueling: bool
    ) -> DenseNetwork:
        """Make a network whose weights are still to be loaded.

        Args:
            spec: the environment that it is for.
            hidden: units of each hidden layer.
            activation: one of `ACTIVATIONS`.
            dueling: whether it ends in a value and an advantage head.
        """
        widths = [math.prod(spec.stacked_shape), *hidden]
        outputs = {f"hidden_{index}": units for index, units in enumerate(hidden)}
        heads = {"head.value": 1, "head.advantage": spec.num_actions}
        outputs |= heads if dueling else {"head": spec.num_actions}
        inputs = [*widths, widths[-1]] if dueling else widths
        parameters: dict[str, Values] = {}
        for (name, units), features in zip(outputs.items(), inputs, strict=True):
            parameters[f"{name}.weight"] = np.zeros((units, features), np.float32)
            parameters[f"{name}.bias"] = np.zeros(units, np.float32)
        return cls(parameters, activation)

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over weights, in place.

        Args:
            arrays: as given by `zdqn.rl.weight_arrays.weights_to_arrays`; may be read-only.

        Raises:
            MismatchError: if names, shapes or dtypes differ from the network's, or a value is not
                finite; nothing has been changed then.
        """
        if not self._takes(arrays):
            check_schema("weights", self._parameters, arrays)  # says what differs
        check_finite(arrays)
        for name, parameter in self._parameters.items():
            np.copyto(parameter, arrays[name])

    def _takes(self, arrays: Mapping[str, NDArray[Any]]) -> bool:
        own = self._parameters
        return arrays.keys() == own.keys() and all(
            array.shape == own[name].shape and array.dtype == own[name].dtype
            for name, array in arrays.items()
        )

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


def _linear(parameters: Mapping[str, Values], name: str) -> Layer:
    weight, bias = parameters[f"{name}.weight"].T, parameters[f"{name}.bias"]

    def layer(values: Values) -> Values:
        values = np.dot(values, weight)
        values += bias
        return values

    return layer


def _dueling(parameters: Mapping[str, Values], name: str) -> Layer:
    value, advantage = (
        _linear(parameters, f"{name}.value"),
        _linear(parameters, f"{name}.advantage"),
    )

    def layer(features: Values) -> Values:
        advantages = advantage(features)
        advantages += value(features) - advantages.mean(1, keepdims=True)
        return advantages

    return layer
