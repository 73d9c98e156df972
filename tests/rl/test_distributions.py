"""Networks of distributions: an output for each action, and its mean to act with."""

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError
from zdqn.rl.categorical import Categorical
from zdqn.rl.distributions import (
    Distribution,
    DistributionalNetwork,
    of_actions,
    of_best_following,
)
from zdqn.rl.networks import build_network, q_values
from zdqn.rl.quantiles import Quantiles
from zdqn.rl.torch_policy import TorchPolicy

SPEC = EnvironmentSpec((4,), "float32", 3)
IMAGES = EnvironmentSpec((10, 10, 4), "bool", 3)


def build(spec=SPEC, distribution=None, **changes):
    options = {
        "kind": "mlp" if spec is SPEC else "cnn",
        "hidden": [8],
        "activation": "relu",
        "initialization": "default",
        "dueling": False,
        **changes,
    }
    return build_network(spec, distribution=distribution, seed=0, **options)


class Last(Distribution):
    """Values are the last of two numbers."""

    numbers = 2

    def expectation(self, outputs):
        return outputs[:, :, 1]


def test_the_numbers_of_an_action_lie_side_by_side():
    network = DistributionalNetwork(OrderedDict(flat=nn.Flatten()), Last())
    outputs = network(torch.arange(12.0).reshape(2, 6))
    assert outputs.tolist() == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]]
    assert q_values(network, torch.arange(6.0)[None]).tolist() == [[1, 3, 5]]


@pytest.mark.parametrize("spec", [SPEC, IMAGES], ids=["mlp", "cnn"])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("distribution", [Categorical(5, -1.0, 1.0), Quantiles(7)])
def test_each_network_may_end_in_a_distribution_and_acts_by_its_mean(spec, dueling, distribution):
    network = build(spec, distribution, dueling=dueling)
    observations = torch.ones((2, *spec.stacked_shape)).to(getattr(torch, spec.observation_dtype))
    outputs = network(observations)
    assert outputs.shape == (2, 3, distribution.numbers)
    expected = distribution.expectation(outputs)
    torch.testing.assert_close(q_values(network, observations), expected)
    found = TorchPolicy(network).q_values(observations.numpy())
    torch.testing.assert_close(torch.from_numpy(found), expected.detach())


def test_dueling_heads_are_combined_number_by_number():
    network = build(distribution=Quantiles(2), dueling=True, hidden=[]).requires_grad_(False)
    x = torch.randn((3, 4), generator=torch.Generator().manual_seed(0))
    head = network.head
    value, advantage = head.value(x), head.advantage(x)
    for b in range(3):
        for n in range(2):
            mean = sum(float(advantage[b, a * 2 + n]) for a in range(3)) / 3
            for a in range(3):
                expected = float(value[b, n]) + float(advantage[b, a * 2 + n]) - mean
                assert float(network(x)[b, a, n]) == pytest.approx(expected, abs=1e-6)


def test_the_numbers_of_the_actions_that_were_taken():
    outputs = torch.arange(12.0).reshape(2, 3, 2)
    assert of_actions(outputs, torch.tensor([2, 0])).tolist() == [[4, 5], [6, 7]]


def test_action_values_alone_are_no_distribution():
    with pytest.raises(ValueError, match=r"outputs \(2, 3\).*expected \(B, A, numbers\)"):
        of_actions(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))


class Own(nn.Module):
    """A network of the user's own that gives `numbers` for each of 3 actions."""

    def __init__(self, numbers):
        super().__init__()
        self.layer = nn.Linear(4, 3 * numbers)
        self.numbers = numbers

    def forward(self, observations):
        return self.layer(observations).reshape(-1, 3, self.numbers)

    def q_values(self, observations):
        return self(observations).mean(2)


def test_a_network_of_ones_own_gives_the_numbers_of_the_distribution():
    network = build(distribution=Quantiles(5), kind=lambda _spec: Own(5))
    assert network(torch.zeros(2, 4)).shape == (2, 3, 5)
    with pytest.raises(ConfigError, match=r"gave float32 \(2, 3, 4\) and should .*\(2, 3, 5\)"):
        build(distribution=Quantiles(5), kind=lambda _spec: Own(4))


@pytest.mark.parametrize(("double", "best"), [(False, 1), (True, 2)])
def test_what_follows_is_the_targets_word_of_the_action_that_one_network_prefers(double, best):
    outputs = torch.arange(6.0).reshape(1, 3, 2)
    target = outputs + torch.tensor([0.0, 10.0, 0.0])[None, :, None]
    batch: Any = SimpleNamespace(next_observations=None, next_allowed=None)
    found = of_best_following(Last(), batch, lambda _: outputs, lambda _: target, double)
    assert torch.equal(found, target[:, best])
    batch.next_allowed = torch.tensor([[True, False, False]])
    found = of_best_following(Last(), batch, lambda _: outputs, lambda _: target, double)
    assert torch.equal(found, target[:, 0])
