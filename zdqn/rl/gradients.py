"""Gradients of a loss in a network's parameters, twice: from autograd's tape, and as a function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from zdqn.rl.noisy import noise_of
from zdqn.rl.objectives import Forward

Seen: TypeAlias = tuple[Tensor, dict[str, Tensor]]
"""Priorities and metrics of an `Assessment`."""
ComputeLoss: TypeAlias = Callable[[Forward, Forward], tuple[Tensor, Seen]]
"""Online and target network in; the loss, shape (), and what else was seen out."""


class Descent(NamedTuple):
    """Where a loss goes down.

    Attributes:
        gradients: of the loss, by parameter; of one that it does not depend on, zeros.
        loss: shape (), detached.
        seen: what else was seen.
    """

    gradients: dict[str, Tensor]
    loss: Tensor
    seen: Seen


class Differentiation(ABC):
    """A way to take gradients."""

    @abstractmethod
    def __call__(
        self,
        compute_loss: ComputeLoss,
        parameters: dict[str, Tensor],
        target_parameters: dict[str, Tensor],
    ) -> Descent:
        """Take the gradients of a loss.

        Args:
            compute_loss: called once, with both networks.
            parameters: of the online network, those that are trained.
            target_parameters: of the target network.
        """


class Taped(Differentiation):
    """Calls the networks as they are, and goes back along autograd's tape.

    Args:
        online: the network that learns.
        target: the network for targets, without gradients, or the same one.
        trainable: the online network's live parameters, by name.
    """

    def __init__(
        self, online: nn.Module, target: nn.Module, trainable: Mapping[str, nn.Parameter]
    ) -> None:
        self._online = online
        self._target = target
        self._names = list(trainable)
        self._trainable = list(trainable.values())

    def __call__(
        self,
        compute_loss: ComputeLoss,
        parameters: dict[str, Tensor],
        target_parameters: dict[str, Tensor],
    ) -> Descent:
        """Take the gradients of a loss; the parameters are the networks' own."""
        loss, seen = compute_loss(self._online, self._target)
        # None where the loss does not depend on a parameter.
        found: list[Tensor | None] = list(
            torch.autograd.grad(loss, self._trainable, allow_unused=True)
        )
        gradients = {
            name: torch.zeros_like(parameters[name]) if gradient is None else gradient
            for name, gradient in zip(self._names, found, strict=True)
        }
        return Descent(gradients, loss.detach(), seen)


class Surroundings(NamedTuple):
    """Tensors of the networks that are not trained, detached, by name.

    Attributes:
        buffers: of the online network; updates write to them.
        frozen: parameters of the online network without gradients.
        target_buffers: of the target network; none if it is the online network.
        noise: of the online network, other numbers in each update.
        target_noise: of the target network; none if it is the online network.
    """

    buffers: dict[str, Tensor]
    frozen: dict[str, Tensor]
    target_buffers: dict[str, Tensor]
    noise: dict[str, Tensor]
    target_noise: dict[str, Tensor]

    @classmethod
    def of(cls, online: nn.Module, target: nn.Module) -> Surroundings:
        """Give those of two networks, which may be one; they stay the networks' own."""
        frozen = {name: p.detach() for name, p in online.named_parameters() if not p.requires_grad}
        buffers, noise = _buffers_of(online)
        target_buffers, target_noise = ({}, {}) if target is online else _buffers_of(target)
        return cls(buffers, frozen, target_buffers, noise, target_noise)

    @property
    def lasting(self) -> tuple[dict[str, Tensor], ...]:
        """Give the groups of those that stay from update to update."""
        return (self.buffers, self.frozen, self.target_buffers)

    @property
    def drawn(self) -> tuple[dict[str, Tensor], ...]:
        """Give the groups of those that each update has of its own."""
        return (self.noise, self.target_noise)


def _buffers_of(network: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Give a network's buffers by name, and apart from them its noise."""
    noise = noise_of(network)
    buffers = {name: each for name, each in network.named_buffers() if name not in noise}
    return buffers, noise


class Functional(Differentiation):
    """Calls the networks with parameters that are given, without a tape: for graphs.

    Args:
        online: the network that learns.
        target: the network for targets, or the same one.
        surroundings: what takes the place of their other tensors; None leaves them as they are.
    """

    def __init__(
        self, online: nn.Module, target: nn.Module, surroundings: Surroundings | None = None
    ) -> None:
        self._online = online
        self._target = target
        own = Surroundings(_buffers_of(online)[0], {}, {}, {}, {})
        self._around = surroundings or own

    def __call__(
        self,
        compute_loss: ComputeLoss,
        parameters: dict[str, Tensor],
        target_parameters: dict[str, Tensor],
    ) -> Descent:
        """Take the gradients of a loss in these parameters."""

        def loss_of(weights: dict[str, Tensor]) -> tuple[Tensor, tuple[Seen, dict[str, Tensor]]]:
            # Copies, as what is from outside may not be written to here: a batch normalization
            # writes down its statistics.
            around = self._around
            buffers = {name: buffer.clone() for name, buffer in around.buffers.items()}
            besides = {**around.frozen, **buffers, **around.noise}

            def online(observations: Tensor) -> Tensor:
                tensors = {**weights, **besides}
                return cast(Tensor, functional_call(self._online, tensors, (observations,)))

            def target(observations: Tensor) -> Tensor:
                tensors = {**target_parameters, **around.target_buffers, **around.target_noise}
                if self._target is self._online:
                    tensors.update(besides)
                return cast(Tensor, functional_call(self._target, tensors, (observations,)))

            loss, seen = compute_loss(online, target)
            return loss, (seen, buffers)

        gradients, (loss, (seen, buffers)) = grad_and_value(loss_of, has_aux=True)(parameters)
        for name, buffer in self._around.buffers.items():
            buffer.copy_(buffers[name])
        return Descent(gradients, loss, seen)
