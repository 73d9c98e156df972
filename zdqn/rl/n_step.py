"""n-step returns of steps that are linked within their episodes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class NStepWindows(NamedTuple):
    """What became of T steps within n steps.

    Attributes:
        returns: discounted sums of the rewards in the windows, shape (T,), float32.
        discounts: discount^k after k steps, 0 if the window ends in a termination, shape (T,),
            float32.
        ends: the last steps in the windows, whose outcomes are observed next, shape (T,), int64.
    """

    returns: NDArray[np.float32]
    discounts: NDArray[np.float32]
    ends: NDArray[np.int64]


def n_step_windows(
    steps: NDArray[np.int64],
    rewards: NDArray[np.floating],
    terminated: NDArray[np.bool_],
    following: NDArray[np.int64],
    *,
    n_step: int,
    discount: float,
) -> NStepWindows:
    """Sum the rewards of up to n steps from each of some steps on.

    A window ends after n steps or, shorter, where no step follows: with its episode, whether that
    terminated or was cut short, or with what is known of it.

    Args:
        steps: numbers of the steps that windows begin with, shape (T,).
        rewards: of all steps, shape (E,), float32 or float64.
        terminated: whether each step ended its episode for good, shape (E,). One that was cut short
            keeps its discount.
        following: number of the next step of the same episode, shape (E,); -1 where there is none.
        n_step: most steps in a window, n >= 1.
        discount: factor per step, gamma, in [0, 1].

    Returns:
        The windows, in the order of `steps`.

    Reference:
        Sutton and Barto 2018, section 7.1, equation 7.1; used with DQN in Horgan et al. 2018,
        arXiv:1803.00933, section 3.1.
    """
    powers = discount ** np.arange(n_step + 1, dtype=np.float64)
    returns = rewards[steps].astype(np.float64)
    lengths = np.ones(len(steps), np.int64)
    ends = steps.copy()
    for ahead in range(1, n_step):
        after = following[ends]
        longer = (after >= 0) & (lengths == ahead)
        if not longer.any():
            break
        ends = np.where(longer, after, ends)
        returns += np.where(longer, powers[ahead] * rewards[ends], 0.0)
        lengths += longer
    return NStepWindows(
        returns=returns.astype(np.float32),
        discounts=np.where(terminated[ends], 0.0, powers[lengths]).astype(np.float32),
        ends=ends,
    )
