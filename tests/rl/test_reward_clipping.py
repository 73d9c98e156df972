"""Reward clipping: no step counts more than the limit, and 0 is none."""

import numpy as np
import pytest

from zdqn.rl.reward_clipping import clip_rewards

REWARDS = np.array([-7.0, -1.0, -0.5, 0.0, 0.5, 1.0, 400.0])


@pytest.mark.parametrize("limit", [0.25, 1.0, 5.0])
def test_rewards_are_brought_to_the_limit(limit):
    expected = [max(-limit, min(limit, reward)) for reward in REWARDS.tolist()]
    assert clip_rewards(REWARDS, limit).tolist() == expected


def test_0_leaves_rewards_alone():
    assert clip_rewards(REWARDS, 0.0) is REWARDS
