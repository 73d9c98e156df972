"""What is said of a network: enough to evaluate it, and nothing of one that cannot be described."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.wire.described import evaluate
from zdqn.data import EnvironmentSpec
from zdqn.rl.categorical import Categorical
from zdqn.rl.distributions import Distribution
from zdqn.rl.layer_descriptions import describe_layers
from zdqn.rl.networks import ACTIVATIONS, build_network, q_values
from zdqn.rl.quantiles import Quantiles
from zdqn.rl.weight_arrays import weights_to_arrays

MLP = EnvironmentSpec((3, 2), "float32", 3, 2)
SPECS = {
    "vector": ("mlp", MLP),
    "large": ("cnn", EnvironmentSpec((36, 40), "uint8", 4, 3)),
    "channels last": ("cnn", EnvironmentSpec((10, 9, 4), "uint8", 3, 2, 1)),
    "channels first": ("cnn", EnvironmentSpec((3, 10, 9), "float32", 3, 1)),
}


def build(kind, spec, **changes):
    options = {"hidden": [7, 5], "activation": "relu", "dueling": False, **changes}
    return build_network(spec, kind=kind, initialization="default", seed=1, **options)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("dueling", [False, True])
def test_who_follows_the_description_gets_the_values_of_the_network(name, dueling):
    kind, spec = SPECS[name]
    network = build(kind, spec, dueling=dueling)
    rng = np.random.default_rng(0)
    observations = (rng.random((3, *spec.stacked_shape)) * 2).astype(spec.dtype)
    with torch.no_grad():
        expected = network(torch.from_numpy(observations)).numpy()
    arrays, layers = weights_to_arrays(network), describe_layers(network)
    found = [evaluate(layers, arrays, observation, spec) for observation in observations]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("distribution", [Categorical(5, -2.0, 3.0), Quantiles(4)])
@pytest.mark.parametrize("options", [{}, {"dueling": True}, {"noisy_sigma": 0.5, "dueling": True}])
@pytest.mark.parametrize("name", ["vector", "channels last"])
def test_so_does_who_follows_that_of_a_distribution(name, options, distribution):
    kind, spec = SPECS[name]
    network = build(kind, spec, distribution=distribution, **options)
    observation = (np.random.default_rng(0).random(spec.stacked_shape) * 2).astype(spec.dtype)
    with torch.no_grad():
        expected = q_values(network, torch.from_numpy(observation[None])).numpy()[0]
    found = evaluate(describe_layers(network), weights_to_arrays(network), observation, spec)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dueling", [False, True])
def test_noisy_layers_are_described_as_such_and_evaluated_by_their_means(dueling):
    network = build("mlp", MLP, noisy_sigma=0.5, dueling=dueling)
    layers = describe_layers(network)
    head = "noisy_dueling" if dueling else "noisy_linear"
    assert [layer.op for layer in layers] == ["flatten", "noisy_linear", "noisy_linear", head]
    observation = np.linspace(-2, 2, 12, dtype=np.float32).reshape(MLP.stacked_shape)
    with torch.no_grad():
        expected = network(torch.from_numpy(observation[None])).numpy()[0]
    found = evaluate(layers, weights_to_arrays(network), observation, MLP)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


class OwnDistribution(Distribution):
    numbers = 2

    def expectation(self, outputs):
        return outputs.mean(2)


def test_a_distribution_of_ones_own_is_not_described():
    assert describe_layers(build("mlp", MLP, distribution=OwnDistribution())) == ()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_each_activation_is_named_and_has_the_documented_formula(activation):
    network = build("mlp", MLP, activation=activation)
    layers = describe_layers(network)
    assert [layer.activation for layer in layers] == ["", activation, activation, ""]
    observation = np.linspace(-2, 2, 12, dtype=np.float32).reshape(MLP.stacked_shape)
    with torch.no_grad():
        expected = network(torch.from_numpy(observation[None])).numpy()[0]
    found = evaluate(layers, weights_to_arrays(network), observation, MLP)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


class Own(nn.Module):
    def forward(self, observations):
        return observations


@pytest.mark.parametrize(
    "network", [Own(), nn.Sequential(nn.Linear(2, 3), nn.Dropout()), nn.ReLU()]
)
def test_a_network_of_the_users_own_is_not_described(network):
    assert describe_layers(network) == ()
