"""How much each environment of a collector explores."""

import numpy as np

from tests.roles.conftest import quick_config
from zdqn.rl.exploration import explore
from zdqn.rl.schedules import ladder_epsilons
from zdqn.roles.acting.epsilon import EpsilonSource, StepsOfAll


def test_a_ladder_follows_a_new_place():
    config = quick_config(
        "exploration.kind=ladder", "collector.environments=2", "launch.collectors=2"
    )
    source = EpsilonSource(config)
    rungs = ladder_epsilons(4, base=0.4, exponent=7.0)
    np.testing.assert_array_equal(source.at(0, 2, 0), rungs[:2])
    np.testing.assert_array_equal(source.at(0, 2, 1), rungs[2:])
    np.testing.assert_array_equal(source.at(10**9, 1, 0), rungs[:2])
    assert np.shape(source.at(0, 5, 4)) == (2,)
    exploration = explore(2, 2, source.at(0, 2, 0), np.random.default_rng(0))
    assert exploration.actions.shape == (2,)


def test_linear_epsilon_falls_with_the_steps_of_all_collectors():
    config = quick_config("exploration.epsilon_final=0", "exploration.epsilon_initial=1")
    source = EpsilonSource(config)
    assert [source.at(steps, 1, 0) for steps in (0, 50_000, 100_000, 10**9)] == [1, 0.5, 0, 0]


def test_a_ladder_has_no_fewer_rungs_than_are_planned():
    config = quick_config("exploration.kind=ladder", "launch.collectors=3")
    rungs = ladder_epsilons(3, base=0.4, exponent=7.0)
    source = EpsilonSource(config)
    for index in range(3):
        np.testing.assert_array_equal(source.at(0, 1, index), rungs[index : index + 1])


def test_steps_of_all_are_what_was_heard_and_our_share_since():
    steps = StepsOfAll()
    assert steps.guess(heard=0, own=10, collectors=4) == 40
    assert steps.guess(heard=1000, own=20, collectors=4) == 1000
    assert steps.guess(heard=1000, own=25, collectors=4) == 1020
    assert steps.guess(heard=900, own=30, collectors=4) == 1040  # an older word changes nothing
    assert steps.guess(heard=1100, own=30, collectors=2) == 1100
    assert steps.guess(heard=1100, own=31, collectors=0) == 1101  # nobody known: it is alone


def test_steps_on_their_way_when_it_was_heard_count_for_every_collector():
    steps = StepsOfAll()
    assert steps.guess(heard=1000, own=300, collectors=4, ahead=8) == 1032
    assert steps.guess(heard=1000, own=302, collectors=4, ahead=10) == 1040
    assert steps.guess(heard=1040, own=302, collectors=4, ahead=0) == 1040
