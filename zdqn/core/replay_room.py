"""How much memory a replay needs: of frames usually far less than for the shortest episodes."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf

from zdqn.data import EnvironmentSpec
from zdqn.wire import block_payload

JOINED_SHARE = 64
"""Blocks that are stored as one have together at most this fraction of the capacity."""

_BYTES_PER_ITEM = 64
"""Rough room for a transition's own columns and its leaf; frames dominate or it does not matter."""
_MOST_ROWS = 2**31 - 1
"""Records refer to frames by 32 bits."""


@dataclass(frozen=True)
class Room:
    """What a replay needs.

    Attributes:
        transitions: its capacity.
        usual_frames: of its transitions, if blocks are full and episodes long.
        usual_bytes: of these and all else.
        most_frames: that it may come to hold; for so many its array is made, and touched as needed.
        most_bytes: of these and all else.
        sure_transitions: that it holds whatever blocks bring, 0 to its capacity.
    """

    transitions: int
    usual_frames: int
    usual_bytes: int
    most_frames: int
    most_bytes: int
    sure_transitions: int

    def describe(self) -> str:
        """Say it in a line, as for a log."""
        words = f"replay of {self.transitions:,} transitions, {_megabytes(self.usual_bytes)}"
        if self.most_bytes > self.usual_bytes:
            words += (
                f", up to {_megabytes(self.most_bytes)} with short episodes or part-full blocks"
            )
        if self.sure_transitions < self.transitions:
            words += f"; then it still holds {self.sure_transitions:,} or more"
        return words


def most_frames_a_transition(spec: EnvironmentSpec) -> int:
    """Give the most frames that a transition can refer to: all of two observations."""
    return 2 * spec.frame_stack


def most_block_bytes(spec: EnvironmentSpec, block_transitions: int) -> int:
    """Give the bytes of the largest message that a block may come in."""
    frames = most_frames_a_transition(spec) * block_transitions
    return block_payload.most_block_bytes(spec, transitions=block_transitions, frames=frames)


def plan_room(
    spec: EnvironmentSpec,
    available_bytes: float = inf,
    *,
    capacity: int,
    block_transitions: int,
    usual_frames_per_transition: float,
    most_frames_per_transition: float,
    sparing: bool = False,
) -> Room:
    """Compute what a replay needs.

    The frames kept are those of the transitions alive, and of the rest of the block, or of blocks
    stored as one, that the oldest of them is in. At worst each transition has `2 * frame_stack`:
    it is alone in its block, or the environments of a collector take turns in one.

    Args:
        spec: of the environment.
        available_bytes: free memory. If the most frames would need more than the usual ones and
            half of what these leave of it, then no more than that is taken.
        capacity: transitions kept.
        block_transitions: most in a block.
        usual_frames_per_transition: what full blocks within long episodes bring, > 0.
        most_frames_per_transition: a limit on what is kept, > 0; `inf` sets none.
        sparing: take at most as many frames more as the usual ones are, for arrays of which all
            that is made is taken.
    """
    each = most_frames_a_transition(spec)
    columns_bytes = capacity * (_BYTES_PER_ITEM + spec.record_dtype.itemsize)
    together = max(block_transitions, capacity // JOINED_SHARE)
    largest = each * block_transitions
    if most_frames_per_transition < inf:
        # Of three blocks more, as always: the oldest, the newest, and one to spare.
        kept = ceil((capacity + 3 * block_transitions) * most_frames_per_transition)
        usual = most = max(kept, largest)
    else:
        kept = ceil((capacity + block_transitions) * min(each, usual_frames_per_transition))
        usual = max(kept, largest)
        spare = max(available_bytes - columns_bytes - usual * spec.row_bytes, 0.0) / 2
        if sparing:
            spare = min(spare, usual * spec.row_bytes)
        most = max(each * (capacity + together), usual)
        most = int(min(most, usual + spare / spec.row_bytes, max(_MOST_ROWS, usual)))
    return Room(
        transitions=capacity,
        usual_frames=usual,
        usual_bytes=usual * spec.row_bytes + columns_bytes,
        most_frames=most,
        most_bytes=most * spec.row_bytes + columns_bytes,
        sure_transitions=max(min(capacity, most // each - together), 0),
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
