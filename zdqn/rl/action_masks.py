"""Masks of the actions that are allowed, in NumPy: packed, and chosen by.

Where masks are kept or sent as parts of many, each action is a bit (see `zdqn.data.Block`); where
anybody acts or learns by them, it is a bool. For tensors see `zdqn.rl.allowed_actions`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LOWEST = np.finfo(np.float32).min


def pack_masks(allowed: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pack masks.

    Args:
        allowed: shape (N, num_actions), bool.

    Returns:
        Shape (N, ceil(num_actions / 8)): action a by bit `a % 8` of byte `a // 8`.
    """
    return np.packbits(allowed, axis=1, bitorder="little")


def unpack_masks(packed: NDArray[np.uint8], num_actions: int) -> NDArray[np.bool_]:
    """Undo `pack_masks`.

    Args:
        packed: shape (N, ceil(num_actions / 8)).
        num_actions: >= 1.

    Returns:
        Shape (N, num_actions), bool.
    """
    return np.unpackbits(packed, axis=1, count=num_actions, bitorder="little").view(np.bool_)


def allowed_values(
    values: NDArray[np.float32], allowed: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Make the values of what is not allowed the lowest that there are.

    Args:
        values: shape (N, num_actions), float32.
        allowed: shape (N, num_actions), bool; None: everything.

    Returns:
        Shape (N, num_actions); `values` itself for None.
    """
    if allowed is None:
        return values
    masked: NDArray[np.float32] = np.where(allowed, values, _LOWEST)
    return masked


def draw_allowed(chances: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Choose one of the allowed actions by a number, each for an equal share of numbers.

    Args:
        chances: shape (N,), in [0, 1).
        allowed: shape (N, num_actions), bool, with an action in each row.

    Returns:
        Actions, shape (N,), int64.
    """
    places = (chances * allowed.sum(1)).astype(np.int64)
    found: NDArray[np.int64] = (allowed.cumsum(1) > places[:, None]).argmax(1)
    return found
