import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.rl.n_step import n_step_windows


def slow_window(rewards, terminated, truncated, n_step, discount, row):
    """One environment, one row: (complete, return, discount, next row)."""
    total = 0.0
    for taken in range(n_step):
        now = row + taken
        if now == len(rewards):
            return False, None, None, None
        total += discount**taken * rewards[now]
        if terminated[now]:
            return True, total, 0.0, now + 1
        if truncated[now]:
            return True, total, discount ** (taken + 1), now + 1
    return True, total, discount**n_step, row + n_step


def random_steps(rng, rows, environments, end_chance):
    """Rewards and flags of environments that reset in the row after an episode's end."""
    shape = (rows, environments)
    terminated, truncated = rng.random(shape) < end_chance, rng.random(shape) < end_chance
    valid = np.ones(shape, bool)
    for row in range(1, rows):
        valid[row] = ~(terminated | truncated)[row - 1]
        terminated[row] &= valid[row]
        truncated[row] &= valid[row]
    rewards = rng.normal(size=shape)
    rewards[~valid] = np.nan  # nobody may look at them
    return rewards, terminated, truncated, valid


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(0, 12),
    environments=st.integers(1, 4),
    n_step=st.integers(1, 6),
    discount=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    end_chance=st.sampled_from([0.0, 0.1, 0.4, 1.0]),
)
def test_it_agrees_with_a_double_loop(seed, rows, environments, n_step, discount, end_chance):
    rng = np.random.default_rng(seed)
    rewards, terminated, truncated, valid = random_steps(rng, rows, environments, end_chance)
    windows = n_step_windows(
        rewards, terminated, truncated, valid, n_step=n_step, discount=discount
    )
    assert [array.dtype for array in windows] == [bool, np.float32, np.float32, np.int64]
    assert all(array.shape == (rows, environments) for array in windows)
    for row, e in np.ndindex(rows, environments):
        if not valid[row, e]:
            assert not windows.complete[row, e]
            continue
        complete, total, bootstrap, next_row = slow_window(
            rewards[:, e], terminated[:, e], truncated[:, e], n_step, discount, row
        )
        assert windows.complete[row, e] == complete
        if complete:
            assert windows.returns[row, e] == pytest.approx(total, rel=1e-6, abs=1e-6)
            assert windows.discounts[row, e] == np.float32(bootstrap)
            assert windows.next_rows[row, e] == next_row


def one_environment(rewards, terminated=(), truncated=(), resets=(), **options):
    rows = np.arange(len(rewards))
    ended, cut, reset = (np.isin(rows, where)[:, None] for where in (terminated, truncated, resets))
    column = np.array(rewards, np.float32)[:, None]
    windows = n_step_windows(column, ended, cut, ~reset, **options)
    return [array[:, 0].tolist() for array in windows]


def test_one_step_is_the_reward_itself():
    complete, returns, discounts, next_rows = one_environment(
        [1, 2, 3], terminated=[1], n_step=1, discount=0.5
    )
    assert complete == [True] * 3
    assert returns == [1, 2, 3]
    assert discounts == [0.5, 0, 0.5]
    assert next_rows == [1, 2, 3]


def test_a_truncated_episode_keeps_its_discount_and_its_short_tail():
    complete, returns, discounts, next_rows = one_environment(
        [1, 1, 1, 100, 1], truncated=[2], resets=[3], n_step=3, discount=0.5
    )
    assert complete == [True, True, True, False, False]  # row 3 is a reset, row 4 runs out
    assert returns[:3] == [1.75, 1.5, 1]
    assert discounts[:3] == [0.125, 0.25, 0.5]
    assert next_rows[:3] == [3, 3, 3]


def test_termination_wins_over_truncation():
    _, _, discounts, _ = one_environment([1], terminated=[0], truncated=[0], n_step=2, discount=0.9)
    assert discounts == [0]


def test_the_arguments_are_left_alone():
    rng = np.random.default_rng(1)
    steps = random_steps(rng, 8, 2, 0.3)
    copies = [array.copy() for array in steps]
    n_step_windows(*steps, n_step=3, discount=0.9)
    for array, copy in zip(steps, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
