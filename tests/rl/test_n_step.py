import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.rl.n_step import n_step_windows


def slow_window(rewards, terminates, n_step, discount, step):
    """One episode, a list of rewards, from one step on: (return, discount, last step)."""
    window = rewards[step : step + n_step]
    total = sum(discount**k * reward for k, reward in enumerate(window))
    end = step + len(window) - 1
    if terminates and end == len(rewards) - 1:
        return total, 0.0, end
    return total, discount ** len(window), end


def random_episodes(rng, episodes, longest):
    """Episodes whose steps are numbered in any order: (rewards, whether terminated, numbers)."""
    lengths = rng.integers(1, longest + 1, episodes)
    numbers = np.split(rng.permutation(lengths.sum()), np.cumsum(lengths)[:-1])
    return [
        (rng.normal(size=length), bool(rng.random() < 0.5), given)
        for length, given in zip(lengths, numbers, strict=True)
    ]


def link(episodes):
    """Arrays over all numbers: rewards, terminated, following."""
    count = sum(len(rewards) for rewards, _, _ in episodes)
    rewards, following = np.zeros(count), np.full(count, -1)
    terminated = np.zeros(count, bool)
    for gains, terminates, numbers in episodes:
        rewards[numbers] = gains
        following[numbers[:-1]] = numbers[1:]
        terminated[numbers[-1]] = terminates
    return rewards, terminated, following


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 5),
    longest=st.integers(1, 12),
    n_step=st.integers(1, 6),
    discount=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
)
def test_it_agrees_with_a_sum_over_each_episode(seed, count, longest, n_step, discount):
    rng = np.random.default_rng(seed)
    episodes = random_episodes(rng, count, longest)
    steps = rng.permutation(np.concatenate([numbers for _, _, numbers in episodes]))
    windows = n_step_windows(steps, *link(episodes), n_step=n_step, discount=discount)
    assert [array.dtype for array in windows] == [np.float32, np.float32, np.int64]
    assert all(array.shape == steps.shape for array in windows)
    place = {int(number): place for place, number in enumerate(steps)}
    for rewards, terminates, numbers in episodes:
        for step, number in enumerate(numbers):
            total, bootstrap, end = slow_window(rewards, terminates, n_step, discount, step)
            t = place[int(number)]
            assert windows.returns[t] == pytest.approx(total, rel=1e-6, abs=1e-6)
            assert windows.discounts[t] == np.float32(bootstrap)
            assert windows.ends[t] == numbers[end]


def one_episode(rewards, terminates, **options):
    numbers = np.arange(len(rewards))
    arrays = link([(np.array(rewards, np.float32), terminates, numbers)])
    return [array.tolist() for array in n_step_windows(numbers, *arrays, **options)]


def test_one_step_is_the_reward_itself():
    returns, discounts, ends = one_episode([1, 2, 3], True, n_step=1, discount=0.5)
    assert returns == [1, 2, 3]
    assert discounts == [0.5, 0.5, 0]
    assert ends == [0, 1, 2]


def test_a_truncated_episode_keeps_its_discount_and_its_short_tail():
    returns, discounts, ends = one_episode([1, 1, 1], False, n_step=3, discount=0.5)
    assert returns == [1.75, 1.5, 1]
    assert discounts == [0.125, 0.25, 0.5]
    assert ends == [2, 2, 2]


def test_a_terminated_one_expects_nothing_from_any_window_that_reaches_its_end():
    _, discounts, _ = one_episode([1, 1, 1], True, n_step=2, discount=0.5)
    assert discounts == [0.25, 0, 0]


def test_no_window_reaches_into_what_is_not_linked():
    rewards, following = np.array([1.0, 100.0]), np.array([-1, -1])
    windows = n_step_windows(
        np.array([0]), rewards, np.zeros(2, bool), following, n_step=5, discount=1.0
    )
    assert windows.returns.tolist() == [1]
    assert windows.ends.tolist() == [0]


def test_no_steps_give_no_windows():
    nothing = np.zeros(0, np.int64)
    windows = n_step_windows(
        nothing, np.zeros(3), np.zeros(3, bool), np.full(3, -1), n_step=3, discount=0.9
    )
    assert [len(array) for array in windows] == [0, 0, 0]


def test_the_arguments_are_left_alone():
    arrays = link(random_episodes(np.random.default_rng(1), 3, 6))
    copies = [array.copy() for array in arrays]
    steps = np.arange(len(arrays[0]))
    n_step_windows(steps, *arrays, n_step=3, discount=0.9)
    for array, copy in zip((*arrays, steps), (*copies, np.arange(len(steps))), strict=True):
        np.testing.assert_array_equal(array, copy)
