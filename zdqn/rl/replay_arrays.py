"""Who makes the arrays of a replay, and how its state is kept.

What has a state divides it in two. The arrays are made by an allocator, which is passed in; whoever
wants to keep them keeps them there, by name. All else is a few plain values that JSON can hold:
`state_dict` gives them and `load_state_dict` takes them. With both, the next inserts, draws and
priorities are the same, to the bit.

- A copy in RAM: copy `state_dict` and each array; make a new object, fill its arrays by name, load
  the values.
- A replay on disk: the allocator maps a file for each name and opens the one that is there, so
  that only the values are left to write. They belong to the arrays as these are at that moment:
  inserts, draws and priorities change both. `Replay.recover` makes up for what came in between, and
  drops what is not whole; it needs the replay to be made `kept`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Allocator(Protocol):
    """Makes arrays, each name once for an object."""

    def __call__(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], /) -> NDArray[Any]:
        """Make an array, or open the one that an earlier process left under this name.

        Args:
            name: lower-case letters and underscores, so that a file may be called like it.
            shape: of the array.
            dtype: of the array.

        Returns:
            The array: writable, C-contiguous, and all zeros, or what was in it before. Best a plain
            ndarray: of a memory map, its `np.asarray`, as every view of a subclass takes longer.
        """


def allocate_in_ram(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Make an array of zeros, whatever its name; its pages are taken when they are first touched.

    Args:
        name: ignored.
        shape: of the array.
        dtype: of the array.
    """
    return np.zeros(shape, dtype)
