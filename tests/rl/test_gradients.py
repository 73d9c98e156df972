import copy

import pytest
import torch
from torch import Tensor, nn

from zdqn.rl.gradients import Functional, Seen, Taped
from zdqn.rl.objectives import Forward

OBSERVATIONS = torch.tensor([[1.0, 2.0], [-1.0, 0.5]])


def compute_loss(online: Forward, target: Forward) -> tuple[Tensor, Seen]:
    with torch.no_grad():
        wanted = target(OBSERVATIONS)
    errors = wanted - online(OBSERVATIONS)
    return errors.square().mean(), (errors.detach().abs(), {"largest": errors.detach().amax()})


@pytest.mark.parametrize("same", [False, True])
def test_both_ways_give_the_same(same: bool) -> None:
    online = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    online.add_module("unused", nn.Identity())
    target = online if same else copy.deepcopy(online).requires_grad_(False)
    if not same:
        with torch.no_grad():
            online.get_parameter("0.weight").mul_(2.0)
    online.register_parameter("idle", nn.Parameter(torch.ones(2)))
    trainable = dict(online.named_parameters())
    parameters = {name: parameter.detach() for name, parameter in trainable.items()}
    target_parameters = parameters
    if not same:
        target_parameters = {name: p.detach() for name, p in target.named_parameters()}
    ways = Taped(online, target, trainable), Functional(online, target)
    taped, functional = (way(compute_loss, parameters, target_parameters) for way in ways)
    assert taped.gradients.keys() == functional.gradients.keys() == parameters.keys()
    for name, gradient in taped.gradients.items():
        torch.testing.assert_close(gradient, functional.gradients[name])
    assert not taped.gradients["idle"].any()
    assert same or taped.gradients["0.weight"].any()
    torch.testing.assert_close(taped.loss, functional.loss)
    torch.testing.assert_close(taped.seen, functional.seen)
    assert not taped.loss.requires_grad
    assert all(parameter.grad is None for parameter in online.parameters())


def test_gradients_are_those_of_the_parameters_that_are_given() -> None:
    network = nn.Linear(2, 1, bias=False)
    given = {"weight": torch.tensor([[3.0, -1.0]])}
    fixed = {"weight": torch.zeros(1, 2)}
    descent = Functional(network, network)(compute_loss, given, fixed)
    values = OBSERVATIONS @ given["weight"].T
    assert descent.loss.item() == pytest.approx(values.square().mean().item())
    expected = (2 * values * OBSERVATIONS).mean(0, keepdim=True)
    torch.testing.assert_close(descent.gradients["weight"], expected)
