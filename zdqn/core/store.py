"""What is stored, how much room it takes, and what may be stored and drawn now; no messages."""

from __future__ import annotations

import struct
import zlib
from dataclasses import asdict
from functools import partial
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.core.replay_room import Room, plan_room
from zdqn.data import Batch, Block, EnvironmentSpec
from zdqn.errors import ConfigError, UsageError
from zdqn.rl.limiter import SamplesPerInsertLimiter
from zdqn.rl.replay import Replay
from zdqn.rl.replay_arrays import Allocator, allocate_in_ram
from zdqn.rl.replay_checks import Recovered

_PULSE = struct.Struct("<qd")
_CHECK = struct.Struct("<I")


class TransitionStore:
    """Replay and samples-per-insert limiter for the transitions of one environment.

    Args:
        capacity: transitions kept.
        prioritized: whether to draw by priority.
        priority_exponent: alpha.
        priority_epsilon: offset of priorities.
        min_size: transitions stored before the first batch.
        samples_per_insert: ratio to hold; 0 lets both sides run free.
        samples_per_insert_window: how far off it may be, in samples.
        batch_size: of the learner, for the window.
        block_transitions: most transitions in one block, for the window and the room for frames.
        usual_frames_per_transition: frames that blocks bring for each transition if they are full
            and within long episodes, > 0.
        most_frames_per_transition: frames kept for each transition, > 0, however many blocks bring;
            the oldest go early then. `inf` keeps all, so that `capacity` is reached.
        seed: of sampling.
        allocate: makes the arrays of the replay; see `zdqn.rl.replay_arrays`.
        kept: whether the arrays will be opened again after any end; see `recover`.
        sparing: whether all that is made of the arrays is taken; see `plan_room`.

    Attributes:
        capacity: as given.
        block_transitions: as given.
        kept: as given.
        limiter: counts what was inserted and sampled.
        spec: the environment's, once there is room for its transitions.
        stale_priorities: priorities that came after their items had been evicted.

    Raises:
        ConfigError: when the window is too small.
    """

    def __init__(
        self,
        *,
        capacity: int,
        prioritized: bool,
        priority_exponent: float,
        priority_epsilon: float,
        min_size: int,
        samples_per_insert: float,
        samples_per_insert_window: float,
        batch_size: int,
        block_transitions: int,
        usual_frames_per_transition: float,
        most_frames_per_transition: float,
        seed: int,
        allocate: Allocator = allocate_in_ram,
        kept: bool = False,
        sparing: bool = False,
    ) -> None:
        self.kept = kept
        self.capacity = capacity
        self.block_transitions = block_transitions
        self._prioritized = prioritized
        self._priority_exponent = priority_exponent
        self._priority_epsilon = priority_epsilon
        self._plan_room = partial(
            plan_room,
            capacity=capacity,
            block_transitions=block_transitions,
            usual_frames_per_transition=usual_frames_per_transition,
            most_frames_per_transition=most_frames_per_transition,
            sparing=sparing,
        )
        self._seed = seed
        self._allocate = allocate
        self._room: Room | None = None
        self._pulse: memoryview | None = None
        self._replay: Replay | None = None
        self.limiter = SamplesPerInsertLimiter(
            samples_per_insert,
            min_size=min_size,
            window=samples_per_insert_window,
            batch_size=batch_size,
            block_transitions=block_transitions,
        )
        self.spec: EnvironmentSpec | None = None
        self.stale_priorities = 0

    # --- room ----------------------------------------------------------------------------------

    def find_room(
        self, spec: EnvironmentSpec, available_bytes: float = inf, *, where: str = "memory"
    ) -> Room:
        """Say what the replay needs for an environment, or that there is no room for it.

        Args:
            spec: of the environment.
            available_bytes: free memory of this machine, or room on its disk.
            where: what it is that is free, for a message.

        Raises:
            ConfigError: when the replay would not fit into it.
        """
        room = self._plan_room(spec, available_bytes)
        if room.usual_bytes > available_bytes:
            raise ConfigError(
                f"replay.capacity is {self.capacity}: {room.usual_frames:,} frames of "
                f"{spec.row_bytes:,} bytes and their transitions need "
                f"{room.usual_bytes / 1e9:.1f} GB, but only "
                f"{available_bytes / 1e9:.1f} GB of {where} are free. At most about "
                f"{int(self.capacity * available_bytes / room.usual_bytes * 0.9):,} would fit."
            )
        return room

    def make_room(
        self, spec: EnvironmentSpec, available_bytes: float = inf, *, where: str = "memory"
    ) -> Room:
        """Allocate the replay where `find_room` finds room for it; else nothing has changed."""
        room = self.find_room(spec, available_bytes, where=where)
        self._allocate_for(spec, room)
        return room

    def _allocate_for(self, spec: EnvironmentSpec, room: Room) -> None:
        self._replay = Replay(
            spec,
            capacity=self.capacity,
            frame_capacity=room.most_frames,
            prioritized=self._prioritized,
            priority_exponent=self._priority_exponent,
            priority_epsilon=self._priority_epsilon,
            rng=np.random.default_rng(self._seed),
            allocate=self._allocate,
            kept=self.kept,
        )
        if self.kept:
            bytes_ = _PULSE.size + _CHECK.size
            self._pulse = self._allocate("pulse", (bytes_,), np.dtype(np.uint8)).data
        self.spec, self._room = spec, room

    @property
    def block_bytes(self) -> int:
        """Bytes of a frame for each transition of a full block; 0 as long as there is no spec."""
        return self.spec.row_bytes * self.block_transitions if self.spec is not None else 0

    @property
    def size(self) -> int:
        """Transitions stored."""
        return self._replay.size if self._replay is not None else 0

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, of frames those in use; 0 as long as there is no spec."""
        return self._replay.nbytes if self._replay is not None else 0

    @property
    def inserts_logged(self) -> int:
        """Room that all inserts together took in the log of inserts, of a store that is `kept`."""
        return self._replay.inserts_logged if self._replay is not None else 0

    # --- in ------------------------------------------------------------------------------------

    def wants_inserts(self) -> bool:
        """Whether blocks should be read now; if not, they wait with their collectors."""
        return self._replay is not None and self.limiter.wants_inserts()

    def wanted_blocks(self, most: int) -> int:
        """Say how many blocks should be read now, 0 to `most`."""
        return self.limiter.wanted_blocks(most) if self._replay is not None else 0

    def insert(self, block: Block, note: bytes = b"", *, imported: int = 0) -> None:
        """Store a block whose references and values have been checked.

        Args:
            block: to be stored.
            note: where the store is `kept`, `recover` gives it back.
            imported: how many of its transitions are; no samples are owed for these.

        Raises:
            ConfigError: if it has more frames than there is room for.
        """
        assert self._replay is not None
        self._replay.insert(block.frames, block.records, note, block.masks)
        self.limiter.inserted(len(block.records), imported)
        self._beat()

    # --- out -----------------------------------------------------------------------------------

    def allowed_batches(self, batch_size: int, batches: int) -> int:
        """Say how many of `batches` may be drawn now."""
        return self.limiter.allowed_batches(self.size, batch_size, batches)

    def draw(self, batch_size: int, batches: int, out: Batch | None = None) -> Batch:
        """Draw batches that `allowed_batches` has allowed.

        Args:
            batch_size: transitions of each.
            batches: how many.
            out: where to gather them; None makes new arrays.

        Returns:
            All of them in one, each contiguous.
        """
        assert self._replay is not None
        batch = self._replay.sample(batch_size, batches, out=out)
        self.limiter.sampled(batch_size * batches)
        self._beat()
        return batch

    def update_priorities(self, keys: NDArray[np.int64], priorities: NDArray[np.float32]) -> None:
        """Set the priorities of items by key; keys of evicted items are counted and dropped.

        Args:
            keys: of the items, shape (B,).
            priorities: of the same, shape (B,); the sign does not matter.

        Raises:
            UsageError: when an error is NaN or infinite and draws are by priority.
        """
        if self._replay is not None and len(keys):
            self.stale_priorities += self._replay.update_priorities(keys, priorities)
            self._beat()

    # --- state ---------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Give all that the arrays do not hold, as plain values; see `zdqn.rl.replay_arrays`."""
        return {
            "spec": asdict(self.spec) if self.spec is not None else None,
            "room": asdict(self._room) if self._room is not None else None,
            "replay": self._replay.state_dict() if self._replay is not None else None,
            "limiter": self.limiter.state_dict(),
            "stale_priorities": self.stale_priorities,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken, with room for the environment of then.

        Raises:
            ConfigError: when the replay of then was configured differently.
            UsageError: when there is room for another environment already.
        """
        if state["spec"] is not None:
            shape = tuple(state["spec"]["observation_shape"])
            spec = EnvironmentSpec(**{**state["spec"], "observation_shape": shape})
            if self.spec is None:
                self._allocate_for(spec, Room(**state["room"]))
            elif spec != self.spec:
                raise UsageError(
                    f"a store for {self.spec.describe()} cannot go on with the transitions of "
                    f"{spec.describe()}; load them into a new one."
                )
            assert self._replay is not None
            self._replay.load_state_dict(state["replay"])
        self.limiter.load_state_dict(state["limiter"])
        self.stale_priorities = state["stale_priorities"]

    def recover(self, *, cleanly: bool) -> Recovered:
        """Go on from where the arrays are; see `Replay.recover`.

        Args:
            cleanly: whether nothing has happened since the state that was loaded; else the random
                numbers of draws since then are left out.
        """
        assert self._replay is not None
        samples, highest = self._read_pulse()
        self.limiter.samples = max(self.limiter.samples, samples)
        recovered = self._replay.recover(highest)
        self.limiter.inserts = self._replay.next_key
        if not cleanly:
            self._replay.skip_draws()
        return recovered

    def _beat(self) -> None:
        """Keep what changes and is not in the log of inserts where it outlives this process."""
        if self._pulse is not None and self._replay is not None:
            numbers = _PULSE.pack(self.limiter.samples, self._replay.highest_priority)
            self._pulse[:] = numbers + _CHECK.pack(zlib.crc32(numbers))

    def _read_pulse(self) -> tuple[int, float]:
        """Give samples and highest priority as of the last draw; zeros if that is torn."""
        assert self._pulse is not None
        numbers = bytes(self._pulse[: _PULSE.size])
        if _CHECK.unpack(self._pulse[_PULSE.size :])[0] != zlib.crc32(numbers):
            return 0, 0.0
        samples, highest = _PULSE.unpack(numbers)
        return samples, highest
