"""Value rescaling: h, its inverse, and Q-learning through them."""

import math

import pytest
import torch

from zdqn.errors import ConfigError
from zdqn.rl.objectives import QLearning
from zdqn.rl.training_batch import TrainingBatch
from zdqn.rl.value_rescaling import ValueRescaling


def h(x, epsilon):
    return math.copysign(math.sqrt(abs(x) + 1) - 1, x) + epsilon * x


def inverse(y, epsilon):
    """Find x with h(x) = y by halving an interval."""
    low, high = -1e9, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if h(middle, epsilon) < y else (low, middle)
    return low


POINTS = [-1e5, -300.0, -1.0, -1e-3, 0.0, 1e-3, 0.5, 1.0, 10.0, 300.0, 1e5]


@pytest.mark.parametrize("epsilon", [1e-3, 1e-2, 1.0])
def test_h_and_its_inverse_are_those_of_the_paper(epsilon):
    rescaling = ValueRescaling(epsilon)
    for x in POINTS:
        assert float(rescaling(torch.tensor(x))) == pytest.approx(h(x, epsilon), rel=1e-5, abs=1e-7)
        y = h(x, epsilon)
        found = float(rescaling.inverse(torch.tensor(y)))
        assert found == pytest.approx(inverse(y, epsilon), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("epsilon", [1e-3, 0.5])
def test_targets_are_rescaled_returns(double, epsilon):
    generator = torch.Generator().manual_seed(6)
    online, target = torch.randn((2, 2, 3), generator=generator)
    batch = TrainingBatch(
        observations=torch.randn((6, 2), generator=generator),
        actions=torch.randint(3, (6,), generator=generator),
        rewards=20 * torch.randn(6, generator=generator),
        discounts=torch.tensor([0.0, 0.9, 1.0] * 2),
        next_observations=torch.randn((6, 2), generator=generator),
        importance_weights=None,
    )
    objective = QLearning(
        double=double, loss="squared", huber_delta=1.0, rescaling=ValueRescaling(epsilon)
    )
    assessment = objective(batch, lambda x: x @ online, lambda x: x @ target)
    values = (batch.observations @ online).tolist()
    for b in range(6):
        following = (batch.next_observations @ target)[b].tolist()
        chooser = (batch.next_observations @ online)[b].tolist() if double else following
        best = chooser.index(max(chooser))
        unscaled = float(batch.rewards[b]) + float(batch.discounts[b]) * inverse(
            following[best], epsilon
        )
        error = h(unscaled, epsilon) - values[b][int(batch.actions[b])]
        assert float(assessment.priorities[b]) == pytest.approx(abs(error), abs=1e-3)
    returns = [inverse(max(row), epsilon) for row in values]
    assert float(assessment.metrics["q_mean"]) == pytest.approx(sum(returns) / 6, abs=1e-3)
    plain = QLearning(double=double, loss="squared", huber_delta=1.0)
    other = plain(batch, lambda x: x @ online, lambda x: x @ target)
    assert not torch.equal(assessment.losses, other.losses)


@pytest.mark.parametrize("epsilon", [0.0, -1.0])
def test_an_epsilon_out_of_range_is_refused(epsilon):
    with pytest.raises(ConfigError, match="epsilon"):
        ValueRescaling(epsilon)


@pytest.mark.parametrize("double", [False, True])
def test_what_is_not_allowed_has_no_part_in_a_rescaled_target(double):
    objective = QLearning(
        double=double, loss="squared", huber_delta=1.0, rescaling=ValueRescaling(0.01)
    )
    values = torch.tensor([[1.0, 5.0, 2.0], [3.0, 0.5, 9.0]])
    batch = TrainingBatch(
        observations=values,
        actions=torch.zeros(2, dtype=torch.int64),
        rewards=torch.tensor([1.0, 2.0]),
        discounts=torch.tensor([0.5, 0.0]),
        next_observations=values,
        importance_weights=None,
        allowed=torch.tensor([[True, False, True], [True, True, False]]),
        next_allowed=torch.tensor([[True, False, True], [False, False, False]]),
    )
    assessment = objective(batch, lambda x: x, lambda x: x)
    targets = [h(1.0 + 0.5 * inverse(2.0, 0.01), 0.01), h(2.0, 0.01)]
    errors = [abs(targets[0] - 1.0), abs(targets[1] - 3.0)]
    assert assessment.priorities.tolist() == pytest.approx(errors, abs=1e-5)
    returns = (inverse(2.0, 0.01) + inverse(3.0, 0.01)) / 2
    assert float(assessment.metrics["q_mean"]) == pytest.approx(returns, rel=1e-5)
