from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from zdqn.core.exploration import epsilon_greedy, explore
from zdqn.core.policies import GreedyPolicy, greedy_actions
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError
from zdqn.rl.networks import build_network, weights_to_arrays


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
    np.testing.assert_array_equal(greedy_actions(network(), observations(count)), actions)


def test_of_equal_values_the_first_is_chosen() -> None:
    level = network()
    with torch.no_grad():
        for parameter in level.parameters():
            parameter.zero_()
    assert greedy_actions(level, observations(3)).tolist() == [0, 0, 0]


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


GREEDY = np.full(60_000, 2)


def act(epsilon: float | NDArray[np.float64], greedy: NDArray[Any] = GREEDY) -> NDArray[np.int64]:
    return epsilon_greedy(greedy, 3, epsilon, np.random.default_rng(0))


def test_epsilon_0_is_exactly_greedy() -> None:
    np.testing.assert_array_equal(act(0.0), GREEDY)


def test_epsilon_1_is_uniform() -> None:
    counts = np.bincount(act(1.0), minlength=3)
    # Five standard deviations of a binomial with n = 60,000 and p = 1/3.
    assert (np.abs(counts - 20_000) < 5 * np.sqrt(60_000 * 2 / 9)).all()


def test_epsilon_is_the_chance_of_a_random_action_that_may_be_the_greedy_one() -> None:
    greedy_share = float((act(0.3) == 2).mean())
    assert abs(greedy_share - (0.7 + 0.3 / 3)) < 5 * np.sqrt(0.8 * 0.2 / 60_000)


def test_each_environment_may_have_its_own_epsilon() -> None:
    epsilon = np.where(np.arange(60_000) % 2 == 0, 0.0, 1.0)
    actions = act(epsilon)
    assert (actions[::2] == 2).all()
    assert abs(float((actions[1::2] == 2).mean()) - 1 / 3) < 0.02


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0])
def test_the_generator_moves_on_alike_whatever_happens(epsilon: float) -> None:
    rng, reference = np.random.default_rng(5), np.random.default_rng(5)
    epsilon_greedy(np.zeros(7, np.int64), 3, epsilon, rng)
    reference.random(14)
    assert rng.random() == reference.random()


def test_no_environments_and_one_action_are_fine() -> None:
    assert act(0.5, np.zeros(0, np.int64)).shape == (0,)
    only = epsilon_greedy(np.zeros(5, np.int64), 1, 1.0, np.random.default_rng(0))
    assert only.tolist() == [0] * 5


def test_exploring_can_be_decided_before_the_greedy_actions_are_known() -> None:
    greedy = np.arange(9) % 3
    decided = explore(9, 3, 0.5, np.random.default_rng(4))
    expected = epsilon_greedy(greedy, 3, 0.5, np.random.default_rng(4))
    np.testing.assert_array_equal(decided.over(greedy), expected)
    assert 0 < decided.exploring.sum() < 9


def test_a_few_and_many_observations_get_the_same_values() -> None:
    policy, many = GreedyPolicy(network()), observations(20_000)
    one_by_one = np.concatenate([policy.q_values(each[None]) for each in many[:50]])
    np.testing.assert_allclose(policy.q_values(many)[:50], one_by_one, rtol=1e-4, atol=1e-6)
