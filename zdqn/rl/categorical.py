"""C51: the distribution of a return as probabilities of fixed values, its atoms.

A network gives a logit for each of N atoms `z_i`, evenly spaced from `v_min` to `v_max`; the
probabilities of an action's return are their softmax `p_i(s, a)`, and its value is
`Q(s, a) = sum_i z_i p_i(s, a)`.

What follows a transition has the return `r + discount z_i` with the probability `p_i(s', a*)` of
the target network, where `a*` is the action of the highest value in s'. These values lie between
the atoms, or beyond them; the projection clips them and shares each probability among its two
neighbours, the nearer one having more:

    m_j = sum_i [1 - |clip(r + discount z_i, v_min, v_max) - z_j| / dz]_0^1  p_i(s', a*)

The loss is the cross entropy `-sum_j m_j log p_j(s, a)`. It is the priority too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zdqn.rl.allowed_actions import only_allowed
from zdqn.rl.distributions import Distribution, of_actions, of_best_following
from zdqn.rl.objectives import Assessment, Forward
from zdqn.rl.option_checks import check_range
from zdqn.rl.training_batch import TrainingBatch


@dataclass(frozen=True)
class Categorical(Distribution):
    """Probabilities of evenly spaced returns, from logits.

    Args:
        atoms: how many, N >= 2.
        v_min: the lowest return that can be told.
        v_max: the highest, above `v_min`.

    Raises:
        ConfigError: if a number is out of its range.

    Reference:
        Bellemare et al. 2017, arXiv:1707.06887, section 4.
    """

    atoms: int
    v_min: float
    v_max: float

    def __post_init__(self) -> None:
        check_range("atoms", self.atoms, self.atoms >= 2, "2 or more")
        check_range("v_max", self.v_max, self.v_max > self.v_min, f"above v_min ({self.v_min:g})")

    @property
    def numbers(self) -> int:
        """How many a network gives for each action."""
        return self.atoms

    def support(self, like: Tensor) -> Tensor:
        """Give the atoms, shape (N,), float32, where another tensor is."""
        # Made anew, as compiled updates may hold no tensors.
        return torch.linspace(self.v_min, self.v_max, self.atoms, device=like.device)

    def expectation(self, outputs: Tensor) -> Tensor:
        """Give `sum_i z_i p_i` of each action."""
        return outputs.softmax(2) @ self.support(outputs)

    def project(self, probabilities: Tensor, rewards: Tensor, discounts: Tensor) -> Tensor:
        """Give the distribution of `r + discount z` on the atoms.

        Args:
            probabilities: of z, shape (B, N).
            rewards: shape (B,).
            discounts: shape (B,).

        Returns:
            Probabilities m, shape (B, N); rows sum to 1.

        Reference:
            Bellemare et al. 2017, arXiv:1707.06887, equation 7.
        """
        atoms = self.support(probabilities)
        step = (self.v_max - self.v_min) / (self.atoms - 1)
        moved = (rewards[:, None] + discounts[:, None] * atoms).clamp(self.v_min, self.v_max)
        shares = (1 - (moved[:, :, None] - atoms).abs() / step).clamp(min=0)
        return (probabilities[:, None] @ shares).squeeze(1)


@dataclass(frozen=True)
class CategoricalQLearning:
    """C51, for networks that give logits of a `Categorical`.

    Args:
        distribution: what the network's numbers mean.
        double: the online network chooses `a*` by its own means, as in Rainbow.

    Reference:
        Bellemare et al. 2017, arXiv:1707.06887, algorithm 1; Hessel et al. 2018, arXiv:1710.02298,
        "The Integrated Agent", for double.
    """

    distribution: Categorical
    double: bool

    def __call__(self, batch: TrainingBatch, online: Forward, target: Forward) -> Assessment:
        """Give cross entropies, as losses and as priorities, and ``q_mean``."""
        distribution = self.distribution
        with torch.no_grad():
            following = of_best_following(distribution, batch, online, target, self.double)
            wanted = distribution.project(following.softmax(1), batch.rewards, batch.discounts)
        logits = online(batch.observations)
        losses = -(wanted * of_actions(logits, batch.actions).log_softmax(1)).sum(1)
        returns = only_allowed(distribution.expectation(logits.detach()), batch.allowed)
        return Assessment(losses, losses.detach(), {"q_mean": returns.amax(1).mean()})
