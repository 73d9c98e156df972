"""One optimizer for every objective: from a batch to changed weights, eager or compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from zdqn.errors import ConfigError, UsageError
from zdqn.rl.adam import Adam, AdamSettings, FusedAdam, Moments, WrittenAdam
from zdqn.rl.compiling import compile_method
from zdqn.rl.gradients import Descent, Differentiation, Functional, Seen, Taped
from zdqn.rl.objectives import Forward, Objective, weighted_mean
from zdqn.rl.option_checks import check_range
from zdqn.rl.training_batch import TrainingBatch
from zdqn.rl.weight_checks import check_schema

GradientHook: TypeAlias = Callable[[dict[str, Tensor]], dict[str, Tensor]]
"""Gradients by parameter in, those to step with out."""


class Update(NamedTuple):
    """What one update saw, on the networks' device; reading a number out of it may wait.

    Attributes:
        priorities: of each transition before the update, shape (B,), float32, >= 0.
        loss: the weighted mean of the losses, shape ().
        metrics: the objective's own, shape () each, by name.
        gradient_norm: L2 norm of all gradients before clipping, shape ().
    """

    priorities: Tensor
    loss: Tensor
    metrics: dict[str, Tensor]
    gradient_norm: Tensor


class Trained(NamedTuple):
    """The tensors of an update; the networks' own, so that writing to them is training.

    Attributes:
        parameters: of the online network, detached, by name; changed in place.
        target_parameters: of the target network, by name; `parameters` itself if it is the same.
        moments: Adam's; changed in place.
    """

    parameters: dict[str, Tensor]
    target_parameters: dict[str, Tensor]
    moments: Moments


class Optimizer:
    """Makes the updates of one network for one objective.

    Args:
        objective: what to train for.
        online: the network to train, all trainable parameters float32, on its device.
        target: the network for targets, without gradients; `online` itself for none.
        adam: how to step.
        max_gradient_norm: gradients of a larger L2 norm are scaled down to it; 0 for no limit.
        compile: run each update as one graph made by ``torch.compile``. The first update then
            takes many seconds, the later ones less than half of the time.
        gradient_hook: is given the gradients of each update and gives those to step with, such as
            their mean over several learners; by the same names, of the same shapes. They may be
            written to. It is never compiled, so that it may wait for others: with ``compile`` what
            comes before it is one graph and what comes after it another.

    Raises:
        ConfigError: if an option is out of range, or the network cannot be trained.
    """

    def __init__(
        self,
        objective: Objective,
        online: nn.Module,
        target: nn.Module,
        adam: AdamSettings,
        *,
        max_gradient_norm: float,
        compile: bool,  # noqa: A002 - the name that the configuration has
        gradient_hook: GradientHook | None = None,
    ) -> None:
        norm = max_gradient_norm
        check_range("max_gradient_norm", norm, norm >= 0, "0 or more")
        self._objective = objective
        self._max_norm = max_gradient_norm
        self._hook = gradient_hook
        trainable = _trainable(online)
        # Detached tensors share the memory of the parameters and may be written in place.
        parameters = {name: tensor.detach() for name, tensor in trainable.items()}
        target_parameters = parameters
        if target is not online:
            target_parameters = {name: p.detach() for name, p in target.named_parameters()}
        self._trained = Trained(parameters, target_parameters, Moments.zeros(parameters))

        self._differentiate: Differentiation
        self._adam: Adam
        if compile:
            device = next(iter(parameters.values())).device
            self._differentiate = Functional(online, target)
            self._adam = WrittenAdam(adam, device)
        else:
            self._differentiate = Taped(online, target, trainable)
            self._adam = FusedAdam(adam, parameters)
        self._descend, self._apply = self._find_descent, self._clip_and_step
        self._update = self._update_once
        if compile and gradient_hook is None:
            self._update = compile_method(self._update_once)
        elif compile:
            self._descend = compile_method(self._find_descent)
            self._apply = compile_method(self._clip_and_step)

    def step(self, batches: Sequence[TrainingBatch], updates: int) -> list[Update]:
        """Make one update with each batch, in order, all with the same target network.

        Args:
            batches: one or more, of the online network's device.
            updates: made so far, >= 0.

        Returns:
            What was seen, one a batch, as tensors that were not waited for.

        Raises:
            ConfigError: if ``torch.compile`` does not work here.
            UsageError: if the hook gives gradients of other parameters or shapes.
            ValueError: if the objective gives losses or priorities of another shape than (B,).
        """
        return [
            self._update(batch, self._trained, self._adam.corrections(updates + done))
            for done, batch in enumerate(batches)
        ]

    def _update_once(
        self, batch: TrainingBatch, trained: Trained, corrections: tuple[Tensor, ...]
    ) -> Update:
        """Make one update: the whole algorithm, whichever way its parts are computed."""
        gradients, loss, (priorities, metrics) = self._descend(batch, trained)
        if self._hook is not None:
            gradients = _check_hooked(self._hook(gradients), trained.parameters)
        norm = self._apply(gradients, trained, corrections)
        return Update(priorities, loss, metrics, norm)

    def _find_descent(self, batch: TrainingBatch, trained: Trained) -> Descent:
        """Compute loss and gradients."""

        def compute_loss(online: Forward, target: Forward) -> tuple[Tensor, Seen]:
            losses, priorities, metrics = self._objective(batch, online, target)
            _check_shapes(losses, priorities, batch)
            return weighted_mean(losses, batch.importance_weights), (priorities, metrics)

        return self._differentiate(compute_loss, trained.parameters, trained.target_parameters)

    def _clip_and_step(
        self, gradients: dict[str, Tensor], trained: Trained, corrections: tuple[Tensor, ...]
    ) -> Tensor:
        """Change parameters and moments; give the norm that the gradients had, shape ()."""
        norm = _total_norm(gradients)
        divisor = None
        if self._max_norm > 0:
            divisor = ((norm + 1e-6) / self._max_norm).clamp(min=1.0)
        self._adam.apply(trained.parameters, trained.moments, gradients, divisor, corrections)
        return norm

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Copy what the next updates depend on beside the networks: Adam's moments, on the CPU."""
        first, second = (
            {name: moment.to("cpu", copy=True) for name, moment in moments.items()}
            for moments in self._trained.moments
        )
        return {"first_moments": first, "second_moments": second}

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Require the state of such an optimizer.

        Args:
            state: with the entries of `state_dict`, others beside them.

        Raises:
            MismatchError: if it is of another network.
        """
        for name in ("first_moments", "second_moments"):
            check_schema(f"the state's {name}", self._trained.parameters, state[name])

    def load_state_dict(self, state: Mapping[str, Any], updates: int) -> None:
        """Go on from where another optimizer was.

        Args:
            state: with the entries of `state_dict`, others beside them.
            updates: that were made, >= 0.

        Raises:
            MismatchError: if it is of another network; nothing has changed then.
        """
        self.check_state(state)
        moments = self._trained.moments
        for name in moments.first:
            moments.first[name].copy_(state["first_moments"][name])
            moments.second[name].copy_(state["second_moments"][name])
        self._adam.resume(updates)


def _total_norm(gradients: dict[str, Tensor]) -> Tensor:
    """Give the L2 norm of all gradients taken together, shape ()."""
    norm: Callable[[Tensor], Tensor] = torch.linalg.vector_norm
    return norm(torch.stack([norm(gradient) for gradient in gradients.values()]))


def _trainable(network: nn.Module) -> dict[str, nn.Parameter]:
    """Give the parameters to train, by name."""
    found = {name: p for name, p in network.named_parameters() if p.requires_grad}
    others = [f"{name} is {p.dtype}" for name, p in found.items() if p.dtype != torch.float32]
    if others or not found:
        reason = "; ".join(others) or "there are none"
        raise ConfigError(f"the network's trainable parameters must be float32: {reason}.")
    return found


def _check_shapes(losses: Tensor, priorities: Tensor, batch: TrainingBatch) -> None:
    """Require one loss and one priority a transition."""
    shape = batch.actions.shape
    if losses.shape != shape or priorities.shape != shape:
        raise ValueError(
            f"the objective gave losses {tuple(losses.shape)} and priorities "
            f"{tuple(priorities.shape)} for {shape[0]} transitions: one of each is needed."
        )


def _check_hooked(gradients: dict[str, Tensor], parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """Require a gradient of each parameter: one of another shape would be broadcast."""
    for name, parameter in parameters.items():
        if name not in gradients or gradients[name].shape != parameter.shape:
            found = tuple(gradients[name].shape) if name in gradients else "none"
            raise UsageError(
                f"the gradient hook gave for {name} a gradient of shape {found}; it must give one "
                f"of shape {tuple(parameter.shape)}, for each parameter that it was given."
            )
    return gradients
