"""Stepping one environment after the other gives what gymnasium's own way gives."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from zdqn.envs.guarding import CUT_KEY, RETURN_KEY, Guarded, OwnRewards
from zdqn.envs.in_turn import InTurn


def make(limit):
    inner = OwnRewards(gymnasium.make("CartPole-v1"))
    doubled = gymnasium.wrappers.TransformReward(inner, lambda reward: 2.0 * float(reward))
    return Guarded(doubled, inner, limit)


def play(vector, count):
    """Give all that 60 steps return, and the keys of `info` in each."""
    makers = [lambda limit=limit: make(limit) for limit in (None, 7, 30)[:count]]
    environments = vector(makers, copy=False, autoreset_mode=AutoresetMode.NEXT_STEP)
    environments.reset(seed=list(range(count)))
    actions = np.random.default_rng(0).integers(2, size=(60, count))
    rows = []
    for chosen in actions:
        observations, *others, info = environments.step(chosen)
        rows.append((observations.copy(), *others, info))
    environments.close()
    return rows


@pytest.mark.parametrize("count", [1, 3])
def test_it_gives_what_gymnasium_gives(count):
    expected, found = play(SyncVectorEnv, count), play(InTurn, count)
    keys = set()
    for theirs, ours in zip(expected, found, strict=True):
        for wanted, given in zip(theirs[:-1], ours[:-1], strict=True):
            np.testing.assert_array_equal(given, wanted)
            assert given.dtype == wanted.dtype
        assert ours[-1].keys() == theirs[-1].keys()
        keys |= ours[-1].keys()
        for key, values in theirs[-1].items():
            np.testing.assert_array_equal(ours[-1][key], values)
    assert {RETURN_KEY} <= keys
    assert (CUT_KEY in keys) == (count == 3)


def test_what_a_step_returned_stays_but_for_the_observations():
    environments = InTurn([lambda: make(1)], copy=False, autoreset_mode=AutoresetMode.NEXT_STEP)
    environments.reset(seed=[0])
    _, rewards, _, truncated, _ = environments.step(np.zeros(1, np.int64))
    environments.step(np.zeros(1, np.int64))
    assert (rewards.tolist(), truncated.tolist()) == ([2.0], [True])
    environments.close()
