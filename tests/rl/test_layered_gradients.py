"""Gradients taken layer by layer are those of autograd's tape, bit for bit."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zdqn.data import EnvironmentSpec
from zdqn.rl.gradients import ComputeLoss, Descent, Differentiation, Seen, Taped
from zdqn.rl.layered_gradients import Layered
from zdqn.rl.networks import build_network
from zdqn.rl.objectives import Forward

SPEC = EnvironmentSpec((5,), "float32", 3)
OBSERVATIONS, NEXT = torch.randn(2, 32, 5, generator=torch.Generator().manual_seed(0))


def make(**options: Any) -> nn.Module:
    settings: dict[str, Any] = {
        "kind": "mlp", "hidden": (16, 8), "activation": "tanh", "initialization": "xavier",
        "dueling": False, "seed": 1,
    }  # fmt: skip
    return build_network(SPEC, **{**settings, **options})


def one_pass(online: Forward, target: Forward) -> tuple[Tensor, Seen]:
    with torch.no_grad():
        wanted = target(NEXT).amax(1) + online(NEXT).amin(1)
    values = online(OBSERVATIONS)
    errors = wanted - values[:, 0]
    return errors.square().mean(), (errors.detach().abs(), {"q_mean": values.detach().mean()})


def two_passes(online: Forward, target: Forward) -> tuple[Tensor, Seen]:
    errors = online(OBSERVATIONS)[:, 0] - 0.9 * online(NEXT).amax(1) - target(NEXT)[:, 1].detach()
    online(NEXT)  # of no consequence
    return errors.square().mean(), (errors.detach().abs(), {})


def both_ways(
    online: nn.Module, target: nn.Module, compute_loss: ComputeLoss
) -> tuple[Descent, Descent]:
    trainable = dict(online.named_parameters())
    parameters = {name: parameter.detach() for name, parameter in trainable.items()}
    of_target = parameters
    if target is not online:
        of_target = {name: p.detach() for name, p in target.named_parameters()}
    layered = Layered.of(online, parameters, of_target)
    assert layered is not None
    ways: tuple[Differentiation, ...] = (Taped(online, target, trainable), layered)
    taped, by_layers = (way(compute_loss, parameters, of_target) for way in ways)
    return taped, by_layers


@pytest.mark.parametrize("hidden", [(), (16,), (16, 8)])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("same", [False, True])
def test_gradients_are_autograds_to_the_bit(
    hidden: tuple[int, ...], activation: str, same: bool
) -> None:
    online = make(hidden=hidden, activation=activation)
    target = online if same else copy.deepcopy(make(hidden=hidden, activation=activation, seed=2))
    taped, layered = both_ways(online, target.requires_grad_(same), one_pass)
    assert list(layered.gradients) == list(taped.gradients)
    for name, gradient in taped.gradients.items():
        assert gradient.any()
        assert torch.equal(layered.gradients[name], gradient), name
        assert layered.gradients[name].stride() == gradient.stride()
    assert torch.equal(layered.loss, taped.loss)
    assert not layered.loss.requires_grad
    torch.testing.assert_close(layered.seen, taped.seen, rtol=0, atol=0)


def test_an_objective_may_ask_the_online_network_several_times() -> None:
    taped, layered = both_ways(make(), make(seed=2).requires_grad_(False), two_passes)
    for name, gradient in taped.gradients.items():
        torch.testing.assert_close(layered.gradients[name], gradient)


def test_weights_are_read_when_they_are_needed() -> None:
    online = make()
    parameters = {name: p.detach() for name, p in online.named_parameters()}
    layered = Layered.of(online, parameters, parameters)
    assert layered is not None
    before = layered(one_pass, parameters, parameters)
    with torch.no_grad():
        online.get_parameter("hidden_0.weight").mul_(2.0)
    assert not torch.equal(layered(one_pass, parameters, parameters).loss, before.loss)


def test_what_is_not_used_has_gradients_of_zero() -> None:
    def unmoved(online: Forward, target: Forward) -> tuple[Tensor, Seen]:
        online(OBSERVATIONS)
        loss = torch.ones((), requires_grad=True) * 2.0
        return loss, (torch.zeros(32), {})

    _, layered = both_ways(make(), make(seed=2), unmoved)
    assert not any(gradient.any() for gradient in layered.gradients.values())


def frozen() -> nn.Module:
    network = make()
    network.get_parameter("hidden_0.bias").requires_grad_(False)
    return network


@pytest.mark.parametrize(
    "network",
    [
        make(dueling=True),
        make(activation="silu"),
        frozen(),
        nn.Sequential(nn.Linear(5, 3)),
    ],
)
def test_other_networks_are_left_to_the_tape(network: nn.Module) -> None:
    parameters = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    assert Layered.of(network, parameters, parameters) is None
