"""The memory's decisions: who is admitted, what may be sampled now, what is told of it.

No sockets, no clock: the role hands in messages and sends what comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zdqn.core.fencing import Fence
from zdqn.core.intake import Intake, name_by_number
from zdqn.core.replay_room import Room
from zdqn.core.store import TransitionStore
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError, ProtocolError
from zdqn.rl.replay_checks import Recovered
from zdqn.wire import codec, payloads
from zdqn.wire.memory_messages import Batches, NotReady, Progress, SampleRequest

_MAX_BATCH_BYTES = 512 * 1024**2
_MOST_PRIORITIES = 2**20
"""In one request: everybody else waits while they are written."""


class Draw(NamedTuple):
    """A reply with batches.

    Attributes:
        message: to be sent, shape (bytes,), dtype uint8.
        transitions: in it, counted as sampled; `MemoryBroker.give_back` if it cannot be sent.
    """

    message: NDArray[np.uint8]
    transitions: int


class MemoryBroker:
    """What a memory answers to each message.

    Args:
        store: what it holds.
        session: random number of this start of the memory.
        n_step: rewards in a return of the collectors, >= 1.
        name_of: session to what its collector is called in messages.

    Attributes:
        store: as given.
        intake: takes blocks for the store.
        session: under which it counts; see `recover`.
        continues: whether it knows what became of the blocks of an earlier start up to some moment.
    """

    def __init__(
        self,
        store: TransitionStore,
        *,
        session: int,
        n_step: int,
        name_of: Callable[[int], str] = name_by_number,
    ) -> None:
        self.session = session
        self.continues = False
        self._inserts_before = self._samples_before = 0
        self._fence = Fence()
        self.store = store
        self.intake = Intake(store, n_step=n_step, name_of=name_of)

    # --- hello ---------------------------------------------------------------------------------

    def agree(
        self, spec: EnvironmentSpec, available_bytes: float, *, where: str = "memory"
    ) -> Room | None:
        """Take the environment's spec from a hello, and make room on the first.

        Args:
            spec: of the client's environment.
            available_bytes: free memory of this machine, or room on its disk.
            where: what it is that is free.

        Returns:
            On the first, what the replay needs.

        Raises:
            MismatchError: when it differs from the one agreed before.
            ConfigError: when the replay would not fit into memory.
        """
        agreed = self.store.spec
        if agreed is None:
            return self.store.make_room(spec, available_bytes, where=where)
        if spec != agreed:
            raise MismatchError(
                f"another environment: this memory holds {agreed.describe()}; the client "
                f"has {spec.describe()}. Start it with the configuration of this run, or give "
                f"it a memory of its own."
            )
        return None

    def admit_learner(self, session: int, learner_epoch: int) -> None:
        """Let a learner sample, unless a newer one is known; see `Fence.admit`.

        Raises:
            FencedError: when a newer learner is known.
        """
        self._fence.admit(session, learner_epoch)

    # --- samples -------------------------------------------------------------------------------

    def take_priorities(self, request: SampleRequest, message: codec.Message) -> None:
        """Write back the priorities that ride on a sample request.

        Args:
            request: the header.
            message: all of it.

        Raises:
            ProtocolError: when they are malformed or not finite; none is taken then.
            FencedError: when a newer learner has taken over.
        """
        self.check_admitted(request)
        if not request.priorities and message.payload == len(message.buffer):
            return
        if request.priorities > _MOST_PRIORITIES:
            raise ProtocolError(
                f"{request.priorities} priorities in one request; at most {_MOST_PRIORITIES} are "
                f"taken at once"
            )
        keys, priorities = codec.read_arrays(
            message, payloads.priorities_layout(request.priorities)
        )
        if not np.isfinite(priorities).all():
            raise ProtocolError("priorities hold a value that is not finite")
        self.store.update_priorities(keys, priorities)

    def check_admitted(self, request: SampleRequest) -> None:
        """Refuse a learner that a newer one has replaced.

        Raises:
            FencedError: when a newer learner has taken over.
        """
        self._fence.check(request.session)

    def sample(
        self, request: SampleRequest, slot: NDArray[np.uint8] | None = None
    ) -> Draw | NotReady:
        """Draw what may be drawn now.

        Args:
            request: how much is wanted.
            slot: memory shared with the client, for frames; if it is too short, or None, they
                travel in the reply.

        Returns:
            The reply with 1 to `request.batches` batches, or why there is none.

        Raises:
            ProtocolError: when the request asks for what can never be had.
        """
        self._check_request(request)
        store = self.store
        allowed = store.allowed_batches(request.batch_size, request.batches)
        if store.spec is None or allowed == 0:
            return self.not_ready()
        count = request.batch_size * allowed
        header = Batches(
            batch_size=request.batch_size,
            batches=allowed,
            size=store.size,
            progress=self.progress(drawing=count),
            shared=slot is not None and len(slot) >= payloads.slot_bytes(count, store.spec),
        )
        buffer, batch = payloads.allocate_batches(header, store.spec, slot)
        store.draw(request.batch_size, allowed, out=batch)
        return Draw(buffer, count)

    def give_back(self, draw: Draw) -> None:
        """Count a draw as not sampled, as it reached nobody."""
        self.store.limiter.sampled(-draw.transitions)

    def _check_request(self, request: SampleRequest) -> None:
        self.store.limiter.check_batch_size(request.batch_size)
        spec = self.store.spec
        if spec is None:
            return
        if request.batch_size * request.batches * spec.sample_bytes > _MAX_BATCH_BYTES:
            raise ProtocolError(
                f"{request.batches} batches of {request.batch_size} would make a reply of more "
                f"than {_MAX_BATCH_BYTES >> 20} MiB; ask for fewer, or smaller ones "
                f"(algorithm.batch_size)"
            )

    def not_ready(self, reason: str = "") -> NotReady:
        """Say why there is no batch.

        Args:
            reason: see `NotReady`; "" finds it.
        """
        size, limiter = self.store.size, self.store.limiter
        if not reason:
            reason = "no_spec" if self.store.spec is None else "filling"
            if size and max(size, limiter.inserts) >= limiter.min_size:
                reason = "limited"
        return NotReady(reason=reason, size=size, needed=limiter.min_size, progress=self.progress())

    # --- what is known -------------------------------------------------------------------------

    def progress(self, *, drawing: int = 0) -> Progress:
        """Give the counters that travel with every reply.

        Args:
            drawing: transitions that this reply will hold, and that are not counted yet.
        """
        ledger = self.intake.ledger
        return Progress(
            session=self.session,
            environment_steps=ledger.environment_steps,
            episodes=ledger.episodes,
            transitions=self.store.limiter.inserts - self._inserts_before,
            blocks=ledger.received,
            blocks_lost=ledger.lost,
            blocks_duplicated=ledger.duplicated,
            blocks_refused=self.intake.refused,
            samples=max(self.store.limiter.samples - self._samples_before, 0) + drawing,
        )

    def statistics(self) -> dict[str, Any]:
        """Give numbers and words for status, flat."""
        progress = self.progress()
        store = self.store
        return {
            "size": store.size,
            "capacity": store.capacity,
            "bytes": store.nbytes,
            "transitions": progress.transitions,
            "samples": store.limiter.samples,
            "samples_per_insert": round(store.limiter.achieved, 4),
            "blocks": progress.blocks,
            "blocks_lost": progress.blocks_lost,
            "blocks_duplicated": progress.blocks_duplicated,
            "blocks_refused": progress.blocks_refused,
            "blocks_early": self.intake.order.early,
            "stale_priorities": store.stale_priorities,
            "environment_steps": progress.environment_steps,
            "episodes": progress.episodes,
        }

    # --- state ---------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Give all that the arrays of the store do not hold, as plain values."""
        return {
            "session": self.session,
            "store": self.store.state_dict(),
            "intake": self.intake.state_dict(),
        }

    def recover(self, state: dict[str, Any], *, cleanly: bool) -> Recovered:
        """Go on from where the arrays of the store are.

        It counts on as the memory that it was: `Progress.session` stays that of the first start.

        Args:
            state: what `state_dict` gave, then or earlier.
            cleanly: whether nothing has happened since.

        Raises:
            ConfigError: when the replay of then was configured differently.
        """
        self.store.load_state_dict(state["store"])
        self.intake.load_state_dict(state["intake"])
        recovered = self.store.recover(cleanly=cleanly)
        for note in recovered.notes:
            self.intake.take_in(note)
        self.intake.bound_counts()
        self.session = state["session"] % 2**53  # that of an earlier version may be larger
        return recovered

    def recover_store(self, state: dict[str, Any], fill: Callable[[], None]) -> Recovered:
        """Go on with what an earlier store held, counting from 0 as a new memory does.

        Of the blocks of each collector it counts on from then: those that came since are lost.

        Args:
            state: what `state_dict` gave.
            fill: fills the arrays, which are there when it is called.

        Raises:
            ConfigError: when the replay of then was configured differently.
        """
        self.store.load_state_dict(state["store"])
        fill()
        recovered = self.store.recover(cleanly=False)
        self.intake.go_on_from(state["intake"], recovered.notes)
        self.continues = True
        self._inserts_before = self.store.limiter.inserts
        self._samples_before = self.store.limiter.samples
        return recovered
