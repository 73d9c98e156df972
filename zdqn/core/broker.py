"""The memory's decisions: what is stored, what may be sampled now, what was lost.

No sockets, no clock: the role hands in messages and sends what comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.core.ledger import Ledger
from zdqn.data import Batch, Block, EnvironmentSpec
from zdqn.errors import ConfigError, FencedError, MismatchError, ProtocolError
from zdqn.rl.limiter import SamplesPerInsertLimiter
from zdqn.rl.replay import Replay
from zdqn.wire import codec
from zdqn.wire.protocol import Batches, BlockHeader, NotReady, Progress, SampleRequest

_SMALL_FRAME_BYTES = 4096
_LARGE_FRAMES_PER_TRANSITION = 1.15
"""With all that comes on top of the frames, less than 1.2 times a frame's bytes a transition."""
_BYTES_PER_ITEM = 64
"""Rough room for a transition's own columns and its leaf; frames dominate or it does not matter."""
_JOINED_BELOW_BYTES = 32_768
"""Only blocks whose frames have less than this are joined: it copies their frames once more."""
_JOINED_SHARE = 64
"""Blocks are joined when together they fill at most this fraction of the frame ring."""
_MAX_BATCH_BYTES = 512 * 1024**2


class MemoryBroker:
    """Replay, limiter and loss accounting behind one door.

    Args:
        session: random number of this start of the memory.
        capacity: transitions kept.
        prioritized: whether to draw by priority.
        priority_exponent: alpha.
        priority_epsilon: offset of priorities.
        min_size: transitions stored before the first batch.
        samples_per_insert: ratio to hold; 0 lets both sides run free.
        samples_per_insert_window: how far off it may be, in samples; 0 chooses.
        batch_size: of the learner, for the window.
        block_transitions: most transitions in one block, for the window and the frame ring.
        frames_per_transition: room in the frame ring; 0 chooses.
        seed: of sampling.

    Attributes:
        spec: the environment's, once somebody said hello.
        refused: blocks that broke the protocol or came from another environment.
    """

    def __init__(
        self,
        *,
        session: int,
        capacity: int,
        prioritized: bool,
        priority_exponent: float,
        priority_epsilon: float,
        min_size: int,
        samples_per_insert: float,
        samples_per_insert_window: float,
        batch_size: int,
        block_transitions: int,
        frames_per_transition: float,
        seed: int,
    ) -> None:
        self._session = session
        self._capacity = capacity
        self._prioritized = prioritized
        self._priority_exponent = priority_exponent
        self._priority_epsilon = priority_epsilon
        self._frames_per_transition = frames_per_transition
        self._block_transitions = block_transitions
        self._seed = seed
        self._replay: Replay | None = None
        self._learner_epoch = -1
        self._learner_session = 0
        self.limiter = SamplesPerInsertLimiter(
            samples_per_insert,
            min_size=min_size,
            window=samples_per_insert_window,
            batch_size=batch_size,
            block_transitions=block_transitions,
        )
        self.spec: EnvironmentSpec | None = None
        self.ledger = Ledger()
        self.refused = 0
        self.stale_priorities = 0

    # --- hello ---------------------------------------------------------------------------------

    def agree(self, spec: EnvironmentSpec, available_bytes: int) -> None:
        """Take the environment's spec from a hello, and make room on the first.

        Args:
            spec: of the client's environment.
            available_bytes: free memory of this machine.

        Raises:
            MismatchError: when it differs from the one agreed before.
            ConfigError: when the replay would not fit into memory.
        """
        if self.spec is not None:
            if spec != self.spec:
                raise MismatchError(
                    f"another environment: this memory holds {self.spec.describe()}; the client "
                    f"has {spec.describe()}. Start it with the configuration of this run, or give "
                    f"it a memory of its own."
                )
            return
        frames = self.frame_capacity(spec)
        needed = frames * spec.frame_bytes + self._capacity * (
            _BYTES_PER_ITEM + spec.record_dtype.itemsize
        )
        if needed > available_bytes:
            raise ConfigError(
                f"replay.capacity is {self._capacity}: {frames} frames of {spec.frame_bytes} bytes "
                f"and their transitions need {needed / 1e9:.1f} GB, but only "
                f"{available_bytes / 1e9:.1f} GB of memory are free. At most about "
                f"{int(self._capacity * available_bytes / needed * 0.9)} would fit."
            )
        self.make_room(spec)

    def make_room(self, spec: EnvironmentSpec) -> None:
        """Allocate the replay for an environment."""
        self._replay = Replay(
            spec,
            capacity=self._capacity,
            frame_capacity=self.frame_capacity(spec),
            prioritized=self._prioritized,
            priority_exponent=self._priority_exponent,
            priority_epsilon=self._priority_epsilon,
            rng=np.random.default_rng(self._seed),
        )
        self.spec = spec

    def frame_capacity(self, spec: EnvironmentSpec) -> int:
        """Give the rows of the frame ring.

        Room for the transitions' frames, and those of three blocks more: the oldest block, some of
        whose transitions are gone; the newest; and one that did not fit before the ring's end.
        """
        per_transition = self._frames_per_transition or (
            2.0 if spec.frame_bytes <= _SMALL_FRAME_BYTES else _LARGE_FRAMES_PER_TRANSITION
        )
        transitions = self._capacity + 3 * self._block_transitions
        return max(ceil(transitions * per_transition), self._most_frames(spec))

    def _most_frames(self, spec: EnvironmentSpec) -> int:
        """Most frames that one block's transitions can refer to."""
        return 2 * spec.frame_stack * self._block_transitions

    def admit_learner(self, session: int, learner_epoch: int) -> None:
        """Let the learner of the highest epoch sample, and no other.

        Raises:
            FencedError: when a newer learner is known.
        """
        if learner_epoch < self._learner_epoch:
            raise FencedError(
                f"a newer learner (epoch {self._learner_epoch}) has taken over this run; this one "
                f"(epoch {learner_epoch}) must stop."
            )
        self._learner_epoch, self._learner_session = learner_epoch, session

    # --- transitions ---------------------------------------------------------------------------

    def wants_inserts(self) -> bool:
        """Whether blocks should be read now; if not, they wait with their collectors."""
        return self._replay is not None and self.limiter.wants_inserts()

    def wanted_blocks(self, most: int) -> int:
        """Say how many blocks should be read now, 0 to `most`."""
        return self.limiter.wanted_blocks(most) if self._replay is not None else 0

    @property
    def block_bytes(self) -> int:
        """Bytes of a frame for each transition of a full block; 0 as long as there is no spec."""
        return self.spec.frame_bytes * self._block_transitions if self.spec is not None else 0

    def insert_together(self, messages: Sequence[bytes | memoryview]) -> list[MismatchError]:
        """Check and store several blocks, as one where that is possible and quicker.

        Args:
            messages: in the order in which they came.

        Returns:
            Why blocks were refused, an error for each; the others are stored.
        """
        joins = len(messages) > 1 and self.block_bytes < _JOINED_BELOW_BYTES
        if joins and self._insert_joined(messages):
            return []
        errors = []
        for message in messages:
            try:
                self.insert(message)
            except MismatchError as error:
                errors.append(error)
        return errors

    def _insert_joined(self, messages: Sequence[bytes | memoryview]) -> bool:
        """Store blocks as one; False, with nothing done, when there is anything odd about them."""
        assert self.spec is not None
        try:
            decoded = [codec.decode(message) for message in messages]
            headers = [codec.expect(message, BlockHeader) for message in decoded]
            for header in headers:
                self._check_origin(header)
        except MismatchError:
            return False
        frames = sum(header.frames for header in headers)
        if frames * _JOINED_SHARE > self.frame_capacity(self.spec):
            return False  # they are evicted together too: no large part of the ring at once
        block = codec.join_blocks(decoded, self.spec)
        if block is None or not self.ledger.are_new(
            (header.session, header.sequence) for header in headers
        ):
            return False
        for header in headers:
            self._accept(header)
        self.store(block)
        return True

    def insert(self, message: bytes | memoryview) -> None:
        """Check and store a block.

        Raises:
            ProtocolError: when it is malformed; it was refused and counted.
            MismatchError: when it is of another environment; likewise.
        """
        assert self.spec is not None
        assert self._replay is not None
        try:
            decoded = codec.decode(message)
            header = codec.expect(decoded, BlockHeader)
            self._check_origin(header)
            block = codec.read_block(decoded, self.spec)
        except MismatchError:
            self.refused += 1
            raise
        if self._accept(header):
            self.store(block)

    def _accept(self, header: BlockHeader) -> bool:
        """Enter a block into the ledger; False if it is known already."""
        return self.ledger.accept(
            header.session,
            header.sequence,
            header.transitions,
            header.environment_steps,
            header.episodes,
        )

    def _check_origin(self, header: BlockHeader) -> None:
        assert self.spec is not None
        if header.spec_digest != self.spec.digest:
            raise MismatchError(
                f"a block of session {header.session:016x} comes from another environment than "
                f"the agreed one ({self.spec.describe()})"
            )
        most_frames = self._most_frames(self.spec)
        if header.transitions > self._block_transitions or header.frames > most_frames:
            raise ProtocolError(
                f"a block of session {header.session:016x} has {header.transitions} transitions "
                f"and {header.frames} frames; this memory takes at most "
                f"{self._block_transitions} transitions (collector.block_transitions)"
            )

    def store(self, block: Block) -> None:
        """Store a checked block."""
        assert self._replay is not None
        self._replay.insert(block.frames, block.records)
        self.limiter.inserted(len(block.records))

    # --- samples -------------------------------------------------------------------------------

    def take_priorities(self, request: SampleRequest, message: codec.Message) -> None:
        """Write back the priorities that ride on a sample request.

        Raises:
            ProtocolError: when they are malformed or not finite.
            FencedError: when a newer learner has taken over.
        """
        self.check_admitted(request)
        if not request.priorities and message.payload == len(message.buffer):
            return
        keys, priorities = codec.read_arrays(message, codec.priorities_layout(request.priorities))
        self.update_priorities(keys, priorities)

    def check_admitted(self, request: SampleRequest) -> None:
        """Refuse a learner that a newer one has replaced.

        Raises:
            FencedError: when a newer learner has taken over.
        """
        if request.session and self._learner_session not in (0, request.session):
            raise FencedError(
                f"a newer learner (epoch {self._learner_epoch}) has taken over this run"
            )

    def update_priorities(self, keys: NDArray[np.int64], priorities: NDArray[np.float32]) -> None:
        """Set the priorities of items by key; keys of evicted items are counted and dropped.

        Raises:
            ProtocolError: when a priority is not finite.
        """
        if not np.isfinite(priorities).all():
            raise ProtocolError("priorities hold a value that is not finite")
        if self._replay is not None and len(keys):
            self.stale_priorities += self._replay.update_priorities(keys, priorities)

    def sample(self, request: SampleRequest) -> NDArray[np.uint8] | NotReady:
        """Draw what may be drawn now.

        Args:
            request: how much is wanted.

        Returns:
            The encoded reply with 1 to `request.batches` batches, or why there is none.

        Raises:
            ProtocolError: when the request asks for what can never be had.
        """
        self._check_request(request)
        allowed = self.allowed_batches(request.batch_size, request.batches)
        if self.spec is None or allowed == 0:
            return self._not_ready()
        header = Batches(
            batch_size=request.batch_size,
            batches=allowed,
            size=self.size,
            progress=self.progress(),
        )
        buffer, batch = codec.allocate_batches(header, self.spec)
        self.draw(request.batch_size, allowed, out=batch)
        return buffer

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
        return batch

    def _check_request(self, request: SampleRequest) -> None:
        self.limiter.check_batch_size(request.batch_size)
        if self.spec is None:
            return
        if request.batch_size * request.batches * self.spec.sample_bytes > _MAX_BATCH_BYTES:
            raise ProtocolError(
                f"{request.batches} batches of {request.batch_size} would make a reply of more "
                f"than {_MAX_BATCH_BYTES >> 20} MiB; ask for fewer, or smaller ones "
                f"(algorithm.batch_size)"
            )

    def _not_ready(self) -> NotReady:
        reason = "no_spec" if self.spec is None else "filling"
        if self.size and max(self.size, self.limiter.inserts) >= self.limiter.min_size:
            reason = "limited"
        return NotReady(
            reason=reason,
            size=self.size,
            needed=self.limiter.min_size,
            progress=self.progress(),
        )

    # --- what is known -------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Transitions stored."""
        return self._replay.size if self._replay is not None else 0

    def progress(self) -> Progress:
        """Give the counters that travel with every reply."""
        return Progress(
            session=self._session,
            environment_steps=self.ledger.environment_steps,
            episodes=self.ledger.episodes,
            transitions=self.limiter.inserts,
            blocks=self.ledger.received,
            blocks_lost=self.ledger.lost,
            blocks_duplicated=self.ledger.duplicated,
            blocks_refused=self.refused,
        )

    def statistics(self) -> dict[str, Any]:
        """Give numbers and words for status, flat."""
        progress = self.progress()
        return {
            "size": self.size,
            "capacity": self._capacity,
            "bytes": self._replay.nbytes if self._replay is not None else 0,
            "transitions": progress.transitions,
            "samples": self.limiter.samples,
            "samples_per_insert": round(self.limiter.achieved, 4),
            "blocks": progress.blocks,
            "blocks_lost": progress.blocks_lost,
            "blocks_duplicated": progress.blocks_duplicated,
            "blocks_refused": progress.blocks_refused,
            "stale_priorities": self.stale_priorities,
            "environment_steps": progress.environment_steps,
            "episodes": progress.episodes,
        }
