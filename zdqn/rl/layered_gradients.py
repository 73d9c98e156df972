"""Gradients of fully connected networks, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from zdqn.rl.gradients import ComputeLoss, Descent, Differentiation
from zdqn.rl.networks import dense_activation

_aten = torch.ops.aten

_ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "relu": (torch.relu_, partial(_aten.threshold_backward.default, threshold=0)),
    "tanh": (torch.tanh_, _aten.tanh_backward.default),
}
"""By name: in place, and its gradient by what comes out of it."""


class Layered(Differentiation):
    """Goes back through the layers itself; autograd's tape is for what follows their output.

    With small batches most of an eager update is spent on deciding what to compute. Here nothing is
    left to be decided: the same kernels are called in the same order as by `Taped`, to the same
    bits, in two thirds of the time.

    Args:
        parameters: of the online network, detached, by name; kept and read in each call.
        target_parameters: of the network for targets; `parameters` itself for the same one.
        activation: of both, one of `zdqn.rl.dense.ACTIVATIONS`.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        target_parameters: Mapping[str, Tensor],
        activation: str,
    ) -> None:
        self._online = _Layers(parameters, activation)
        self._target = self._online
        if target_parameters is not parameters:
            self._target = _Layers(target_parameters, activation)

    @classmethod
    def of(
        cls,
        online: nn.Module,
        parameters: Mapping[str, Tensor],
        target_parameters: Mapping[str, Tensor],
    ) -> Layered | None:
        """Give this way for a network that it is for.

        Args:
            online: any network.
            parameters: of it, those that are trained.
            target_parameters: of a copy of it, or the same.

        Returns:
            None if it is not fully connected to the end, or not trained as a whole.
        """
        activation = dense_activation(online)
        whole = parameters.keys() == dict(online.named_parameters()).keys()
        if activation is None or not whole or "head.weight" not in parameters:
            return None
        return cls(parameters, target_parameters, activation)

    def __call__(
        self,
        compute_loss: ComputeLoss,
        parameters: dict[str, Tensor],
        target_parameters: dict[str, Tensor],
    ) -> Descent:
        """Take the gradients of a loss; the parameters are those given at first."""
        outputs: list[Tensor] = []
        inputs: list[list[Tensor]] = []

        def online(observations: Tensor) -> Tensor:
            output, of_layers = self._online.forward(observations)
            if torch.is_grad_enabled():
                outputs.append(output.requires_grad_())
                inputs.append(of_layers)
            return output

        def target(observations: Tensor) -> Tensor:
            return self._target.forward(observations)[0]

        loss, seen = compute_loss(online, target)
        found = torch.autograd.grad(loss, outputs, allow_unused=True)
        gradients: dict[str, Tensor] = {}
        with torch.no_grad():
            for gradient, of_layers in zip(reversed(found), reversed(inputs), strict=True):
                if gradient is not None:
                    self._online.add_gradients(gradient, of_layers, gradients)
        if not gradients:
            gradients = {name: torch.zeros_like(each) for name, each in parameters.items()}
        return Descent({name: gradients[name] for name in parameters}, loss.detach(), seen)


class _Layers:
    """A fully connected network's layers, each a linear map and all but the last an activation."""

    def __init__(self, parameters: Mapping[str, Tensor], activation: str) -> None:
        self._activate, self._activation_gradient = _ACTIVATIONS[activation]
        names = [name.removesuffix(".weight") for name in parameters if name.endswith(".weight")]
        *self._hidden, self._head = [
            (name, parameters[f"{name}.weight"].t(), parameters[f"{name}.bias"]) for name in names
        ]

    def forward(self, observations: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Give the output for observations, and what each layer was given."""
        with torch.no_grad():
            inputs = [observations.flatten(1).to(torch.float32)]
            for _, weight, bias in self._hidden:
                inputs.append(self._activate(torch.addmm(bias, inputs[-1], weight)))
            _, weight, bias = self._head
            return torch.addmm(bias, inputs[-1], weight), inputs

    def add_gradients(
        self, gradient: Tensor, inputs: list[Tensor], gradients: dict[str, Tensor]
    ) -> None:
        """Go back through the layers.

        Args:
            gradient: of the loss in the output.
            inputs: what each layer was given for that output.
            gradients: those of the parameters, by name; added to.
        """
        layers = [*self._hidden, self._head]
        for index in range(len(layers) - 1, -1, -1):
            name, weight, _ = layers[index]
            _add(gradients, f"{name}.weight", torch.mm(gradient.t(), inputs[index]))
            _add(gradients, f"{name}.bias", gradient.sum(0))
            if index:
                before = torch.mm(gradient, weight.t())
                gradient = self._activation_gradient(before, inputs[index])


def _add(gradients: dict[str, Tensor], name: str, gradient: Tensor) -> None:
    earlier = gradients.get(name)
    gradients[name] = gradient if earlier is None else earlier + gradient
