import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError
from zdqn.rl.arrays import weights_to_arrays
from zdqn.rl.networks import build_network
from zdqn.rl.torch_policy import GreedyPolicy


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
    policy = GreedyPolicy(network())
    values = policy.q_values(observations(count))
    assert values.shape == (count, 3)
    assert values.dtype == np.float32
    actions = policy.greedy_actions(observations(count))
    assert actions.dtype == np.int64
    assert actions.tolist() == [max(range(3), key=lambda a: row[a]) for row in values]


def test_acting_builds_no_graph_and_takes_read_only_observations() -> None:
    array = np.frombuffer(observations(2).tobytes(), np.float32).reshape(2, 4)
    policy = GreedyPolicy(network())
    np.testing.assert_array_equal(policy.q_values(array), policy.q_values(observations(2)))
    assert all(parameter.grad is None for parameter in policy.network.parameters())


def test_a_policy_takes_over_weights() -> None:
    policy, other = GreedyPolicy(network(1)), GreedyPolicy(network(2))
    assert not np.array_equal(policy.q_values(observations(2)), other.q_values(observations(2)))
    policy.load(weights_to_arrays(other.network))
    np.testing.assert_array_equal(policy.q_values(observations(2)), other.q_values(observations(2)))


def test_a_policy_refuses_the_weights_of_another_environment() -> None:
    stranger = network(spec=EnvironmentSpec((4,), "float32", 2))
    with pytest.raises(MismatchError, match="head"):
        GreedyPolicy(network()).load(weights_to_arrays(stranger))


def test_dropout_does_not_disturb_a_policy() -> None:
    policy = GreedyPolicy(nn.Sequential(network(), nn.Dropout(0.5)))
    expected = GreedyPolicy(network()).q_values(observations(9))
    np.testing.assert_allclose(policy.q_values(observations(9)), expected, rtol=1e-4, atol=1e-6)


def test_a_few_and_many_observations_get_the_same_values() -> None:
    policy, many = GreedyPolicy(network()), observations(20_000)
    one_by_one = np.concatenate([policy.q_values(each[None]) for each in many[:50]])
    np.testing.assert_allclose(policy.q_values(many)[:50], one_by_one, rtol=1e-4, atol=1e-6)
