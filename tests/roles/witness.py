"""An environment that writes into each frame where it comes from, and the check of what is sampled.

Reward, length and kind of end of an episode are functions of environment and episode, and every
frame names both, its step and the action that led to it. So whatever is sampled says by itself
whether anything was mixed up, cut, repeated, overwritten or carried over the end of an episode.
"""

import itertools
import os

import gymnasium
import numpy as np

from zdqn.data import Batch

DISCOUNT = 0.5
"""With whole rewards every return is exact, so that nothing need be compared approximately."""
PROCESSES, OF_A_PROCESS = 2**14, 2**10
"""Environments that are there at the same time have different numbers, and frames hold them."""
_made = itertools.count()
LONGEST_EPISODE = 12


def mixed(environment, episode, step):
    """Give a number from 0 to 250 that tells neighbours apart; for numbers and arrays alike."""
    return (environment * 7919 + episode * 104729 + step * 1299709) % 65521 * 31337 % 251


def reward_of(environment, episode, step):
    """Give the reward of the step that leads to `step`, a whole number from -8 to 8."""
    return mixed(environment, episode, step) % 17 - 8


def length_of(environment, episode):
    """Count the steps of an episode, 1 to 12."""
    return 1 + mixed(environment, episode, 0) % LONGEST_EPISODE


def terminates(environment, episode):
    """Say whether an episode terminates; the others are truncated."""
    return mixed(environment, episode, -1) % 2 == 1


class Witness(gymnasium.Env):
    """Its frames are (environment, episode, step, action that led here)."""

    observation_space = gymnasium.spaces.Box(0, 2**24, (4,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self):
        self.environment = os.getpid() % PROCESSES * OF_A_PROCESS + next(_made) % OF_A_PROCESS
        self.episode = -1
        self.place = 0

    def _frame(self, action):
        return np.array([self.environment, self.episode, self.place, action], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.place = 0
        return self._frame(0), {}

    def step(self, action):
        self.place += 1
        over = self.place == length_of(self.environment, self.episode)
        ends = terminates(self.environment, self.episode)
        reward = float(reward_of(self.environment, self.episode, self.place))
        return self._frame(action), reward, over and ends, over and not ends, {}


def check(batch: Batch, n_step: int, frame_stack: int) -> int:
    """Hold every transition of a batch against what its frames say it must be.

    Returns:
        How many were checked.

    Raises:
        AssertionError: that says what is wrong of how many.
    """
    shape = (len(batch), frame_stack, 4)
    before = batch.observations.reshape(shape).astype(np.int64)
    after = batch.next_observations.reshape(shape).astype(np.int64)
    environment, episode, step, _ = before[:, -1].T
    reached = after[:, -1, 2]
    span = reached - step
    length = length_of(environment, episode)

    for frames, newest in ((before, step), (after, reached)):
        ages = np.arange(frame_stack)[::-1]
        same = frames[:, :, :2] == before[:, -1:, :2]
        expect(same.all((1, 2)), "all frames are of one environment and episode")
        steps = np.maximum(newest[:, None] - ages, 0)
        expect((frames[:, :, 2] == steps).all(1), "frames of a stack follow one another")
    expect(step < length, "nothing begins where an episode has ended")
    expect(span == np.minimum(n_step, length - step), "as many steps lie between as there are")

    returns = np.zeros(len(batch))
    for later in range(n_step):
        rewards = reward_of(environment, episode, step + 1 + later)
        returns += np.where(later < span, DISCOUNT**later * rewards, 0)
    expect(batch.rewards == returns, "the return is that of its steps")
    ended = (reached == length) & terminates(environment, episode)
    expect(batch.discounts == np.where(ended, 0, DISCOUNT**span), "the discount knows the end")

    rows = np.arange(len(batch))
    first = frame_stack - span  # where the frame lies that the action led to, if it is in the stack
    led_to = after[rows, np.maximum(first, 0), 3]
    expect((led_to == batch.actions) | (first < 0), "the action is the one that was taken")
    for age in range(frame_stack):
        moved = np.minimum(age + span, frame_stack - 1)
        shared = (age + span < frame_stack) & (step - age >= 0)
        same = before[:, frame_stack - 1 - age] == after[rows, frame_stack - 1 - moved]
        expect(same.all(1) | ~shared, "what both stacks show is the same")
    expect(batch.weight_versions > 0, "it says whose weights chose the action")
    return len(batch)


def expect(holds, what):
    """Say which rule does not hold, of how many transitions, and of which first."""
    wrong = np.flatnonzero(~holds)
    assert not len(wrong), (
        f"not of {len(wrong)} of {len(holds)} transitions, as row {wrong[0]}: {what}"
    )
