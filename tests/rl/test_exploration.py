from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zdqn.rl.exploration import epsilon_greedy, explore

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


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0])
def test_no_action_that_is_not_allowed_is_ever_drawn(epsilon: float) -> None:
    rng, reference = np.random.default_rng(5), np.random.default_rng(5)
    allowed = np.random.default_rng(1).random((60_000, 3)) < 0.4
    allowed[~allowed.any(axis=1)] = True
    greedy = allowed.argmax(1)
    actions = epsilon_greedy(greedy, 3, epsilon, rng, allowed)
    assert allowed[np.arange(60_000), actions].all()
    assert (actions != greedy).any() == (epsilon > 0)
    reference.random(120_000)
    assert rng.random() == reference.random()


def test_exploring_draws_evenly_from_what_is_allowed() -> None:
    allowed = np.tile([True, False, True, True], (60_000, 1))
    exploration = explore(60_000, 4, 1.0, np.random.default_rng(0), allowed)
    counts = np.bincount(exploration.actions, minlength=4)
    assert counts[1] == 0
    assert (np.abs(counts[[0, 2, 3]] - 20_000) < 5 * np.sqrt(60_000 * 2 / 9)).all()


def test_a_mask_of_everything_draws_as_none_does() -> None:
    everything = np.ones((60_000, 3), np.bool_)
    plain, masked = (
        explore(60_000, 3, 0.5, np.random.default_rng(2), allowed) for allowed in (None, everything)
    )
    np.testing.assert_array_equal(plain.actions, masked.actions)
    np.testing.assert_array_equal(plain.exploring, masked.exploring)
