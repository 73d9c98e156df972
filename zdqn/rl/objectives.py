"""What networks are trained for: objectives, and DQN's among them.

An objective looks at a batch with the online and the target network and says how wrong the online
network is about each transition: ``(batch, online, target) -> losses, priorities, metrics``. What
to do about it is the optimizer's business (`zdqn.rl.optimizer`), and when is the training loop's
(`zdqn.core.lockstep`).

**DQN.** Q(s, a) shall be the discounted return of action a in state s and of the best actions from
then on. Such values fulfil Bellman's equation, `Q(s, a) = E[r + gamma max_a' Q(s', a')]`, so each
transition tells what Q(s, a) should have been, its target y:

    Mnih et al. 2015           y = r + discount * max_a' Q_target(s', a')
    van Hasselt et al. 2016    y = r + discount * Q_target(s', argmax_a' Q_online(s', a'))

The target network is an older copy of the online network: without it every step towards a target
would move the target too. The maximum over noisy values is too high on average; the second form,
double Q-learning, has one network choose the action and the other one value it. `r` sums up the
rewards of n steps and `discount` is gamma^n, or 0 where the episode terminated and nothing follows.
Where some actions were not allowed at s', the maximum is over those that were: what could not be
done there says nothing about its worth.

Gradient descent then lowers a loss of the TD error `y - Q_online(s, a)`, in which y is held fixed:
half its square, or, so that no single surprise turns the network over, the Huber loss that goes on
straight beyond `huber_delta`. The size of the error is also how much there is to learn from the
transition, its priority (Schaul et al. 2016).

The functions below are pure, and work eagerly, under ``torch.func`` and inside ``torch.compile``.
They check shapes rather than broadcast: a (B, 1) among (B,) would silently give (B, B).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from zdqn.rl.allowed_actions import only_allowed
from zdqn.rl.option_checks import check_choice, check_range
from zdqn.rl.training_batch import TrainingBatch
from zdqn.rl.value_rescaling import ValueRescaling

Forward: TypeAlias = Callable[[Tensor], Tensor]
"""A network: observations (B, *stacked_shape) in, its output out; a module or a function."""


class Assessment(NamedTuple):
    """What an objective says of a batch.

    Attributes:
        losses: what is to become smaller, one a transition, shape (B,), float32, differentiable.
        priorities: how much there is to learn from each, shape (B,), float32, >= 0, detached: for
            Q-learning the size of its TD error. Their mean is reported as `td_error_mean`.
        metrics: more to report, by name: detached, shape (). `q_mean` is the mean over the batch of
            the highest value of an action that is allowed.
    """

    losses: Tensor
    priorities: Tensor
    metrics: dict[str, Tensor]


class Objective(Protocol):
    """Something to train a network for.

    It keeps no state, and looks at nothing but its arguments: it is run eagerly, under
    ``torch.func.grad`` and inside ``torch.compile``.
    """

    def __call__(self, batch: TrainingBatch, online: Forward, target: Forward) -> Assessment:
        """Assess a batch.

        Args:
            batch: B transitions; their importance weights are the optimizer's business.
            online: the network that learns.
            target: the network for targets, perhaps the same one; no gradient is to reach it.

        Returns:
            Losses to be averaged and minimized, priorities, and metrics.
        """
        ...


@dataclass(frozen=True)
class QLearning:
    """DQN: Q-learning with a target network, for networks whose output is action values.

    Args:
        double: double Q-learning targets in place of plain ones.
        loss: ``"huber"`` or ``"squared"``.
        huber_delta: error above which the Huber loss is linear, > 0.
        rescaling: what the network's values are a function of; None for the returns themselves.

    Raises:
        ConfigError: if an option is unknown or out of range.

    Reference:
        Mnih et al. 2015, Nature 518, algorithm 1; van Hasselt et al. 2016, arXiv:1509.06461.
    """

    double: bool
    loss: str
    huber_delta: float
    rescaling: ValueRescaling | None = None

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, ("huber", "squared"))
        check_range("huber_delta", self.huber_delta, self.huber_delta > 0, "above 0")

    def __call__(self, batch: TrainingBatch, online: Forward, target: Forward) -> Assessment:
        """Give losses of the TD errors `y - Q_online(s, a)`, their sizes, and ``q_mean``."""
        with torch.no_grad():
            targets = self._targets(batch, online, target)
        q_values = online(batch.observations)
        errors = td_errors(q_values, batch.actions, targets)
        returns = q_values.detach()
        if self.rescaling is not None:
            returns = self.rescaling.inverse(returns)
        returns = only_allowed(returns, batch.allowed)
        return assess_errors(errors, returns, self.loss, self.huber_delta)

    def _targets(self, batch: TrainingBatch, online: Forward, target: Forward) -> Tensor:
        """Give y, shape (B,)."""
        if self.rescaling is None:
            return self._returns(batch, online, target(batch.next_observations))
        next_q_target = self.rescaling.inverse(target(batch.next_observations))
        return self.rescaling(self._returns(batch, online, next_q_target))

    def _returns(self, batch: TrainingBatch, online: Forward, next_q_target: Tensor) -> Tensor:
        """Give what the actions should have been worth, shape (B,)."""
        next_q_target = only_allowed(next_q_target, batch.next_allowed)
        if not self.double:
            return q_learning_targets(batch.rewards, batch.discounts, next_q_target)
        next_q_online = only_allowed(online(batch.next_observations), batch.next_allowed)
        return double_q_targets(batch.rewards, batch.discounts, next_q_online, next_q_target)


def assess_errors(errors: Tensor, returns: Tensor, loss: str, huber_delta: float) -> Assessment:
    """Assess a batch by its TD errors.

    Args:
        errors: shape (B,), float32.
        returns: action values of the observations, shape (B, num_actions), float32; those of
            actions that are not allowed below all others.
        loss: ``"huber"`` or ``"squared"``.
        huber_delta: error above which the Huber loss is linear, > 0.

    Returns:
        Their losses, their sizes as priorities, and ``q_mean``.
    """
    losses = huber(errors, huber_delta) if loss == "huber" else squared(errors)
    metrics = {"q_mean": returns.detach().amax(1).mean()}
    return Assessment(losses, errors.detach().abs(), metrics)


def q_learning_targets(rewards: Tensor, discounts: Tensor, next_q_target: Tensor) -> Tensor:
    """Compute Q-learning targets `r + discount * max_a Q_target(s', a)`.

    Args:
        rewards: n-step returns, shape (B,), float32.
        discounts: bootstrap factors, shape (B,), float32; 0 where the episode terminated.
        next_q_target: target-network values of the next observations, shape (B, num_actions),
            float32.

    Returns:
        Targets, shape (B,), float32, detached from the graph.

    Raises:
        ValueError: if the shapes do not fit together; the message lists all of them.

    Reference:
        Mnih et al. 2015, Nature 518, algorithm 1.
    """
    _check_shapes(
        vectors={"rewards": rewards, "discounts": discounts},
        tables={"next_q_target": next_q_target},
    )
    return (rewards + discounts * next_q_target.amax(1)).detach()


def double_q_targets(
    rewards: Tensor, discounts: Tensor, next_q_online: Tensor, next_q_target: Tensor
) -> Tensor:
    """Compute double Q-learning targets: the online network chooses, the target network values.

    Args:
        rewards: n-step returns, shape (B,), float32.
        discounts: bootstrap factors, shape (B,), float32; 0 where the episode terminated.
        next_q_online: online values of the next observations, shape (B, num_actions), float32.
        next_q_target: target-network values of the same, shape (B, num_actions), float32.

    Returns:
        Targets, shape (B,), float32, detached from the graph.

    Raises:
        ValueError: if the shapes do not fit together; the message lists all of them.

    Reference:
        van Hasselt et al. 2016, arXiv:1509.06461, equation 4 with a target network.
    """
    _check_shapes(
        vectors={"rewards": rewards, "discounts": discounts},
        tables={"next_q_online": next_q_online, "next_q_target": next_q_target},
    )
    choices = next_q_online.argmax(1, keepdim=True)
    return (rewards + discounts * next_q_target.gather(1, choices).squeeze(1)).detach()


def td_errors(q_values: Tensor, actions: Tensor, targets: Tensor) -> Tensor:
    """Compute TD errors `target - Q(s, a)` of the actions that were taken.

    Args:
        q_values: online values of the observations, shape (B, num_actions), float32.
        actions: actions taken, shape (B,), int64.
        targets: shape (B,), float32.

    Returns:
        Errors, shape (B,), float32, differentiable in `q_values`.

    Raises:
        ValueError: if the shapes do not fit together; the message lists all of them.

    Reference:
        Schaul et al. 2016, arXiv:1511.05952, algorithm 1, line 11.
    """
    _check_shapes(vectors={"actions": actions, "targets": targets}, tables={"q_values": q_values})
    return targets - q_values.gather(1, actions.unsqueeze(1)).squeeze(1)


def squared(errors: Tensor) -> Tensor:
    """Compute half the square of each error.

    Args:
        errors: any shape, float32.

    Returns:
        Losses of the same shape, >= 0; the derivative is the error itself.
    """
    return 0.5 * errors.square()


def huber(errors: Tensor, delta: float) -> Tensor:
    """Compute a loss that is squared for small errors and linear for large ones.

    Args:
        errors: any shape, float32.
        delta: error above which the loss is linear, > 0; the derivative never exceeds it. With 1
            this is the error clipping of Mnih et al. 2015.

    Returns:
        Losses of the same shape: `e^2 / 2` where `|e| <= delta`, else `delta (|e| - delta / 2)`.
    """
    return functional.huber_loss(errors, torch.zeros_like(errors), reduction="none", delta=delta)


def weighted_mean(losses: Tensor, importance_weights: Tensor | None) -> Tensor:
    """Average the losses of a batch, each times its importance weight.

    Args:
        losses: shape (B,), float32.
        importance_weights: shape (B,), float32, in (0, 1]; None counts as all ones.

    Returns:
        `sum_i w_i l_i / B`, shape (). Divided by B and not by the sum of the weights, so that a
        batch of small weights takes a small step.

    Raises:
        ValueError: if the shapes differ; the message lists both.

    Reference:
        Schaul et al. 2016, arXiv:1511.05952, section 3.4 and algorithm 1, line 13.
    """
    if importance_weights is None:
        return losses.mean()
    _check_shapes(vectors={"losses": losses, "importance_weights": importance_weights}, tables={})
    return (losses * importance_weights).mean()


def _check_shapes(vectors: dict[str, Tensor], tables: dict[str, Tensor]) -> None:
    """Require vectors (B,) and tables (B, A) of one B and one A."""
    shapes = [tensor.shape for tensor in vectors.values()]
    sizes = [tensor.shape for tensor in tables.values()]
    # All at once rather than one by one, which every update would wait for.
    fits = shapes == shapes[:1] * len(shapes) and len(shapes[0]) == 1
    if fits and sizes:
        fits = sizes == sizes[:1] * len(sizes) and sizes[0][:-1] == shapes[0]
    if not fits:
        tensors = {**vectors, **tables}
        found = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        rule = [f"{name} (B,)" for name in vectors] + [f"{name} (B, A)" for name in tables]
        raise ValueError(f"shapes do not fit together: got {found}; expected {', '.join(rule)}")
