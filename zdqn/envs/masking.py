"""Masks of allowed actions, as environments give them: `info["action_mask"]`, gymnasium's habit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MASK_KEY = "action_mask"
"""In `info` of each reset and step."""


def read_masks(
    info: Any,
    shape: tuple[int, ...],
    call: str,
    terminated: bool | NDArray[np.bool_] = False,
) -> NDArray[np.bool_]:
    """Read which actions an environment allows now, or N of them.

    Args:
        info: as it came; a map, if it is to be of use.
        shape: (num_actions,) of one environment, (N, num_actions) of N.
        call: what gave it, for messages, such as ``step()``.
        terminated: whether the episode has ended for good, one or (N,): nothing need be allowed
            there, and if nothing is, everything is said to be.

    Returns:
        A copy, of that shape, bool; some in each row.

    Raises:
        TypeError: saying what came and what is wanted.
    """
    over = np.asarray(terminated)
    found = info.get(MASK_KEY) if isinstance(info, Mapping) else None
    if found is None and over.all():
        return np.ones(shape, np.bool_)
    if found is None:
        raise TypeError(
            f'info of {call} holds no "{MASK_KEY}", though environment.action_masks is true. Give '
            f"one of shape {shape} with each observation, or set that key to false"
        )
    given = np.asarray(found)
    plain = given.dtype.kind in "biu" and not ((given != 0) & (given != 1)).any()
    if given.shape != shape or not plain:
        raise TypeError(
            f'"{MASK_KEY}" in info of {call} is of shape {given.shape}, dtype {given.dtype}, but '
            f"must be of shape {shape} and hold booleans, or integers that are 0 and 1: one for "
            f"each action"
        )
    allowed = given.astype(np.bool_)
    nothing = ~allowed.any(axis=-1)
    if nothing.any():
        if (nothing & ~over).any():
            raise TypeError(
                f'"{MASK_KEY}" in info of {call} allows nothing, but the episode has not terminated'
            )
        allowed[nothing] = True
    return allowed
