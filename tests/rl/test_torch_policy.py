import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError
from zdqn.rl.networks import build_network
from zdqn.rl.torch_policy import TorchPolicy
from zdqn.rl.weight_arrays import weights_to_arrays


def network(seed: int = 0, spec: EnvironmentSpec | None = None) -> nn.Module:
    return build_network(
        spec or EnvironmentSpec((4,), "float32", 3),
        kind="mlp",
        hidden=(16,),
        activation="relu",
        initialization="default",
        dueling=False,
        seed=seed,
    )


def observations(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_policy_chooses_the_action_of_the_highest_value(count: int) -> None:
    policy = TorchPolicy(network())
    values = policy.q_values(observations(count))
    assert values.shape == (count, 3)
    assert values.dtype == np.float32
    actions = policy.greedy_actions(observations(count))
    assert actions.dtype == np.int64
    assert actions.tolist() == [max(range(3), key=lambda a: row[a]) for row in values]


def test_acting_builds_no_graph_and_takes_read_only_observations() -> None:
    array = np.frombuffer(observations(2).tobytes(), np.float32).reshape(2, 4)
    policy = TorchPolicy(network())
    np.testing.assert_array_equal(policy.q_values(array), policy.q_values(observations(2)))
    assert all(parameter.grad is None for parameter in policy.network.parameters())


def test_a_policy_takes_over_weights() -> None:
    policy, other = TorchPolicy(network(1)), TorchPolicy(network(2))
    assert not np.array_equal(policy.q_values(observations(2)), other.q_values(observations(2)))
    policy.load(weights_to_arrays(other.network))
    np.testing.assert_array_equal(policy.q_values(observations(2)), other.q_values(observations(2)))


def test_a_policy_refuses_the_weights_of_another_environment() -> None:
    stranger = network(spec=EnvironmentSpec((4,), "float32", 2))
    with pytest.raises(MismatchError, match="head"):
        TorchPolicy(network()).load(weights_to_arrays(stranger))


def test_dropout_does_not_disturb_a_policy() -> None:
    policy = TorchPolicy(nn.Sequential(network(), nn.Dropout(0.5)))
    expected = TorchPolicy(network()).q_values(observations(9))
    np.testing.assert_allclose(policy.q_values(observations(9)), expected, rtol=1e-4, atol=1e-6)


def test_a_few_and_many_observations_get_the_same_values() -> None:
    policy, many = TorchPolicy(network()), observations(20_000)
    one_by_one = np.concatenate([policy.q_values(each[None]) for each in many[:50]])
    np.testing.assert_allclose(policy.q_values(many)[:50], one_by_one, rtol=1e-4, atol=1e-6)


class Counting(nn.Module):
    """Has a buffer that training puts a new tensor for."""

    count: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.count = self.count + 1
        return values + self.count


def with_modes() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3), Counting()
    return nn.Sequential(*layers)


def buffer(network: nn.Module, name: str) -> float:
    return float(network.get_buffer(name))


def test_acting_never_touches_the_mode_of_a_network_that_trains() -> None:
    trained = with_modes()
    trained[2].eval()  # frozen by its owner
    modes = [module.training for module in trained.modules()]
    policy = TorchPolicy(trained)
    first = policy.q_values(observations(40))
    assert [module.training for module in trained.modules()] == modes
    assert buffer(trained, "1.num_batches_tracked") == 0
    np.testing.assert_array_equal(policy.q_values(observations(40)), first)


def test_a_policy_acts_with_all_that_training_has_changed() -> None:
    trained = with_modes()
    policy = TorchPolicy(trained)
    optimizer = torch.optim.SGD(trained.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        trained(torch.from_numpy(observations(40))).square().sum().backward()
        optimizer.step()
    fresh = with_modes()
    fresh.load_state_dict(trained.state_dict())
    assert buffer(trained, "4.count") == 3
    np.testing.assert_array_equal(
        policy.q_values(observations(9)), TorchPolicy(fresh).q_values(observations(9))
    )
    policy.load(weights_to_arrays(with_modes()))
    assert buffer(trained, "4.count") == 0
