"""n-step returns of several environments at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class NStepWindows(NamedTuple):
    """What became of each action within n steps; all arrays have the shape (T, N).

    Attributes:
        complete: bool; whether the window is closed. The other fields mean nothing where it is not.
        returns: float32; discounted sum of the rewards in the window.
        discounts: float32; discount^k after k steps, 0 if the window ends in a termination.
        next_rows: int64; observation row after the window, t + k, in [0, T].
    """

    complete: NDArray[np.bool_]
    returns: NDArray[np.float32]
    discounts: NDArray[np.float32]
    next_rows: NDArray[np.int64]


def n_step_windows(
    rewards: NDArray[np.floating],
    terminated: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    *,
    n_step: int,
    discount: float,
) -> NStepWindows:
    """Sum the rewards of up to n steps from each row on.

    Row t is the action taken at observation row t, and what it led to: observation row t + 1. A
    window ends after n steps or, shorter, with its episode; it never reaches into the next one. It
    stays open if the rows run out before.

    Args:
        rewards: shape (T, N), float32 or float64.
        terminated: whether the step ended the episode for good, shape (T, N). Wins over
            `truncated` where both are set.
        truncated: whether the step cut the episode short, shape (T, N); it keeps its discount.
        valid: False in the rows in which an environment was reset and nobody acted, shape (T, N).
            These come only after the end of an episode.
        n_step: most steps in a window, n >= 1.
        discount: factor per step, gamma, in [0, 1].

    Returns:
        The windows, one for each row and environment.

    Reference:
        Sutton and Barto 2018, section 7.1, equation 7.1; used with DQN in Horgan et al. 2018,
        arXiv:1803.00933, section 3.1.
    """
    rows = len(rewards)
    ended = terminated | truncated
    powers = discount ** np.arange(n_step + 1, dtype=np.float64)
    returns = np.zeros(rewards.shape, np.float64)
    steps = np.zeros(rewards.shape, np.int64)
    complete = np.zeros(rewards.shape, np.bool_)
    terminal = np.zeros(rewards.shape, np.bool_)
    running = valid.copy()  # windows that take one more step
    for ahead in range(min(n_step, rows)):
        seen = slice(0, rows - ahead)  # windows for which the row `ahead` of theirs exists
        now = running[seen]
        returns[seen] += np.where(now, powers[ahead] * rewards[ahead:], 0.0)
        steps[seen] += now
        complete[seen] |= now & ended[ahead:]
        terminal[seen] |= now & terminated[ahead:]
        running[seen] = now & ~ended[ahead:]
    complete |= steps == n_step
    return NStepWindows(
        complete=complete,
        returns=returns.astype(np.float32),
        discounts=np.where(terminal, 0.0, powers[steps]).astype(np.float32),
        next_rows=np.arange(rows)[:, None] + steps,
    )
