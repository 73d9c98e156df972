"""The acting end of the transitions link: blocks on their way to the memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from zdqn.data import Block
from zdqn.wire import block_payload
from zdqn.wire.compression import Compression
from zdqn.wire.memory_messages import BlockHeader


class BlockSource(Protocol):
    """Where blocks come from, such as a `Rollout`."""

    @property
    def pending(self) -> int:
        """Transitions that are ready and not taken yet."""

    @property
    def full(self) -> bool:
        """Whether a block is to be taken before anything else."""

    @property
    def environment_steps(self) -> int:
        """Steps so far."""

    @property
    def episodes(self) -> int:
        """Episodes finished so far."""

    def take_block(self) -> Block | None:
        """Give ready transitions, as many as a block holds; None if there are none."""


class BlockSender(Protocol):
    """What carries messages to the memory, such as a `TransitionSender`."""

    def send(self, message: bytes, give_up: Callable[[], bool]) -> bool:
        """Send, waiting for room until `give_up`; False if it gave up and sent nothing."""


class Window(Protocol):
    """Says how far to run ahead of the memory; a `BlockWindow` is one."""

    @property
    def heard(self) -> int:
        """Blocks that are not on their way any more."""

    def wait(self, sent: int, give_up: Callable[[], bool]) -> bool:
        """Wait until one more block may go; False if `give_up` said so first."""

    def note_sent(self, sent: int) -> None:
        """Take note that a block went."""


class BlockStream:
    """Sends transitions to the memory, in numbered blocks, full ones or old ones.

    Args:
        source: where transitions are gathered.
        sender: carries messages, and waits while the memory does not want inserts.
        window: keeps few on their way; None lets queues and buffers fill.
        acked: whether the sender sends again what does not come; see `AckedLink`.
        imported: whether transitions are imported; see `BlockHeader`.
        session: of who collected them.
        origin: `EnvironmentSpec.origin` of the environments and the run.
        compression: of frames: "none", "lz4" or "zstd".
        block_age_s: a block goes when the last one went so long ago, full or not, >= 0.
        clock: gives seconds that only ever grow.

    Attributes:
        blocks_sent: handed to the sender.
        transitions_sent: in them.
        transitions_unsent: ready, but given up because the run ended.
        blocked_s: seconds spent sending, most of it waiting for room.
        waits: whether it is sending now.
        steps_ahead: environment steps of which the memory had not heard when the last block went; 0
            without a window.
    """

    def __init__(
        self,
        source: BlockSource,
        sender: BlockSender,
        *,
        session: int,
        origin: int,
        compression: Compression,
        block_age_s: float,
        window: Window | None = None,
        acked: bool = False,
        imported: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._window = window
        self._sender = sender
        self._acked = acked
        self._imported = imported
        self._session = session
        self._origin = origin
        self._compression = compression
        self._block_age_s = block_age_s
        self._clock = clock
        self._sent_s = clock()
        self.blocks_sent = 0
        self.transitions_sent = 0
        self.transitions_unsent = 0
        self.blocked_s = 0.0
        self.waits = False
        self.steps_ahead = 0
        self._steps_heard = 0
        self._steps_when_sent: deque[int] = deque()  # of the blocks that are on their way

    def send_if_due(self, give_up: Callable[[], bool]) -> bool:
        """Send a block if one is full, or old and not empty; waits while there is no room.

        Args:
            give_up: asked now and then while there is no room; the block is lost if it says so.

        Returns:
            Whether a block was due.
        """
        source = self._source
        if not source.full and (
            self._clock() - self._sent_s <= self._block_age_s or not source.pending
        ):
            return False
        self.waits = True
        self._send(give_up)
        self.waits = False
        self._sent_s = self._clock()
        return True

    def finish(self, give_up: Callable[[], bool], *, wanted: bool) -> None:
        """Send all that is ready, or count it as unsent.

        Args:
            give_up: as for `send_if_due`.
            wanted: whether anybody learns from it still; if not, nothing is sent.
        """
        self.waits = True
        while wanted and self._source.pending:
            wanted = self._send(give_up)
        self.transitions_unsent += self._source.pending

    def _send(self, give_up: Callable[[], bool]) -> bool:
        started_s = self._clock()
        may_go = self._window is None or self._window.wait(self.blocks_sent, give_up)
        self.blocked_s += self._clock() - started_s
        block = self._source.take_block()
        if block is None:
            return True
        if not may_go:
            self.transitions_unsent += len(block)
            return False
        header = BlockHeader(
            session=self._session,
            sequence=self.blocks_sent,
            origin=self._origin,
            frames=len(block.frames),
            transitions=len(block),
            environment_steps=self._source.environment_steps,
            episodes=self._source.episodes,
            compression=self._compression,
            acked=self._acked,
            imported=self._imported,
        )
        started_s = self._clock()
        sent = self._sender.send(block_payload.encode_block(header, block), give_up)
        self.blocked_s += self._clock() - started_s
        if sent:
            self.blocks_sent += 1
            if self._window is not None:
                self._window.note_sent(self.blocks_sent)
                self._measure_lead(self.blocks_sent - self._window.heard)
            self.transitions_sent += len(block)
        else:
            self.transitions_unsent += len(block)
        return sent

    def _measure_lead(self, on_their_way: int) -> None:
        """Count the steps since those of the last block that has come."""
        steps = self._source.environment_steps
        self._steps_when_sent.append(steps)
        while len(self._steps_when_sent) > on_their_way:
            self._steps_heard = self._steps_when_sent.popleft()
        self.steps_ahead = steps - self._steps_heard
