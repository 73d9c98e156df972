"""Where neighbouring keys are in a ring: side by side, or at its end and its begin."""

from __future__ import annotations

from collections.abc import Iterator


def ring_parts(first_key: int, count: int, capacity: int) -> Iterator[tuple[slice, slice]]:
    """Give the slots of neighbouring keys, and which of the keys these are; 0 to 2 pairs.

    Args:
        first_key: the first of them, >= 0.
        count: how many, at most `capacity`.
        capacity: slots of the ring; key k is in slot `k % capacity`.
    """
    done = 0
    while done < count:
        slot = (first_key + done) % capacity
        length = min(count - done, capacity - slot)
        yield slice(slot, slot + length), slice(done, done + length)
        done += length
