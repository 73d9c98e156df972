"""What one update is, whichever way its parts are computed: from a batch to changed weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast, overload

import torch
from torch import Tensor

from zdqn.rl.adam import Adam, Moments
from zdqn.rl.gradients import Descent, Differentiation, Seen
from zdqn.rl.objectives import Forward, Objective, weighted_mean
from zdqn.rl.training_batch import TrainingBatch


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


class Updates(Sequence[Update]):
    """What several updates saw, that were made in few calls; each is made an `Update` when asked.

    Args:
        parts: for each call, the same as for one update, with K updates in front of each shape.
    """

    def __init__(self, parts: Sequence[Update]) -> None:
        self.parts = tuple(parts)

    @classmethod
    def join(cls, made: Sequence[Sequence[Update]]) -> Sequence[Update]:
        """Put what calls have given one after the other."""
        if len(made) == 1:
            return made[0]
        if made and all(isinstance(each, Updates) for each in made):
            return cls([part for each in made for part in cast(Updates, each).parts])
        return [update for each in made for update in each]

    def __len__(self) -> int:
        return sum(len(part.loss) for part in self.parts)

    @overload
    def __getitem__(self, index: int) -> Update: ...

    @overload
    def __getitem__(self, index: slice) -> list[Update]: ...

    def __getitem__(self, index: int | slice) -> Update | list[Update]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        left = index + len(self) if index < 0 else index
        for part in self.parts:
            if 0 <= left < len(part.loss):
                metrics = {name: column[left] for name, column in part.metrics.items()}
                return Update(
                    part.priorities[left], part.loss[left], metrics, part.gradient_norm[left]
                )
            left -= len(part.loss)
        raise IndexError(index)


def priorities_of(updates: Sequence[Update]) -> Tensor:
    """Give the priorities of one or more updates, shape (K, B)."""
    if isinstance(updates, Updates):
        columns = [part.priorities for part in updates.parts]
        return columns[0] if len(columns) == 1 else torch.cat(columns)
    if len(updates) == 1:
        return updates[0].priorities[None]
    return torch.stack([update.priorities for update in updates])


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


class UpdateRule:
    """Loss, gradients, clipping and step, in this order.

    Args:
        objective: what to train for.
        differentiate: how gradients are taken.
        adam: how to step.
        max_gradient_norm: gradients of a larger L2 norm are scaled down to it; 0 for no limit.
    """

    def __init__(
        self,
        objective: Objective,
        differentiate: Differentiation,
        adam: Adam,
        max_gradient_norm: float,
    ) -> None:
        self.objective = objective
        self._differentiate = differentiate
        self.adam = adam
        self.max_gradient_norm = max_gradient_norm

    def update(
        self, batch: TrainingBatch, trained: Trained, corrections: tuple[Tensor, ...]
    ) -> Update:
        """Make one update.

        Args:
            batch: B transitions.
            trained: changed in place.
            corrections: of Adam for this step.

        Raises:
            ValueError: if the objective gives losses or priorities of another shape than (B,).
        """
        gradients, loss, (priorities, metrics) = self.find_descent(batch, trained)
        norm = self.clip_and_step(gradients, trained, corrections)
        return Update(priorities, loss, metrics, norm)

    def find_descent(self, batch: TrainingBatch, trained: Trained) -> Descent:
        """Compute loss and gradients."""

        def compute_loss(online: Forward, target: Forward) -> tuple[Tensor, Seen]:
            losses, priorities, metrics = self.objective(batch, online, target)
            _check_shapes(losses, priorities, batch)
            return weighted_mean(losses, batch.importance_weights), (priorities, metrics)

        return self._differentiate(compute_loss, trained.parameters, trained.target_parameters)

    def clip_and_step(
        self, gradients: dict[str, Tensor], trained: Trained, corrections: tuple[Tensor, ...]
    ) -> Tensor:
        """Change parameters and moments; give the norm that the gradients had, shape ()."""
        norm = _total_norm(gradients)
        divisor = None
        if self.max_gradient_norm > 0:
            divisor = ((norm + 1e-6) / self.max_gradient_norm).clamp(min=1.0)
        self.adam.apply(trained.parameters, trained.moments, gradients, divisor, corrections)
        return norm


def _total_norm(gradients: dict[str, Tensor]) -> Tensor:
    """Give the L2 norm of all gradients taken together, shape ()."""
    norm: Callable[[Tensor], Tensor] = torch.linalg.vector_norm
    return norm(torch.stack([norm(gradient) for gradient in gradients.values()]))


def _check_shapes(losses: Tensor, priorities: Tensor, batch: TrainingBatch) -> None:
    """Require one loss and one priority a transition."""
    shape = batch.actions.shape
    if losses.shape != shape or priorities.shape != shape:
        raise ValueError(
            f"the objective gave losses {tuple(losses.shape)} and priorities "
            f"{tuple(priorities.shape)} for {shape[0]} transitions: one of each is needed."
        )
