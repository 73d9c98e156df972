"""Noisy layers against the paper's matrices, and the noise that they are given."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError
from zdqn.rl.networks import build_network
from zdqn.rl.noisy import Noise, NoisyLinear, noisy_layers
from zdqn.rl.torch_policy import TorchPolicy
from zdqn.rl.weight_arrays import load_arrays, weights_to_arrays

SPEC = EnvironmentSpec((4,), "float32", 3)


def build(**changes):
    options = {
        "kind": "mlp", "hidden": [8], "activation": "relu", "initialization": "default",
        "dueling": False, "noisy_sigma": 0.5, "seed": 0, **changes,
    }  # fmt: skip
    return build_network(SPEC, **options)


def make_layer():
    generator = torch.Generator().manual_seed(0)
    layer = NoisyLinear(3, 2, 0.5).requires_grad_(False)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, generator=generator)
    return layer


def test_a_layer_computes_with_the_matrices_of_the_paper():
    layer = make_layer()
    Noise(layer, (7,)).use(0)
    f_in, f_out = layer.noise_in.tolist(), layer.noise_out.tolist()
    x = torch.randn((5, 3), generator=torch.Generator().manual_seed(1))
    found = layer(x)
    for b in range(5):
        for o in range(2):
            y = float(layer.bias[o]) + float(layer.bias_sigma[o]) * f_out[o]
            for i in range(3):
                weight = float(layer.weight[o, i])
                weight += float(layer.weight_sigma[o, i]) * f_out[o] * f_in[i]
                y += weight * float(x[b, i])
            assert float(found[b, o]) == pytest.approx(y, abs=1e-5)


def test_noise_is_the_signed_root_of_normal_numbers():
    drawn = Noise(NoisyLinear(400, 500, 0.5), (0,)).of_numbers(50, 20)
    assert [each.shape for each in drawn] == [(20, 400), (20, 500)]
    normal = torch.cat([(each * each.abs()).ravel() for each in drawn])
    assert float(normal.mean()) == pytest.approx(0, abs=0.05)
    assert float(normal.std()) == pytest.approx(1, abs=0.05)
    assert float((normal.abs() < 1).float().mean()) == pytest.approx(math.erf(0.5**0.5), abs=0.02)


def test_parameters_begin_as_the_paper_says():
    layer = NoisyLinear(25, 100, 0.5)
    assert layer.weight_sigma.detach().unique().tolist() == pytest.approx([0.1])
    assert layer.bias_sigma.detach().unique().tolist() == pytest.approx([0.1])
    for means in (layer.weight, layer.bias):
        assert 0.15 < float(means.detach().abs().max()) <= 0.2


def test_without_noise_a_layer_is_its_means():
    layer = make_layer()
    x = torch.ones(1, 3)
    plain = nn.functional.linear(x, layer.weight, layer.bias)
    assert torch.equal(layer(x), plain)
    Noise(layer, (0,)).use(0)
    assert not torch.equal(layer(x), plain)
    layer.silence()
    assert torch.equal(layer(x), plain)


def test_the_noise_of_several_numbers_is_that_of_each():
    layer = make_layer()
    noise = Noise(layer, (3,))
    inputs, outputs = noise.of_numbers(60, 70)
    for row, number in enumerate(range(60, 130)):
        noise.use(number)
        assert torch.equal(inputs[row], layer.noise_in)
        assert torch.equal(outputs[row], layer.noise_out)


def test_a_number_gives_the_same_noise_whatever_was_drawn_before():
    layer, other = make_layer(), make_layer()
    noise, again = Noise(layer, (3, 1)), Noise(other, (3, 1))
    for number in (0, 1, 63, 64, 200):
        noise.use(number)
    again.use(200)
    assert torch.equal(layer.noise_in, other.noise_in)
    assert torch.equal(layer.noise_out, other.noise_out)
    again.use(199)
    assert not torch.equal(layer.noise_in, other.noise_in)
    Noise(other, (3, 2)).use(200)
    assert not torch.equal(layer.noise_in, other.noise_in)


def test_noise_is_no_weight():
    network = build()
    names = list(weights_to_arrays(network))
    Noise(network, (0,)).use(0)
    assert list(weights_to_arrays(network)) == names
    assert names == [
        "hidden_0.weight", "hidden_0.bias", "hidden_0.weight_sigma", "hidden_0.bias_sigma",
        "head.weight", "head.bias", "head.weight_sigma", "head.bias_sigma",
    ]  # fmt: skip


def test_the_switch_makes_all_fully_connected_layers_noisy():
    assert len(noisy_layers(build())) == 2
    assert len(noisy_layers(build(dueling=True))) == 3
    assert noisy_layers(build(noisy_sigma=None)) == []


def test_a_sigma_of_0_begins_without_noise():
    network = build(noisy_sigma=0.0)
    x = torch.ones(1, 4)
    means = network(x)
    Noise(network, (0,)).use(0)
    assert torch.equal(network(x), means)
    network = build(noisy_sigma=0.5)
    Noise(network, (0,)).use(0)
    assert not torch.equal(network(x), means)


def test_a_negative_sigma_is_refused():
    with pytest.raises(ConfigError, match="noisy_sigma"):
        build(noisy_sigma=-0.1)


@pytest.mark.parametrize("initialization", ["xavier", "kaiming", "orthogonal"])
def test_means_are_initialized_like_any_weights_and_sigmas_are_not(initialization):
    noisy = build(initialization=initialization)
    plain = build(initialization="default")
    assert not torch.equal(noisy.head.weight, plain.head.weight)
    assert torch.equal(noisy.head.weight_sigma, plain.head.weight_sigma)


OBSERVATIONS = np.ones((2, 4), np.float32)


def test_a_policy_explores_by_noise_if_it_is_given_a_seed_and_else_acts_by_the_means():
    network = build()
    with torch.no_grad():
        means = network(torch.from_numpy(OBSERVATIONS)).numpy()
    Noise(network, (9,)).use(5)  # of who trains it: a policy has its own, or none
    policy = TorchPolicy(network)
    np.testing.assert_array_equal(policy.q_values(OBSERVATIONS), means)
    noisy = TorchPolicy(network, noise_seed=(1,))
    looks = [noisy.q_values(OBSERVATIONS) for _ in range(3)]
    for look in looks:
        assert not np.array_equal(look, means)
    assert not np.array_equal(looks[0], looks[1])
    again = TorchPolicy(network, noise_seed=(1,))
    np.testing.assert_array_equal(again.q_values(OBSERVATIONS), looks[0])
    np.testing.assert_array_equal(policy.q_values(OBSERVATIONS), means)


def test_a_policy_shares_the_weights_of_a_noisy_network():
    network, other = build(), build(seed=1)
    policy = TorchPolicy(network)
    load_arrays(network, weights_to_arrays(other))
    with torch.no_grad():
        expected = other(torch.from_numpy(OBSERVATIONS)).numpy()
    np.testing.assert_array_equal(policy.q_values(OBSERVATIONS), expected)


def test_a_copy_has_noise_of_its_own():
    network = build()
    noise = Noise(network, (0,))
    noise.use(0)
    twin = copy.deepcopy(network)
    before = twin.head.noise_in.clone()
    noise.use(1)
    assert torch.equal(twin.head.noise_in, before)
