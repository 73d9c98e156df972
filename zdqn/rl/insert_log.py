"""A log of the newest inserts of a replay: what a copy of its state must take in to be up to date.

The arrays of a replay on disk are at every moment as its last insert has left them; the plain
values beside them are written now and then. What happened to those since is here.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np

from zdqn.rl.replay_arrays import Allocator

SLOTS = 2**17
"""Of the ring; an insert takes one, and more for its note."""

_SLOT = 64
_HEAD = struct.Struct("<QqqqqIIII")
_CHECK = struct.Struct("<I")
_BEFORE_NOTE = _HEAD.size + _CHECK.size


class Insert(NamedTuple):
    """What an insert did to the plain values of a replay.

    Attributes:
        first_key: of the transitions that it stored.
        end_key: after the last of them.
        oldest_key: of the transitions that it left alive.
        frame_position: of its first frame.
        frames: how many.
        grown: rows that the ring of frames took in for them.
        free: rows that it had free before.
        note: what its caller wanted to be kept with it.
    """

    first_key: int
    end_key: int
    oldest_key: int
    frame_position: int
    frames: int
    grown: int
    free: int
    note: bytes


class InsertLog:
    """A ring of the newest inserts, each with a checksum.

    A process that is killed while it writes leaves an entry whose checksum is wrong, and that hence
    never was; so do the pages that a machine without power had not written.

    Args:
        allocate: makes the array ``inserts``.

    Attributes:
        end: slots written so far, on and on: where the next entry goes.
    """

    def __init__(self, allocate: Allocator) -> None:
        self._array = allocate("inserts", (SLOTS * _SLOT,), np.dtype(np.uint8))
        self._bytes = self._array.data
        self.end = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return self._array.nbytes

    def append(self, insert: Insert) -> None:
        """Write an entry."""
        *numbers, note = insert
        head = _HEAD.pack(self.end, *numbers, len(note))
        body = head + _CHECK.pack(zlib.crc32(note, zlib.crc32(head))) + note
        start = self.end % SLOTS * _SLOT
        part = min(len(body), SLOTS * _SLOT - start)
        self._bytes[start : start + part] = body[:part]
        self._bytes[: len(body) - part] = body[part:]
        self.end += _slots(len(note))

    def read(self, position: int) -> Insert | None:
        """Give the entry that was written at a position; None if there is none that is whole.

        Args:
            position: what `end` was before it was written.
        """
        start = position % SLOTS * _SLOT
        head = self._read(start, _HEAD.size)
        was_at, *numbers, size = _HEAD.unpack(head)
        if was_at != position or _slots(size) > SLOTS:
            return None
        (check,) = _CHECK.unpack(self._read(start + _HEAD.size, _CHECK.size))
        note = self._read(start + _BEFORE_NOTE, size)
        if check != zlib.crc32(note, zlib.crc32(head)):
            return None
        return Insert._make([*numbers, note])

    @staticmethod
    def after(position: int, insert: Insert) -> int:
        """Give the position after an entry."""
        return position + _slots(len(insert.note))

    def _read(self, start: int, size: int) -> bytes:
        start %= SLOTS * _SLOT
        part = bytes(self._bytes[start : start + size])
        return part + bytes(self._bytes[: size - len(part)])


def _slots(note_bytes: int) -> int:
    return -(-(_BEFORE_NOTE + note_bytes) // _SLOT)
