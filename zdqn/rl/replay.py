"""The replay memory: a ring of transitions that refer to a ring of frames, and how to draw.

A frame is stored once, however many stacked observations it is part of. Nothing here is done one
item at a time: an insert copies whole blocks, a sample gathers whole batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.data import Batch, EnvironmentSpec
from zdqn.errors import ConfigError, RoleFailedError
from zdqn.rl.action_masks import unpack_masks
from zdqn.rl.frame_ring import FrameRing, refer_to_rows
from zdqn.rl.insert_log import Insert
from zdqn.rl.priorities import Priorities
from zdqn.rl.replay_arrays import Allocator, allocate_in_ram
from zdqn.rl.replay_checks import RecordChecks, Recovered, longest_run
from zdqn.rl.ring_parts import ring_parts

_WORD = np.dtype("<i4")
_REFERENCES_AT = 2  # words before the references in a record: the 64-bit weight version


class Replay:
    """Transitions with lasting keys, drawn uniformly or in proportion to their priorities.

    Keys are running numbers, and the transition with key k lives in slot `k % capacity`. Those
    alive are always the keys in `[oldest_key, next_key)`: one is evicted when the ring of
    transitions wraps over it, or, where `frame_capacity` is too small for `capacity` transitions,
    when the ring of frames wraps over any frame of its block.

    Args:
        spec: shape and dtype of the frames, and how many are stacked.
        capacity: most transitions to hold, >= 1.
        frame_capacity: most frames to hold, >= 1; must fit the largest block. Memory is taken only
            for as many as there are; see `FrameRing`.
        prioritized: draw in proportion to priorities; otherwise uniformly.
        priority_exponent: how much priorities matter (alpha), >= 0; 0 draws uniformly. Unused
            unless `prioritized`, as is the next one.
        priority_epsilon: added to each absolute TD error so that none has chance 0, >= 0.
        rng: source of the draws.
        allocate: makes the arrays ``records`` and ``frame_positions``, those of `FrameRing`, and if
            `prioritized` that of `SumTree`; see `zdqn.rl.replay_arrays`.
        kept: keep what `recover` needs: checks of all rows, and a log of inserts.

    Attributes:
        capacity: as given.
        oldest_key: of the transitions alive.
        next_key: what the next transition gets.

    Raises:
        ConfigError: if a capacity is out of range.

    Reference:
        Mnih et al. 2015, doi:10.1038/nature14236; for priorities, see `Priorities`.
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
        allocate: Allocator = allocate_in_ram,
        kept: bool = False,
    ) -> None:
        largest = np.iinfo(_WORD).max
        if capacity < 1 or not 1 <= frame_capacity <= largest:
            raise ConfigError(
                f"a replay of {capacity:,} transitions and {frame_capacity:,} frames cannot be "
                f"made: both must be at least 1, and frames at most {largest:,}. Change "
                f"replay.capacity."
            )
        self.capacity = capacity
        self.oldest_key = 0
        self.next_key = 0
        self._spec = spec
        self._rng = rng
        self._frames = FrameRing(spec, frame_capacity, allocate, checked=kept)
        # Records are kept as rows of 32-bit words, as plain numbers copy and gather several times
        # faster than structured ones. References are slots of the ring of frames.
        words = spec.record_dtype.itemsize // _WORD.itemsize
        self._words = allocate("records", (capacity, words), _WORD)
        self._references = slice(_REFERENCES_AT, _REFERENCES_AT + 2 * spec.frame_stack)
        # where each one's block begins in the ring of frames
        self._frame_positions = allocate("frame_positions", (capacity,), np.dtype(np.int64))
        self._checks = RecordChecks(capacity, words, allocate) if kept else None
        self._priorities: Priorities | None = None
        if prioritized:
            self._priorities = Priorities(
                capacity, exponent=priority_exponent, epsilon=priority_epsilon, allocate=allocate
            )

    @property
    def size(self) -> int:
        """How many transitions are alive."""
        return self.next_key - self.oldest_key

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays; of the one for frames, only what the ring has come to use."""
        priorities = 0 if self._priorities is None else self._priorities.nbytes
        checks = 0 if self._checks is None else self._checks.nbytes
        records = self._words.nbytes + self._frame_positions.nbytes
        return self._frames.nbytes + records + priorities + checks

    @property
    def highest_priority(self) -> float:
        """The highest priority so far, before the exponent; 0.0 of a uniform replay."""
        return 0.0 if self._priorities is None else self._priorities.highest

    @property
    def inserts_logged(self) -> int:
        """Slots that all inserts together took in the log, which has `insert_log.SLOTS`."""
        return 0 if self._checks is None else self._checks.log.end

    def insert(
        self,
        frames: NDArray[np.generic],
        records: NDArray[np.void],
        note: bytes = b"",
        masks: NDArray[np.uint8] | None = None,
    ) -> None:
        """Store a block, and evict the oldest transitions to make room.

        Of a block with more than `capacity` transitions only the newest stay; the others count as
        inserted and evicted. New items without an estimate of their own get the highest priority
        so far.

        Args:
            frames: the block's frame table, shape (F, *observation_shape), the spec's dtype.
            records: shape (T,), the spec's `record_dtype`; references are rows of `frames`, which
                the caller has checked.
            note: goes into the log of inserts; `recover` gives it back.
            masks: of the frames, shape (F, spec.mask_bytes); None where the spec has none.

        Raises:
            ConfigError: if the block has more than `frame_capacity` frames.
            UsageError: if a priority is NaN or infinite. Nothing has changed in either case.
        """
        if len(records) == 0:
            return
        end_key = self.next_key + len(records)
        kept = records if len(records) <= self.capacity else records[-self.capacity :]
        kept = np.ascontiguousarray(kept)
        self._frames.check(len(frames))
        leaves = None if self._priorities is None else self._priorities.of_new(kept["priority"])
        first_evicted = self.oldest_key
        self._evict(end_key, len(frames))
        self._empty_leaves(first_evicted, end_key)

        position = self._frames.end
        runs = self._frames.write(frames, masks)
        words = kept.view(_WORD).reshape(len(kept), -1)
        first_key = end_key - len(kept)
        for slots, part in ring_parts(first_key, len(kept), self.capacity):
            self._words[slots] = words[part]
            refer_to_rows(self._words[slots, self._references], runs)
            self._frame_positions[slots] = position
            if self._checks is not None:
                self._checks.write(slots, self._words[slots], first_key + part.start, position)
            if self._priorities is not None and leaves is not None:
                self._priorities.fill(slots.start, leaves[part])
        if self._checks is not None:
            growth = self._frames.growth
            self._checks.log.append(
                Insert(first_key, end_key, self.oldest_key, position, len(frames), *growth, note)
            )
        self.next_key = end_key

    def sample(self, batch_size: int, batches: int = 1, out: Batch | None = None) -> Batch:
        """Draw transitions, with replacement.

        A prioritized draw is stratified (`Priorities.draw`); if all are zero it is uniform.

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
                f"{count:,} transitions were asked of an empty replay; check `size` before "
                f"sampling."
            )
        batch = self._empty_batch(count) if out is None else out
        if self._priorities is None or self._priorities.total == 0.0:
            keys = self._rng.integers(self.oldest_key, self.next_key, count)
            slots = keys % self.capacity
            batch.probabilities.fill(1.0 / self.size)
        else:
            slots = self._priorities.draw(batch_size, batches, self._rng, batch.probabilities)
            keys = self.oldest_key + (slots - self.oldest_key) % self.capacity
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
        """
        if self._priorities is None or len(keys) == 0:
            return 0
        raised = self._priorities.raise_up(priorities, keys)
        alive = (keys >= self.oldest_key) & (keys < self.next_key)
        raised = raised[alive]
        if len(raised) > 0:
            self._priorities.update(keys[alive] % self.capacity, raised)
        return len(keys) - len(raised)

    def state_dict(self) -> dict[str, Any]:
        """Give all that the arrays do not hold, as plain values; see `zdqn.rl.replay_arrays`."""
        return {
            **self._layout(),
            "oldest_key": self.oldest_key,
            "next_key": self.next_key,
            "frames": self._frames.state_dict(),
            "priorities": None if self._priorities is None else self._priorities.state_dict(),
            "rng": self._rng.bit_generator.state,
            "inserts": None if self._checks is None else self._checks.log.end,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken; the arrays are, or will be, those of then.

        Raises:
            ConfigError: if the arrays of then have another meaning here; nothing has changed then.
        """
        for name, value in self._layout().items():
            if state[name] != value:
                raise ConfigError(
                    f"the replay was kept with {name} = {state[name]} and cannot go on with "
                    f"{name} = {value}. Start with the configuration of then, or an empty replay."
                )
        self.oldest_key, self.next_key = state["oldest_key"], state["next_key"]
        self._frames.load_state_dict(state["frames"])
        if self._priorities is not None:
            self._priorities.load_state_dict(state["priorities"])
        self._rng.bit_generator.state = state["rng"]
        if self._checks is not None:
            self._checks.log.end = state["inserts"]

    def recover(self, highest_priority: float = 0.0) -> Recovered:
        """Go on from where the arrays are, which may be later than the state that was loaded.

        Follows the log of inserts from there on, and reads all rows: of the transitions that should
        be alive those stay that are neighbours, whole, and the most. What was inserted half is
        hence gone, and so is what that has overwritten. Of priorities, which nothing checks, those
        that cannot be are made the highest, and sums are added up anew.

        Args:
            highest_priority: seen since the state was taken, before the exponent, or less.

        Returns:
            The notes of the inserts that were followed and stay, and how many transitions do not.
        """
        assert self._checks is not None, "this replay was not kept"
        inserts = self._checks.inserts_from(self.next_key, self._frames.end)
        for insert in inserts:
            self._frames.grow(insert.grown, insert.free)
            self._frames.place(insert.frames)
            self.oldest_key, self.next_key = insert.oldest_key, insert.end_key
        before = self.size
        begin, end = longest_run(
            self._checks.intact(
                range(self.oldest_key, self.next_key),
                self._words,
                self._frame_positions,
                self._words[:, self._references],
                self._frames,
            )
        )
        self.oldest_key, self.next_key = self.oldest_key + begin, self.oldest_key + end
        if self._priorities is not None:
            alive = np.zeros(self.capacity, np.bool_)
            for slots, _ in ring_parts(self.oldest_key, self.size, self.capacity):
                alive[slots] = True
            self._priorities.highest = max(self._priorities.highest, highest_priority)
            self._priorities.repair(alive)
        notes = [insert.note for insert in inserts if insert.end_key <= self.next_key]
        return Recovered(notes, before - self.size)

    def skip_draws(self) -> None:
        """Leave out so many random numbers that none which a lost draw took is taken again."""
        state: Any = self._rng.bit_generator.state
        ahead = np.random.PCG64()
        ahead.state = state
        self._rng.bit_generator.state = ahead.jumped().state

    def _layout(self) -> dict[str, Any]:
        """Give what must be the same for arrays to be used again."""
        priorities = self._priorities
        return {
            "capacity": self.capacity,
            "frame_capacity": self._frames.capacity,
            "prioritized": priorities is not None,
            "priority_exponent": None if priorities is None else priorities.exponent,
        }

    def check_valid(self) -> None:
        """Check that the parts agree with each other; for tests."""
        assert 0 <= self.oldest_key <= self.next_key, "keys are out of order"
        assert self.size <= self.capacity, "more transitions than capacity"
        live = np.arange(self.oldest_key, self.next_key) % self.capacity
        positions = self._frame_positions[live]
        assert (np.diff(positions) >= 0).all(), "blocks are out of order"
        lowest = self._frames.end - self._frames.length
        assert (positions >= lowest).all(), "a live transition has lost a frame"
        references = self._words[live, self._references]
        assert ((references >= 0) & (references < self._frames.capacity)).all(), "no such frame"
        if self._priorities is not None:
            self._priorities.check_valid(np.setdiff1d(np.arange(self.capacity), live))

    def _evict(self, end_key: int, frames: int) -> None:
        """Let the oldest go: for want of slots, or of room for so many frames."""
        oldest = max(self.oldest_key, end_key - self.capacity)
        kept_from = self._frames.end
        if oldest < self.next_key:
            kept_from = self._frame_positions.item(oldest % self.capacity)
        lowest = self._frames.make_room(frames, kept_from)
        while oldest < self.next_key:  # at most twice: up to the end of the ring, and on from 0
            slot = oldest % self.capacity
            if self._frame_positions.item(slot) >= lowest:
                break
            positions = self._frame_positions[slot : slot + self.next_key - oldest]
            oldest += int(positions.searchsorted(lowest))
        self.oldest_key = oldest

    def _empty_leaves(self, first_evicted: int, end_key: int) -> None:
        """Let those that `_evict` has let go be drawn no more."""
        if self._priorities is not None:
            # Slots that the new block is about to fill need no zero.
            first_empty = max(first_evicted, end_key - self.capacity)
            count = min(self.oldest_key, self.next_key) - first_empty
            for slots, _ in ring_parts(first_empty, count, self.capacity):
                self._priorities.empty(slots.start, slots.stop - slots.start)

    def _gather(self, slots: NDArray[np.int64], batch: Batch) -> None:
        spec = self._spec
        records = self._words.take(slots, axis=0).view(spec.record_dtype)[:, 0]
        batch.actions[:] = records["action"]
        batch.rewards[:] = records["reward"]
        batch.discounts[:] = records["discount"]
        batch.weight_versions[:] = records["weight_version"]
        for field, out, allowed in (
            ("observation", batch.observations, batch.allowed),
            ("next_observation", batch.next_observations, batch.next_allowed),
        ):
            rows = records[field] if spec.frame_stack > 1 else records[field][:, 0]
            self._frames.gather(rows, out)
            if allowed is not None:
                newest = records[field][:, -1]
                allowed[:] = unpack_masks(self._frames.masks_of(newest), spec.num_actions)

    def _empty_batch(self, count: int) -> Batch:
        spec = self._spec
        shape = (count, *spec.stacked_shape)
        masks = (np.empty((count, spec.num_actions), np.bool_) for _ in range(2))
        allowed, next_allowed = masks if spec.action_masks else (None, None)
        return Batch(
            observations=np.empty(shape, spec.dtype),
            actions=np.empty(count, np.int64),
            rewards=np.empty(count, np.float32),
            discounts=np.empty(count, np.float32),
            next_observations=np.empty(shape, spec.dtype),
            keys=np.empty(count, np.int64),
            probabilities=np.empty(count, np.float64),
            weight_versions=np.empty(count, np.int64),
            allowed=allowed,
            next_allowed=next_allowed,
        )
