"""QR-DQN: the distribution of a return as its quantiles.

A network gives N numbers `theta_i(s, a)`, the quantiles of an action's return at the fractions
`tau_i = (i - 1/2) / N`, i from 1 to N. Each is as likely as another, so that an action's value is
their mean. Returns are not confined to a range that has to be known before, as those of
`zdqn.rl.categorical` are.

What follows a transition has the quantiles `y_j = r + discount theta_j(s', a*)` of the target
network, where `a*` is the action of the highest value in s'. Each quantile of (s, a) is drawn to
all of them by quantile regression: errors above it count tau, those below it 1 - tau, so that it
comes to rest where a share of tau lies below:

    loss = sum_i mean_j |tau_i - [u < 0]| L(u),    u = y_j - theta_i(s, a)

with the Huber loss L, which is squared up to `huber_delta` (the paper's kappa) and linear beyond.
The loss is the priority too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zdqn.rl.allowed_actions import only_allowed
from zdqn.rl.distributions import Distribution, of_actions, of_best_following
from zdqn.rl.objectives import Assessment, Forward, huber
from zdqn.rl.option_checks import check_range
from zdqn.rl.training_batch import TrainingBatch


@dataclass(frozen=True)
class Quantiles(Distribution):
    """Returns at evenly spaced fractions.

    Args:
        quantiles: how many, N >= 1.

    Raises:
        ConfigError: if there are none.

    Reference:
        Dabney et al. 2018, arXiv:1710.10044, equation 7 and lemma 2.
    """

    quantiles: int

    def __post_init__(self) -> None:
        check_range("quantiles", self.quantiles, self.quantiles >= 1, "1 or more")

    @property
    def numbers(self) -> int:
        """How many a network gives for each action."""
        return self.quantiles

    def fractions(self, like: Tensor) -> Tensor:
        """Give tau_i, shape (N,), float32, where another tensor is."""
        return (torch.arange(self.quantiles, device=like.device) + 0.5) / self.quantiles

    def expectation(self, outputs: Tensor) -> Tensor:
        """Give the mean of each action's quantiles."""
        return outputs.mean(2)


@dataclass(frozen=True)
class QuantileQLearning:
    """QR-DQN, for networks that give `Quantiles`.

    Args:
        distribution: what the network's numbers mean.
        double: the online network chooses `a*` by its own means.
        huber_delta: error above which the Huber loss is linear, > 0.

    Raises:
        ConfigError: if an option is out of range.

    Reference:
        Dabney et al. 2018, arXiv:1710.10044, equations 9 and 10 and algorithm 1.
    """

    distribution: Quantiles
    double: bool
    huber_delta: float

    def __post_init__(self) -> None:
        check_range("huber_delta", self.huber_delta, self.huber_delta > 0, "above 0")

    def __call__(self, batch: TrainingBatch, online: Forward, target: Forward) -> Assessment:
        """Give losses of quantile regression, as priorities too, and ``q_mean``."""
        distribution = self.distribution
        with torch.no_grad():
            following = of_best_following(distribution, batch, online, target, self.double)
            targets = batch.rewards[:, None] + batch.discounts[:, None] * following
        quantiles = online(batch.observations)
        losses = self._losses(of_actions(quantiles, batch.actions), targets)
        returns = only_allowed(distribution.expectation(quantiles.detach()), batch.allowed)
        return Assessment(losses, losses.detach(), {"q_mean": returns.amax(1).mean()})

    def _losses(self, quantiles: Tensor, targets: Tensor) -> Tensor:
        """Give the losses, shape (B,), of quantiles (B, N) for targets (B, N)."""
        errors = targets[:, None, :] - quantiles[:, :, None]  # (B, i, j)
        fractions = self.distribution.fractions(quantiles)[:, None]
        weights = (fractions - (errors.detach() < 0).to(torch.float32)).abs()
        return (weights * huber(errors, self.huber_delta)).mean(2).sum(1)
