"""Networks whose output is a distribution of returns for each action, not only its mean.

What such a distribution is made of, and what is learned of it, stand in `zdqn.rl.categorical` and
`zdqn.rl.quantiles`. Whoever acts needs the mean alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import TYPE_CHECKING

from torch import Tensor, nn

from zdqn.rl.allowed_actions import only_allowed

if TYPE_CHECKING:
    from zdqn.rl.objectives import Forward
    from zdqn.rl.training_batch import TrainingBatch


class Distribution(ABC):
    """What some numbers of an action say of the distribution of its return."""

    @property
    @abstractmethod
    def numbers(self) -> int:
        """How many a network gives for each action, >= 1."""

    @abstractmethod
    def expectation(self, outputs: Tensor) -> Tensor:
        """Give the mean return of each action.

        Args:
            outputs: of a network, shape (B, num_actions, numbers), float32.

        Returns:
            Action values, shape (B, num_actions), float32.
        """


class DistributionalNetwork(nn.Sequential):
    """A network that gives `numbers` for each action, shape (B, num_actions, numbers).

    Args:
        layers: the last one gives (B, num_actions * numbers), those of one action side by side.
        distribution: what they mean.

    Reference:
        Bellemare et al. 2017, arXiv:1707.06887, section 4, which acts by the mean as DQN does.
    """

    def __init__(self, layers: OrderedDict[str, nn.Module], distribution: Distribution) -> None:
        super().__init__(layers)
        self.distribution = distribution

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that PyTorch has
        """Give the numbers of each action."""
        outputs = input
        for layer in self:
            outputs = layer(outputs)
        # not len, which an exporter takes for a number that never changes
        return outputs.reshape(outputs.shape[0], -1, self.distribution.numbers)

    def q_values(self, observations: Tensor) -> Tensor:
        """Give the mean return of each action, shape (B, num_actions)."""
        return self.distribution.expectation(self.forward(observations))


def of_actions(outputs: Tensor, actions: Tensor) -> Tensor:
    """Choose one action's numbers in each row.

    Args:
        outputs: shape (B, num_actions, numbers).
        actions: shape (B,), int64.

    Returns:
        Their numbers, shape (B, numbers).

    Raises:
        ValueError: if the shapes do not fit together, such as those of a network that gives action
            values alone.
    """
    if outputs.ndim != 3 or outputs.shape[:1] != actions.shape:
        raise ValueError(
            f"shapes do not fit together: got outputs {tuple(outputs.shape)} and actions "
            f"{tuple(actions.shape)}; expected (B, A, numbers) and (B,)"
        )
    index = actions[:, None, None].expand(-1, 1, outputs.shape[2])
    return outputs.gather(1, index).squeeze(1)


def of_best_following(
    distribution: Distribution, batch: TrainingBatch, online: Forward, target: Forward, double: bool
) -> Tensor:
    """Give what the target network says of the return that follows each transition.

    Args:
        distribution: what the networks' numbers mean.
        batch: of B transitions.
        online: chooses the action that follows, by its means, if `double`.
        target: chooses it otherwise.
        double: as in Rainbow.

    Returns:
        The target network's numbers of that action, shape (B, numbers).
    """
    following = target(batch.next_observations)
    choosing = online(batch.next_observations) if double else following
    values = only_allowed(distribution.expectation(choosing), batch.next_allowed)
    return of_actions(following, values.argmax(1))
