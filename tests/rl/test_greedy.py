"""Choices of a policy with prepared values: who decides, and when the network is asked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError
from zdqn.rl.dense import DenseNetwork
from zdqn.rl.exploration import Exploration
from zdqn.rl.greedy import DensePolicy, Greedy
from zdqn.rl.networks import build_network, dense_view
from zdqn.rl.weight_arrays import weights_to_arrays

VALUES = np.array([[1, 5, 2], [7, 0, 3], [4, 4, 9]], np.float32)
OBSERVATIONS = np.zeros((3, 4), np.float32)
NOWHERE = Exploration(np.zeros(3, np.bool_), np.array([2, 2, 0]))
AT_ONE = Exploration(np.array([False, True, False]), np.array([2, 2, 0]))
EVERYWHERE = Exploration(np.ones(3, np.bool_), np.array([2, 2, 0]))


class Prepared(Greedy):
    """Knows the values of three observations, and counts how often it is asked."""

    def __init__(self, values: NDArray[np.float32] = VALUES) -> None:
        self.values, self.asked = values, 0

    def q_values(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        assert observations is OBSERVATIONS
        self.asked += 1
        return self.values

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        raise AssertionError


def test_the_action_of_the_highest_value_is_chosen() -> None:
    actions = Prepared().greedy_actions(OBSERVATIONS)
    assert actions.tolist() == [1, 0, 2]
    assert actions.dtype == np.int64


def test_of_equal_values_the_first_is_chosen() -> None:
    equal = np.array([[0, 0, 0], [1, 2, 2], [3, 1, 3]], np.float32)
    assert Prepared(equal).greedy_actions(OBSERVATIONS).tolist() == [0, 1, 0]


ALLOWED = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 0]], np.bool_)


def test_what_is_not_allowed_is_neither_chosen_nor_expected() -> None:
    policy = Prepared()
    assert policy.greedy_actions(OBSERVATIONS, ALLOWED).tolist() == [2, 2, 0]
    plain = policy.choose(OBSERVATIONS, NOWHERE, 77, estimate=False, allowed=ALLOWED)
    assert plain.actions.tolist() == [2, 2, 0]
    estimated = policy.choose(OBSERVATIONS, AT_ONE, 77, estimate=True, allowed=ALLOWED)
    assert estimated.actions.tolist() == [2, 2, 0]
    assert estimated.best_q is not None
    assert estimated.chosen_q is not None
    assert estimated.best_q.tolist() == [2, 3, 4]
    assert estimated.chosen_q.tolist() == [2, 3, 4]
    everything = np.ones((3, 3), np.bool_)
    assert policy.greedy_actions(OBSERVATIONS, everything).tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("exploration", "actions", "asked"),
    [(NOWHERE, [1, 0, 2], 1), (AT_ONE, [1, 2, 2], 1), (EVERYWHERE, [2, 2, 0], 0)],
)
def test_the_network_is_asked_only_where_somebody_does_not_explore(
    exploration: Exploration, actions: list[int], asked: int
) -> None:
    policy = Prepared()
    choice = policy.choose(OBSERVATIONS, exploration, 77, estimate=False)
    assert choice.actions.tolist() == actions
    assert (choice.weight_version, choice.chosen_q, choice.best_q) == (77, None, None)
    assert policy.asked == asked


@pytest.mark.parametrize(
    ("exploration", "actions", "chosen_q"),
    [
        (NOWHERE, [1, 0, 2], [5, 7, 9]),
        (AT_ONE, [1, 2, 2], [5, 3, 9]),
        (EVERYWHERE, [2, 2, 0], [2, 3, 4]),
    ],
)
def test_estimates_are_the_values_of_what_is_done_and_of_what_were_best(
    exploration: Exploration, actions: list[int], chosen_q: list[float]
) -> None:
    policy = Prepared()
    choice = policy.choose(OBSERVATIONS, exploration, 78, estimate=True)
    assert choice.actions.tolist() == actions
    assert choice.weight_version == 78
    assert choice.chosen_q is not None
    assert choice.chosen_q.tolist() == chosen_q
    assert choice.best_q is not None
    assert choice.best_q.tolist() == [5, 7, 9]
    assert policy.asked == 1


# --- with a network in NumPy ----------------------------------------------------------------------


def linear(seed: int = 0, num_actions: int = 3) -> tuple[nn.Module, DenseNetwork]:
    module = build_network(
        EnvironmentSpec((4,), "float32", num_actions),
        kind="mlp",
        hidden=(),
        activation="relu",
        initialization="xavier",
        dueling=False,
        seed=seed,
    )
    dense = dense_view(module)
    assert dense is not None
    return module, dense


def slow_values(module: nn.Module, observations: NDArray[np.float32]) -> list[list[float]]:
    weights = weights_to_arrays(module)
    weight, bias = weights["head.weight"], weights["head.bias"]
    return [
        [float(sum(w * x for w, x in zip(weight[a], row, strict=True)) + bias[a]) for a in range(3)]
        for row in observations
    ]


@pytest.mark.parametrize("count", [1, 5])
def test_a_dense_policy_acts_by_its_networks_values(count: int) -> None:
    observations = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    observations.flags.writeable = False
    module, dense = linear()
    policy, expected = DensePolicy(dense), slow_values(module, observations)
    values = policy.q_values(observations)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    actions = [max(range(3), key=lambda a: row[a]) for row in expected]
    assert policy.greedy_actions(observations).tolist() == actions


def test_a_dense_policy_takes_over_weights_and_refuses_those_of_another_network() -> None:
    observations = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    (_, dense), (other, _), (stranger, _) = linear(1), linear(2), linear(num_actions=2)
    policy = DensePolicy(dense)
    policy.load(weights_to_arrays(other))
    expected = slow_values(other, observations)
    np.testing.assert_allclose(policy.q_values(observations), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(MismatchError, match=r"head\.weight is float32 \(2, 4\)"):
        policy.load(weights_to_arrays(stranger))
    np.testing.assert_allclose(policy.q_values(observations), expected, rtol=1e-5, atol=1e-6)
