"""What a replay keeps beside its transitions, so that after any end it is known which are whole."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zdqn.rl.frame_ring import FrameRing
from zdqn.rl.insert_log import Insert, InsertLog
from zdqn.rl.replay_arrays import Allocator
from zdqn.rl.ring_parts import ring_parts
from zdqn.rl.row_checks import RowChecks

_POSITION_FACTOR = 0xA24BAED4963EE407
_CHECKED_TOGETHER = 2**17


class Recovered(NamedTuple):
    """What became of a replay that was opened again.

    Attributes:
        notes: of the inserts that were made since its state was taken, in order.
        dropped: transitions that it should have held and that are not whole.
    """

    notes: list[bytes]
    dropped: int


class RecordChecks:
    """Checks of the records of a replay, and the log of its inserts.

    Args:
        capacity: records.
        words: 32-bit words of each.
        allocate: makes ``record_checks`` and the array of `InsertLog`.

    Attributes:
        log: of the newest inserts.
    """

    def __init__(self, capacity: int, words: int, allocate: Allocator) -> None:
        self._rows = RowChecks("record_checks", capacity, 4 * words, allocate)
        self.log = InsertLog(allocate)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self._rows.nbytes + self.log.nbytes

    def write(self, slots: slice, words: NDArray[Any], first_key: int, position: int) -> None:
        """Keep the checks of neighbouring records of one block.

        Args:
            slots: where they are.
            words: the records, shape (R, words).
            first_key: of the first.
            position: where their block begins in the ring of frames.
        """
        keys = np.arange(first_key, first_key + len(words))
        self._rows.write(slots, words, _salts(keys, np.array([position])))

    def intact(
        self,
        keys: range,
        words: NDArray[Any],
        positions: NDArray[np.int64],
        references: NDArray[np.int32],
        frames: FrameRing,
    ) -> NDArray[np.bool_]:
        """Say of transitions whether they and all their frames are whole; all of it is read.

        Args:
            keys: N neighbouring ones.
            words: of all records, shape (capacity, words).
            positions: where their blocks begin in the ring of frames, shape (capacity,).
            references: rows of their frames, shape (capacity, R).
            frames: the ring.

        Returns:
            One for each key, shape (N,).
        """
        rows = frames.intact_rows()
        lowest = frames.end - frames.length
        parts = [np.zeros(0, np.bool_)]
        for first_key in range(keys.start, keys.stop, _CHECKED_TOGETHER):
            count = min(keys.stop - first_key, _CHECKED_TOGETHER)
            for slots, part in ring_parts(first_key, count, len(words)):
                expected = np.arange(first_key + part.start, first_key + part.stop)
                salts = _salts(expected, positions[slots])
                whole = self._rows.agree(slots, words[slots], salts)
                whole &= positions[slots] >= lowest
                whole &= rows.take(references[slots], mode="clip").all(axis=1)
                parts.append(whole)
        return np.concatenate(parts)

    def inserts_from(self, next_key: int, frame_position: int) -> list[Insert]:
        """Give the inserts that followed on a state, and go on after them.

        Args:
            next_key: of the state.
            frame_position: where its next frame was to go.
        """
        followed = []
        end = self.log.end
        while (insert := self.log.read(end)) is not None and (
            insert.first_key >= next_key and insert.frame_position == frame_position
        ):
            followed.append(insert)
            next_key, frame_position = insert.end_key, frame_position + insert.frames
            end = self.log.after(end, insert)
        self.log.end = end
        return followed


def longest_run(flags: NDArray[np.bool_]) -> tuple[int, int]:
    """Give begin and end of the longest run of true ones; an empty one at the end if there is none.

    Args:
        flags: shape (N,).
    """
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    if len(edges) == 0:
        return len(flags), len(flags)
    begins, ends = edges[::2], edges[1::2]
    longest = int((ends - begins).argmax())
    return int(begins[longest]), int(ends[longest])


def _salts(keys: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.uint64]:
    where = positions.astype(np.uint64) * np.uint64(_POSITION_FACTOR)
    return keys.astype(np.uint64) + where
