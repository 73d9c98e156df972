"""CartPole, but slow."""

import time

import gymnasium
import numpy as np
import pytest

import zdqn.envs.slow_cartpole as slow_cartpole
from zdqn.errors import ConfigError


@pytest.fixture
def slept(monkeypatch):
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    return naps


@pytest.mark.parametrize(("kwargs", "nap"), [({}, 0.01), ({"sleep_s": 0.5}, 0.5)])
def test_each_step_sleeps_and_no_reset_does(slept, kwargs, nap):
    env = gymnasium.make("zdqn/SlowCartPole-v0", **kwargs)
    env.reset(seed=0)
    assert slept == []
    env.step(0)
    env.step(1)
    assert slept == [nap, nap]


def test_it_is_cartpole_of_at_most_200_steps(slept):
    slow = gymnasium.make("zdqn/SlowCartPole-v0", sutton_barto_reward=True)
    fast = gymnasium.make("CartPole-v1", sutton_barto_reward=True)
    assert gymnasium.spec("zdqn/SlowCartPole-v0").max_episode_steps == 200
    assert np.array_equal(slow.reset(seed=4)[0], fast.reset(seed=4)[0])
    for action in [0, 1, 1, 0] * 3:
        mine, theirs = slow.step(action), fast.step(action)
        assert np.array_equal(mine[0], theirs[0])
        assert mine[1:] == theirs[1:]


@pytest.mark.parametrize("sleep_s", [-0.1, np.nan, np.inf])
def test_a_nap_that_cannot_be_is_refused(sleep_s):
    with pytest.raises(ConfigError, match="sleep_s"):
        slow_cartpole.SlowCartPole(sleep_s=sleep_s)
