"""The replay memory: a ring of frames, a ring of transitions that refer to them, and how to draw.

A frame is stored once, however many stacked observations it is part of. Nothing here is done one
item at a time: an insert copies whole blocks, a sample gathers whole batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from zdqn.data import Batch, EnvironmentSpec
from zdqn.errors import ConfigError, RoleFailedError, UsageError
from zdqn.rl.sum_tree import SumTree

_WORD = np.dtype("<i4")
_REFERENCES_AT = 2  # words before the references in a record: the 64-bit weight version


class Replay:
    """Transitions with lasting keys, drawn uniformly or in proportion to their priorities.

    Keys are running numbers, and the transition with key k lives in slot `k % capacity`. Those
    alive are always the keys in `[oldest_key, next_key)`: one is evicted when the ring of
    transitions wraps over it, or when the ring of frames wraps over any frame of its block.

    The frames of a block lie next to each other. Their place is counted without wrapping, as keys
    are: frame position p lives in slot `p % frame_capacity`, and a block that would reach over the
    end of the ring moves on to the next multiple of `frame_capacity`. What is behind the newest
    position by more than `frame_capacity` has been overwritten.

    Args:
        spec: shape and dtype of the frames, and how many are stacked.
        capacity: most transitions to hold, >= 1.
        frame_capacity: most frames to hold, >= 1; must fit the largest block.
        prioritized: draw in proportion to priorities; otherwise uniformly.
        priority_exponent: how much priorities matter (alpha), >= 0; 0 draws uniformly. Unused
            unless `prioritized`, as is the next one.
        priority_epsilon: added to each absolute TD error so that none has chance 0, >= 0.
        rng: source of the draws.

    Raises:
        ConfigError: if a capacity is out of range.

    Reference:
        Mnih et al. 2015, doi:10.1038/nature14236 (replay); Schaul et al. 2016, arXiv:1511.05952,
        section 3.3 (proportional prioritization) and appendix B.2.1 (stratified draws).
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        *,
        capacity: int,
        frame_capacity: int,
        prioritized: bool,
        priority_exponent: float,
        priority_epsilon: float,
        rng: np.random.Generator,
    ) -> None:
        largest = np.iinfo(_WORD).max
        if capacity < 1 or not 1 <= frame_capacity <= largest:
            raise ConfigError(
                f"a replay of {capacity} transitions and {frame_capacity} frames cannot be made: "
                f"both must be at least 1, and frames at most {largest}. Change replay.capacity."
            )
        self.capacity = capacity
        self.frame_capacity = frame_capacity
        self.max_priority = 1.0
        """The highest priority seen so far, before the exponent: what a new item gets."""
        self.oldest_key = 0
        self.next_key = 0
        self._spec = spec
        self._exponent = priority_exponent
        self._epsilon = priority_epsilon
        self._rng = rng
        self._frames = np.zeros((frame_capacity, *spec.observation_shape), spec.dtype)
        # Records are kept as rows of 32-bit words, as plain numbers copy and gather several times
        # faster than structured ones. References are slots of the ring of frames.
        self._words = np.zeros((capacity, spec.record_dtype.itemsize // _WORD.itemsize), _WORD)
        self._references = slice(_REFERENCES_AT, _REFERENCES_AT + 2 * spec.frame_stack)
        self._frame_positions = np.zeros(capacity, np.int64)  # where each one's block begins
        self._next_frame = 0
        self._tree = SumTree(capacity) if prioritized else None

    @property
    def size(self) -> int:
        """How many transitions are alive."""
        return self.next_key - self.oldest_key

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays; reserved at once, touched as the rings fill."""
        tree_bytes = 0 if self._tree is None else self._tree.nbytes
        return self._frames.nbytes + self._words.nbytes + self._frame_positions.nbytes + tree_bytes

    def insert(self, frames: NDArray[np.generic], records: NDArray[np.void]) -> None:
        """Store a block, and evict the oldest transitions to make room.

        Of a block with more than `capacity` transitions only the newest stay; the others count as
        inserted and evicted. New items without an estimate of their own get `max_priority`, so
        that each is likely to be drawn soon.

        Args:
            frames: the block's frame table, shape (F, *observation_shape), the spec's dtype.
            records: shape (T,), the spec's `record_dtype`; references are rows of `frames`, which
                the caller has checked.

        Raises:
            ConfigError: if the block has more than `frame_capacity` frames.
            UsageError: if a priority is NaN or infinite. Nothing has changed in either case.
        """
        if len(records) == 0:
            return
        end_key = self.next_key + len(records)
        kept = np.ascontiguousarray(records[-self.capacity :])
        position = self._frame_position(len(frames))
        leaves = None if self._tree is None else self._new_leaves(kept)
        self._evict(end_key, position + len(frames))

        frame_slot = position % self.frame_capacity
        self._frames[frame_slot : frame_slot + len(frames)] = frames
        words = kept.view(_WORD).reshape(len(kept), -1)
        for slots, part in self._ring_parts(end_key - len(kept), len(kept)):
            self._words[slots] = words[part]
            self._words[slots, self._references] += frame_slot
            self._frame_positions[slots] = position
            if self._tree is not None and leaves is not None:
                self._tree.set_range(slots.start, leaves[part])
        self.next_key = end_key
        self._next_frame = position + len(frames)

    def sample(self, batch_size: int, batches: int = 1, out: Batch | None = None) -> Batch:
        """Draw transitions, with replacement.

        A prioritized draw cuts the sum of all priorities into `batches * batch_size` equal strata
        and draws one item from each. They are dealt round-robin, so that each batch is stratified
        too. If all priorities are zero the draw is uniform.

        Args:
            batch_size: transitions in a batch, >= 1.
            batches: batches to draw, >= 1.
            out: arrays to write to, M = `batches * batch_size` rows each; made new if not given.

        Returns:
            M transitions (`out`, if given), one batch after the other; see `Batch.split`.

        Raises:
            RoleFailedError: if there is nothing to draw.
        """
        count = batch_size * batches
        if self.size == 0:
            raise RoleFailedError(
                f"{count} transitions were asked of an empty replay; check `size` before sampling."
            )
        batch = self._empty_batch(count) if out is None else out
        if self._tree is None or self._tree.total == 0.0:
            keys = self._rng.integers(self.oldest_key, self.next_key, count)
            slots = keys % self.capacity
            batch.probabilities[:] = 1.0 / self.size
        else:
            slots = self._draw_stratified(self._tree, batch_size, batches)
            keys = self.oldest_key + (slots - self.oldest_key) % self.capacity
            np.divide(self._tree.get(slots), self._tree.total, out=batch.probabilities)
        batch.keys[:] = keys
        self._gather(slots, batch)
        return batch

    def update_priorities(self, keys: NDArray[np.int64], priorities: NDArray[np.floating]) -> int:
        """Give items the weight `(|priority| + priority_epsilon) ^ priority_exponent`.

        Of a key that occurs twice, the last one counts. A uniform replay ignores the call.

        Args:
            keys: items, shape (B,); those evicted in the meantime are dropped.
            priorities: how much there is to learn from each, for Q-learning |TD error|, shape
                (B,); the sign does not matter.

        Returns:
            How many were dropped.

        Raises:
            UsageError: if a priority is NaN or infinite; nothing has changed then.

        Reference:
            Schaul et al. 2016, arXiv:1511.05952, section 3.3, equation 1.
        """
        if self._tree is None or len(keys) == 0:
            return 0
        raised = np.abs(priorities, dtype=np.float64) + self._epsilon
        if not raised.max() < math.inf:
            wrong = int(np.flatnonzero(~np.isfinite(raised))[0])
            raise UsageError(
                f"the priority {priorities[wrong]} of item {keys[wrong]} (number {wrong} of "
                f"{len(keys)}) is refused: it must be finite. Training has diverged; "
                "a smaller learning rate or gradient clipping may help."
            )
        alive = (keys >= self.oldest_key) & (keys < self.next_key)
        raised = raised[alive]
        if len(raised) > 0:
            self._tree.set(keys[alive] % self.capacity, raised**self._exponent)
            self.max_priority = max(self.max_priority, float(raised.max()))
        return len(keys) - len(raised)

    def check_valid(self) -> None:
        """Check that the parts agree with each other; for tests."""
        assert 0 <= self.oldest_key <= self.next_key, "keys are out of order"
        assert self.size <= self.capacity, "more transitions than capacity"
        live = np.arange(self.oldest_key, self.next_key) % self.capacity
        positions = self._frame_positions[live]
        assert (np.diff(positions) >= 0).all(), "blocks are out of order"
        lowest = self._next_frame - self.frame_capacity
        assert (positions >= lowest).all(), "a live transition has lost a frame"
        references = self._words[live, self._references]
        assert ((references >= 0) & (references < self.frame_capacity)).all(), "no such frame"
        if self._tree is not None:
            self._tree.check_valid()
            dead = np.setdiff1d(np.arange(self.capacity), live)
            assert not self._tree.get(dead).any(), "an evicted transition can still be drawn"

    def _new_leaves(self, records: NDArray[np.void]) -> NDArray[np.float64]:
        estimates = records["priority"].astype(np.float64)
        priorities = np.where(estimates < 0.0, self.max_priority, estimates + self._epsilon)
        highest = float(priorities.max())
        if not highest < math.inf:
            raise UsageError(
                f"a new transition has the priority {highest}: it must be finite, or negative if "
                "its collector makes no estimate."
            )
        self.max_priority = max(self.max_priority, highest)
        return priorities**self._exponent

    def _frame_position(self, count: int) -> int:
        if count > self.frame_capacity:
            raise ConfigError(
                f"a block of {count} frames does not fit into a replay of {self.frame_capacity} "
                "frames. Raise replay.capacity, or lower collector.block_transitions."
            )
        room = self.frame_capacity - self._next_frame % self.frame_capacity
        return self._next_frame if count <= room else self._next_frame + room

    def _evict(self, end_key: int, end_frame: int) -> None:
        first_evicted = self.oldest_key
        oldest = max(first_evicted, end_key - self.capacity)
        lowest = end_frame - self.frame_capacity
        while oldest < self.next_key:  # at most twice: up to the end of the ring, and on from 0
            slot = oldest % self.capacity
            if self._frame_positions.item(slot) >= lowest:
                break
            positions = self._frame_positions[slot : slot + self.next_key - oldest]
            oldest += int(positions.searchsorted(lowest))
        self.oldest_key = oldest
        if self._tree is not None:
            # Slots that the new block is about to fill need no zero.
            first_empty = max(first_evicted, end_key - self.capacity)
            count = min(oldest, self.next_key) - first_empty
            for slots, part in self._ring_parts(first_empty, count):
                self._tree.set_range(slots.start, np.zeros(part.stop - part.start))

    def _ring_parts(self, first_key: int, count: int) -> Iterator[tuple[slice, slice]]:
        """Give the slots of neighbouring keys, and which of the keys these are; 0 to 2 pairs."""
        done = 0
        while done < count:
            slot = (first_key + done) % self.capacity
            length = min(count - done, self.capacity - slot)
            yield slice(slot, slot + length), slice(done, done + length)
            done += length

    def _draw_stratified(self, tree: SumTree, batch_size: int, batches: int) -> NDArray[np.int64]:
        count = batch_size * batches
        strata = np.arange(count) + self._rng.random(count)
        slots = tree.find(strata * (tree.total / count))
        return slots.reshape(batch_size, batches).T.ravel()

    def _gather(self, slots: NDArray[np.int64], batch: Batch) -> None:
        spec = self._spec
        records = self._words.take(slots, axis=0).view(spec.record_dtype)[:, 0]
        batch.actions[:] = records["action"]
        batch.rewards[:] = records["reward"]
        batch.discounts[:] = records["discount"]
        batch.weight_versions[:] = records["weight_version"]
        for field, out in (
            ("observation", batch.observations),
            ("next_observation", batch.next_observations),
        ):
            rows = records[field] if spec.frame_stack > 1 else records[field][:, 0]
            # With mode="clip" NumPy writes straight to `out`; else it gathers into a copy first.
            self._frames.take(rows, axis=0, out=out, mode="clip")

    def _empty_batch(self, count: int) -> Batch:
        shape = (count, *self._spec.stacked_shape)
        return Batch(
            observations=np.empty(shape, self._spec.dtype),
            actions=np.empty(count, np.int64),
            rewards=np.empty(count, np.float32),
            discounts=np.empty(count, np.float32),
            next_observations=np.empty(shape, self._spec.dtype),
            keys=np.empty(count, np.int64),
            probabilities=np.empty(count, np.float64),
            weight_versions=np.empty(count, np.int64),
        )
