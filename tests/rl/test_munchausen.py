"""Munchausen DQN against the paper's equation, with its policy written out."""

import math
from typing import Any

import pytest
import torch

from zdqn.errors import ConfigError
from zdqn.rl.munchausen import MunchausenQLearning
from zdqn.rl.objectives import QLearning
from zdqn.rl.training_batch import TrainingBatch

OPTIONS: dict[str, Any] = {
    "alpha": 0.9,
    "temperature": 0.3,
    "clip": -1.0,
    "loss": "huber",
    "huber_delta": 1.0,
}


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(4)
    return TrainingBatch(
        observations=torch.randn((8, 2), generator=generator),
        actions=torch.randint(3, (8,), generator=generator),
        rewards=torch.randn(8, generator=generator),
        discounts=torch.tensor([0.0, 0.9, 1.0, 0.5] * 2),
        next_observations=torch.randn((8, 2), generator=generator),
        importance_weights=None,
    )


@pytest.fixture
def networks():
    weights = torch.randn((2, 2, 3), generator=torch.Generator().manual_seed(5))
    return [lambda x, weight=weight: x @ weight for weight in weights]


def expected_target(values, following, action, reward, discount, alpha, temperature, clip):
    def policy(numbers):
        exponentials = [math.exp((each - max(numbers)) / temperature) for each in numbers]
        return [each / sum(exponentials) for each in exponentials]

    bonus = min(max(temperature * math.log(policy(values)[action]), clip), 0)
    soft = sum(
        p * (q - temperature * math.log(p))
        for p, q in zip(policy(following), following, strict=True)
    )
    return reward + alpha * bonus + discount * soft


@pytest.mark.parametrize("alpha", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("clip", [0.0, -0.2, -1.0])
@pytest.mark.parametrize("loss", ["huber", "squared"])
def test_targets_are_those_of_the_paper(batch, networks, alpha, temperature, clip, loss):
    online, target = networks
    objective = MunchausenQLearning(alpha, temperature, clip, loss, huber_delta=0.5)
    assessment = objective(batch, online, target)
    for b in range(8):
        y = expected_target(
            target(batch.observations)[b].tolist(),
            target(batch.next_observations)[b].tolist(),
            int(batch.actions[b]),
            float(batch.rewards[b]),
            float(batch.discounts[b]),
            alpha,
            temperature,
            clip,
        )
        error = abs(y - float(online(batch.observations)[b, int(batch.actions[b])]))
        assert float(assessment.priorities[b]) == pytest.approx(error, abs=1e-4)
        straight = loss == "huber" and error > 0.5
        loss_of = 0.5 * (error - 0.25) if straight else error**2 / 2
        assert float(assessment.losses[b]) == pytest.approx(loss_of, abs=1e-3)


def test_each_number_changes_the_targets(batch, networks):
    base = MunchausenQLearning(**OPTIONS)(batch, *networks).priorities
    for change in ({"alpha": 0.0}, {"temperature": 0.1}, {"clip": -0.1}, {"clip": 0.0}):
        other = MunchausenQLearning(**{**OPTIONS, **change})(batch, *networks).priorities
        assert not torch.equal(base, other), change


def test_at_a_low_temperature_without_a_bonus_it_is_q_learning(batch, networks):
    cold = MunchausenQLearning(**{**OPTIONS, "alpha": 0.0, "temperature": 1e-6})
    plain = QLearning(double=False, loss="huber", huber_delta=1.0)
    torch.testing.assert_close(
        cold(batch, *networks).losses, plain(batch, *networks).losses, atol=1e-4, rtol=1e-4
    )


def test_values_far_apart_stay_numbers(batch):
    def far(x):
        return torch.tensor([[1e6, 0.0, -1e6]]).expand(len(x), 3)

    assert MunchausenQLearning(**OPTIONS)(batch, far, far).losses.isfinite().all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": -0.1}, {"alpha": 1.1}, {"temperature": 0.0}, {"clip": 0.1}, {"loss": "other"},
        {"huber_delta": 0.0},
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MunchausenQLearning(**{**OPTIONS, **wrong})


def test_the_policy_is_over_the_actions_that_are_allowed(batch, networks):
    """With the last action barred everywhere it is as if there were only two."""
    two = torch.tensor([True, True, False]).expand(8, 3)
    acted = batch._replace(actions=batch.actions % 2)
    objective = MunchausenQLearning(**OPTIONS)
    found = objective(acted._replace(allowed=two, next_allowed=two), *networks)
    expected = objective(acted, *(lambda x, n=network: n(x)[:, :2] for network in networks))
    torch.testing.assert_close(found.losses, expected.losses)
    torch.testing.assert_close(found.metrics["q_mean"], expected.metrics["q_mean"])
    assert not torch.equal(found.losses, objective(acted, *networks).losses)
    nothing = torch.zeros((8, 3), dtype=torch.bool)
    over = acted._replace(allowed=two, next_allowed=nothing, discounts=torch.zeros(8))
    assert objective(over, *networks).losses.isfinite().all()
