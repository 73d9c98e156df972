"""The frames of a replay, each stored once with its mask: a ring as long as its frames need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError
from zdqn.rl.replay_arrays import Allocator, allocate_in_ram
from zdqn.rl.row_checks import RowChecks

Run = tuple[int, int]
"""Neighbouring rows of the array: the first of them, and how many."""

_GROWTHS = 8192
"""The ring grows at least by this share of its capacity, so that it has few parts."""
_CHECKED_BYTES = 2**24
"""So many are checked in one go."""


class FrameRing:
    """Blocks of frames in the order in which they came, each overwriting the oldest ones.

    How many frames a block has for each transition depends on how long episodes are and how full it
    is, and may differ several times over. So the array has room for the most, and the ring begins
    with none of its rows and takes in further ones, where it is being written, only when what must
    be kept leaves too few. Rows that were never in it are never touched, and take no memory.

    The place of a frame is counted on and on: frame position p is the p-th frame ever written. The
    rows of a ring that has grown in its middle lie in several runs, and a block may lie in two of
    them or more.

    Args:
        spec: shape and dtype of the frames, and whether they have masks.
        capacity: most frames to hold, >= 1; must fit the largest block.
        allocate: makes the array ``frames``, and if `checked` ``frame_checks``; with masks also
            ``masks`` and ``mask_checks``.
        checked: keep a check of each frame, for `intact_rows`.

    Attributes:
        capacity: as given.
        length: rows in the ring, 0 to `capacity`; it never falls.
        end: position after the newest frame. Those before `end - length` have been overwritten.
        growth: rows that the last block made the ring take in, and rows that were free before.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        capacity: int,
        allocate: Allocator = allocate_in_ram,
        *,
        checked: bool = False,
    ) -> None:
        self.capacity = capacity
        self.length = 0
        self.end = 0
        self.growth = (0, 0)
        self._frame_bytes, self._row_bytes = spec.frame_bytes, spec.row_bytes
        self._frames = allocate("frames", (capacity, *spec.observation_shape), spec.dtype)
        self._masks: NDArray[np.uint8] | None = None
        self._checks: list[tuple[RowChecks, NDArray[Any]]] = []
        if checked:
            checks = RowChecks("frame_checks", capacity, spec.frame_bytes, allocate)
            self._checks.append((checks, self._frames))
        if spec.action_masks:
            self._masks = allocate("masks", (capacity, spec.mask_bytes), np.dtype(np.uint8))
        if checked and self._masks is not None:
            checks = RowChecks("mask_checks", capacity, spec.mask_bytes, allocate)
            self._checks.append((checks, self._masks))
        self._runs: list[Run] = []  # in the order in which they are written
        self._run = 0  # the next frame is written to row `_offset` of this one
        self._offset = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the rows in the ring; the others of the array have never been touched."""
        return self.length * self._row_bytes

    def check(self, count: int) -> None:
        """Refuse a block that is too large.

        Raises:
            ConfigError: if it has more than `capacity` frames.
        """
        if count > self.capacity:
            raise ConfigError(
                f"a block of {count:,} frames does not fit into a replay of {self.capacity:,} "
                "frames. Raise replay.capacity, or lower collector.block_transitions."
            )

    def make_room(self, count: int, oldest: int) -> int:
        """Take in rows, as far as there are any, so that a block needs none that is still in use.

        Args:
            count: frames of the block, at most `capacity`.
            oldest: position of the first frame to keep, at most `end`.

        Returns:
            Position of the first frame that the block will leave; above `oldest` only where the
            array has no further rows.
        """
        free = self.length - (self.end - oldest)
        self.growth = (0, 0)
        if free < count and self.length < self.capacity:
            most = self.capacity - self.length
            self.growth = (min(max(count, self.capacity // _GROWTHS), most), free)
            self.grow(*self.growth)
        return self.end + count - self.length

    def write(self, frames: NDArray[Any], masks: NDArray[np.uint8] | None = None) -> list[Run]:
        """Store a block, for which `make_room` has made room.

        Args:
            frames: shape (F, *observation_shape), the spec's dtype.
            masks: of each, shape (F, spec.mask_bytes); None where the spec has none.

        Returns:
            The rows that they went to, in order; mostly one run.
        """
        position = self.end
        placed = self.place(len(frames))
        written = 0
        for slot, count in placed:
            slots, part = slice(slot, slot + count), slice(written, written + count)
            self._frames[slots] = frames[part]
            if self._masks is not None and masks is not None:
                self._masks[slots] = masks[part]
            for checks, rows in self._checks:
                checks.write(slots, rows[slots], _salts(position + written, count))
            written += count
        return placed

    def place(self, count: int) -> list[Run]:
        """Go on by a block, as `write` does, whose frames are there already.

        Args:
            count: frames of the block, for which `make_room` has made room.

        Returns:
            The rows that are theirs, as `write` gives them.
        """
        placed: list[Run] = []
        left = count
        while left:
            first, rows = self._runs[self._run]
            if self._offset == rows:
                self._run, self._offset = (self._run + 1) % len(self._runs), 0
                continue
            part = min(left, rows - self._offset)
            placed.append((first + self._offset, part))
            left -= part
            self._offset += part
        self.end += count
        return placed

    def intact_rows(self) -> NDArray[np.bool_]:
        """Say of each row of the array whether it holds the frame and mask that the ring has there.

        Returns:
            Shape (capacity,); all of it is read. Of a ring that is not `checked`, all true.
        """
        intact = np.full(self.capacity, not self._checks)
        if not self._checks:
            return intact
        step = max(_CHECKED_BYTES // self._frame_bytes, 1)
        position = self.end - self.length
        for first, rows in self._from_here():
            for slot in range(first, first + rows, step):
                slots = slice(slot, min(slot + step, first + rows))
                salts = _salts(position, slots.stop - slot)
                intact[slots] = np.logical_and.reduce(
                    [checks.agree(slots, rows[slots], salts) for checks, rows in self._checks]
                )
                position += slots.stop - slot
        return intact

    def _from_here(self) -> list[Run]:
        """Give the runs in the order in which they will be overwritten: the oldest frame first."""
        if not self._runs:
            return []
        first, rows = self._runs[self._run]
        rest = (first + self._offset, rows - self._offset)
        begin = (first, self._offset)
        return [rest, *self._runs[self._run + 1 :], *self._runs[: self._run], begin]

    def gather(self, slots: NDArray[np.int32], out: NDArray[Any]) -> None:
        """Copy frames to where they are wanted.

        Args:
            slots: of the frames, any shape, each a row of the array.
            out: shape (*slots.shape, *observation_shape), the spec's dtype.
        """
        # With mode="clip" NumPy writes straight to `out`; else it gathers into a copy first.
        self._frames.take(slots, axis=0, out=out, mode="clip")

    def masks_of(self, slots: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Give the masks of frames, of a spec that has some.

        Args:
            slots: of the frames, shape (B,), each a row of the array.

        Returns:
            A copy, shape (B, spec.mask_bytes).
        """
        assert self._masks is not None
        return self._masks.take(slots, axis=0)

    def grow(self, count: int, free: int) -> None:
        """Take in rows, to be written next, or after some of those that are free already.

        Args:
            count: how many, >= 0.
            free: rows from where the ring is written on that nobody needs, >= 0.
        """
        if count == 0:
            return
        fresh = self.length  # they are taken in the order of the array
        self.length += count
        if not self._runs:
            self._runs.append((fresh, count))
            return
        first, rows = self._runs[self._run]
        if rows - self._offset > free:  # what is left of this run is in use, and comes after them
            self._runs[self._run] = (first, self._offset)
            self._runs.insert(self._run + 1, (first + self._offset, rows - self._offset))
            self._runs.insert(self._run + 1, (fresh, count))
        elif first + rows == fresh:
            self._runs[self._run] = (first, rows + count)
        else:
            self._runs.insert(self._run + 1, (fresh, count))

    def state_dict(self) -> dict[str, Any]:
        """Give all that the array does not hold; see `zdqn.rl.replay_arrays`."""
        return {
            "end": self.end,
            "runs": [list(run) for run in self._runs],
            "run": self._run,
            "offset": self._offset,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.end = state["end"]
        self._runs = [(first, count) for first, count in state["runs"]]
        self._run, self._offset = state["run"], state["offset"]
        self.length = sum(count for _, count in self._runs)


def _salts(position: int, count: int) -> NDArray[np.uint64]:
    return np.arange(position, position + count).view(np.uint64)


def refer_to_rows(references: NDArray[np.int32], runs: Sequence[Run]) -> None:
    """Turn references to the frames of a block into rows of the ring, in place.

    Args:
        references: numbers of frames in the block, any shape.
        runs: what `FrameRing.write` gave for the block.
    """
    if len(runs) == 1:
        references += runs[0][0]
        return
    parts = [np.arange(first, first + count, dtype=np.int32) for first, count in runs]
    references[...] = np.concatenate(parts)[references]
