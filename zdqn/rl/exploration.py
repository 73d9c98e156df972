"""Epsilon-greedy exploration; NumPy only, for collectors that import no torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zdqn.rl.action_masks import draw_allowed


class Exploration(NamedTuple):
    """Where to explore, and what to do there.

    Attributes:
        exploring: shape (N,), bool.
        actions: random actions, shape (N,), int64; of no meaning where not exploring.
    """

    exploring: NDArray[np.bool_]
    actions: NDArray[np.int64]

    def over(self, greedy_actions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Replace greedy actions, shape (N,), where exploring."""
        return np.where(self.exploring, self.actions, greedy_actions)


class Choice(NamedTuple):
    """What to do in each of N environments, and why; in the order of `Rollout.step`.

    Attributes:
        actions: shape (N,), int64.
        weight_version: packed version of the weights that chose.
        chosen_q: Q(s, a) of these actions, shape (N,), float32, or None if nobody asked.
        best_q: max_a Q(s, a), shape (N,), float32, or None likewise.
    """

    actions: NDArray[np.int64]
    weight_version: int
    chosen_q: NDArray[np.float32] | None = None
    best_q: NDArray[np.float32] | None = None


def explore(
    count: int,
    num_actions: int,
    epsilon: float | NDArray[np.float64],
    rng: np.random.Generator,
    allowed: NDArray[np.bool_] | None = None,
) -> Exploration:
    """Draw for N environments whether each explores, and its random action.

    Args:
        count: N, environments.
        num_actions: actions to choose from, >= 1.
        epsilon: in [0, 1], one number or shape (N,); 0 never explores, 1 always.
        rng: gives 2 N doubles whatever the outcome, so that runs with different actions stay in
            step.
        allowed: which actions may be taken, shape (N, num_actions), bool, some in each row; None:
            all.

    Returns:
        Where to explore and how. A random action may happen to be the greedy one.

    Reference:
        Mnih et al. 2015, Nature 518, algorithm 1.
    """
    chance, choice = rng.random((2, count))
    # Not rng.integers, whose rejections would draw a varying number of bits.
    actions = (choice * num_actions).astype(np.int64)
    if allowed is not None:
        actions = draw_allowed(choice, allowed)
    return Exploration(chance < epsilon, actions)


def epsilon_greedy(
    greedy_actions: NDArray[np.int64],
    num_actions: int,
    epsilon: float | NDArray[np.float64],
    rng: np.random.Generator,
    allowed: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Replace each greedy action by a uniformly random one with probability epsilon.

    Args:
        greedy_actions: shape (N,), int64.
        num_actions: actions to choose from, >= 1.
        epsilon: in [0, 1], one number or shape (N,); 0 is exactly greedy, 1 exactly uniform.
        rng: gives 2 N doubles whatever the outcome, so that runs with different actions stay in
            step.
        allowed: see `explore`.

    Returns:
        Actions, shape (N,), int64. A random action may happen to be the greedy one.

    Reference:
        Mnih et al. 2015, Nature 518, algorithm 1.
    """
    return explore(len(greedy_actions), num_actions, epsilon, rng, allowed).over(greedy_actions)
