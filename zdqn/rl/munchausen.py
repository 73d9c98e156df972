"""Munchausen: what the policy is sure of counts as a reward.

The policy is the softmax of the values, `pi = softmax(Q_target / temperature)`, and a transition's
target is

    y = r + alpha [temperature log pi(a | s)]_clip^0
          + discount sum_a' pi(a' | s') (Q_target(s', a') - temperature log pi(a' | s'))

The first line adds to the reward how much the policy prefers its action, from `clip` < 0 to 0; the
second bootstraps from the soft value, which is above the mean of the policy by its entropy. As

    temperature log pi(a | s) = Q(s, a) - V(s)
    V(s) = temperature log sum_a exp(Q(s, a) / temperature)

the sum of the second line is `V(s')` itself, and this is what is computed: no logarithm of a
probability that has become 0. With alpha = 0 it is soft Q-learning.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zdqn.rl.allowed_actions import only_allowed
from zdqn.rl.objectives import Assessment, Forward, assess_errors, td_errors
from zdqn.rl.option_checks import check_choice, check_range
from zdqn.rl.training_batch import TrainingBatch


@dataclass(frozen=True)
class MunchausenQLearning:
    """Munchausen DQN, for networks whose output is action values and returns of one step.

    Args:
        alpha: how much of the log-policy is added to the reward, in [0, 1].
        temperature: of the policy (tau), > 0.
        clip: the lowest that `temperature log pi` counts, <= 0.
        loss: ``"huber"`` or ``"squared"``.
        huber_delta: error above which the Huber loss is linear, > 0.

    Raises:
        ConfigError: if an option is unknown or out of range.

    Reference:
        Vieillard et al. 2020, arXiv:2007.14430, equation 2 and section 3.
    """

    alpha: float
    temperature: float
    clip: float
    loss: str
    huber_delta: float

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, 0 <= self.alpha <= 1, "in [0, 1]")
        check_range("temperature", self.temperature, self.temperature > 0, "above 0")
        check_range("clip", self.clip, self.clip <= 0, "0 or less")
        check_choice("loss", self.loss, ("huber", "squared"))
        check_range("huber_delta", self.huber_delta, self.huber_delta > 0, "above 0")

    def __call__(self, batch: TrainingBatch, online: Forward, target: Forward) -> Assessment:
        """Give losses of the TD errors, their sizes, and ``q_mean``."""
        with torch.no_grad():
            targets = self._targets(batch, target)
        q_values = online(batch.observations)
        errors = td_errors(q_values, batch.actions, targets)
        returns = only_allowed(q_values.detach(), batch.allowed)
        return assess_errors(errors, returns, self.loss, self.huber_delta)

    def _targets(self, batch: TrainingBatch, target: Forward) -> Tensor:
        """Give y, shape (B,)."""
        values = target(batch.observations)
        chosen = values.gather(1, batch.actions.unsqueeze(1)).squeeze(1)
        soft_value = self._soft_value(only_allowed(values, batch.allowed))
        bonus = (chosen - soft_value).clamp(self.clip, 0)
        next_values = only_allowed(target(batch.next_observations), batch.next_allowed)
        following = self._soft_value(next_values)
        return batch.rewards + self.alpha * bonus + batch.discounts * following

    def _soft_value(self, q_values: Tensor) -> Tensor:
        """Give V, shape (B,), of values (B, num_actions), however low some of them are."""
        best = q_values.amax(1, keepdim=True)
        above = self.temperature * ((q_values - best) / self.temperature).logsumexp(1)
        return best.squeeze(1) + above
