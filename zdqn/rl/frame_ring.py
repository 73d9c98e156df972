"""The frames of a replay, each stored once: a ring in which blocks lie one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError
from zdqn.rl.replay_arrays import Allocator, allocate_in_ram


class FrameRing:
    """Blocks of frames, of which the newest overwrite the oldest.

    The frames of a block lie next to each other. Their place is counted without wrapping: frame
    position p lies in slot `p % capacity`, and a block that would reach over the end of the ring
    moves on to the next multiple of `capacity`. What is behind `end` by more than `capacity` has
    been overwritten.

    Args:
        spec: shape and dtype of the frames.
        capacity: most frames to hold, >= 1; must fit the largest block.
        allocate: makes the array ``frames``.

    Attributes:
        capacity: as given.
        end: position after the newest frame.
    """

    def __init__(
        self, spec: EnvironmentSpec, capacity: int, allocate: Allocator = allocate_in_ram
    ) -> None:
        self.capacity = capacity
        self.end = 0
        self._frames = allocate("frames", (capacity, *spec.observation_shape), spec.dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return self._frames.nbytes

    def place(self, count: int) -> int:
        """Say where the next block would begin; nothing changes yet.

        Args:
            count: frames of the block.

        Returns:
            A position >= `end`.

        Raises:
            ConfigError: if the block has more than `capacity` frames.
        """
        if count > self.capacity:
            raise ConfigError(
                f"a block of {count} frames does not fit into a replay of {self.capacity} "
                "frames. Raise replay.capacity, or lower collector.block_transitions."
            )
        room = self.capacity - self.end % self.capacity
        return self.end if count <= room else self.end + room

    def write(self, position: int, frames: NDArray[Any]) -> int:
        """Store a block.

        Args:
            position: what `place` said.
            frames: shape (F, *observation_shape), the spec's dtype.

        Returns:
            Slot of the first of them.
        """
        slot = position % self.capacity
        self._frames[slot : slot + len(frames)] = frames
        self.end = position + len(frames)
        return slot

    def gather(self, slots: NDArray[np.int32], out: NDArray[Any]) -> None:
        """Copy frames to where they are wanted.

        Args:
            slots: of the frames, any shape, each in [0, capacity).
            out: shape (*slots.shape, *observation_shape), the spec's dtype.
        """
        # With mode="clip" NumPy writes straight to `out`; else it gathers into a copy first.
        self._frames.take(slots, axis=0, out=out, mode="clip")

    def state_dict(self) -> dict[str, Any]:
        """Give all that the array does not hold; see `zdqn.rl.replay_arrays`."""
        return {"end": self.end}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.end = state["end"]
