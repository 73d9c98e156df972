"""Targets, TD errors and losses of Q-learning, as pure functions of tensors.

Shapes are checked rather than broadcast: a (B, 1) among (B,) would silently give (B, B). All
functions work eagerly, under ``torch.func`` and inside ``torch.compile``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


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
    tensors = {**vectors, **tables}
    shapes = [tensor.shape for tensor in tensors.values()]
    sizes = [table.shape for table in tables.values()]
    fits = (
        all(tensor.ndim == 1 for tensor in vectors.values())
        and all(tensor.ndim == 2 for tensor in tables.values())
        and all(shape[0] == shapes[0][0] for shape in shapes)
        and all(size == sizes[0] for size in sizes)
    )
    if not fits:
        found = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        rule = [f"{name} (B,)" for name in vectors] + [f"{name} (B, A)" for name in tables]
        raise ValueError(f"shapes do not fit together: got {found}; expected {', '.join(rule)}")
