"""How far a collector may run ahead of the memory: blocks on their way, few by default."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from zdqn.wire import codec
from zdqn.wire.addresses import Address
from zdqn.wire.asking import raise_refusal
from zdqn.wire.memory_messages import Arrivals, ArrivalsRequest
from zdqn.wire.protocol import ErrorReply

_WAIT_MS = 1_000
_SLICE_MS = 100
_SILENCE_S = 3.0
_MOST = 64
_FREELY = 4
"""Answers in a row, each waited for by an idle collector, after which more may be on their way."""


class Questions(Protocol):
    """Asks the memory; a `zdqn.wire.request_sockets.PipelinedClient` is one."""

    address: Address

    def send(self, message: bytes) -> bool:
        """Send a request; False when the link is full."""

    def receive(self, timeout_ms: float) -> memoryview | None:
        """Give the next answer, or None when none came in time."""

    def reconnect(self) -> None:
        """Forget everything on its way."""


class BlockWindow:
    """Keeps a collector from sending more than the memory soon reads.

    Queues and kernel buffers between the two hold thousands of small transitions. As long as
    `replay.samples_per_insert` holds collectors back, all of it is full, and what is learned from
    was collected by a policy that is that much older. So the collector asks what has come, and
    sends the next block only when few are on their way: one, while the memory holds it back. Where
    the memory never does, and the collector waits all the same, as on a link with a long way, more
    and more are allowed.

    Args:
        client: of the memory.
        session: of the collector.
        clock: seconds that never go back.

    Attributes:
        heard: blocks that are not on their way any more: they have come, or are lost.
        blocks: that may be on their way now.
    """

    def __init__(
        self,
        client: Questions,
        *,
        session: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._session = session
        self._clock = clock
        self._asked = False
        self._asked_s = 0.0
        self._memory: int | None = None
        self._freely = 0
        self.heard = 0
        self.blocks = 1

    def wait(self, sent: int, give_up: Callable[[], bool]) -> bool:
        """Wait until one more block may go.

        Args:
            sent: blocks that went so far.
            give_up: asked every tenth of a second.

        Returns:
            False if `give_up` said so first.

        Raises:
            MismatchError: when the memory refuses to answer.
        """
        self._look(sent, 0)
        while sent - self.heard >= self.blocks:
            self._ask(sent)
            if not self._look(sent, _SLICE_MS, waited=True) and give_up():
                return False
        return True

    def note_sent(self, sent: int) -> None:
        """Take note that a block went, and ask for it early enough."""
        if sent - self.heard >= (self.blocks + 1) // 2:
            self._ask(sent)

    def _ask(self, sent: int) -> None:
        if self._asked:
            if self._clock() - self._asked_s < _SILENCE_S:
                return
            self._client.reconnect()
        half = self.heard + (self.blocks + 1) // 2
        enough = max(half, sent - self.blocks + 1)  # fewer may be on their way than before
        request = ArrivalsRequest(session=self._session, blocks=enough, wait_ms=_WAIT_MS)
        self._asked = self._client.send(codec.encode(request))
        self._asked_s = self._clock()

    def _look(self, sent: int, timeout_ms: float, *, waited: bool = False) -> bool:
        """Take an answer, if there is one."""
        body = self._client.receive(timeout_ms) if self._asked else None
        if body is None:
            return False
        self._asked = False
        header = codec.decode(body).header
        if isinstance(header, ErrorReply):
            if not header.code.passes:
                raise_refusal(header, "memory", self._client.address)
            return False
        assert isinstance(header, Arrivals)
        self._take(header, sent, waited=waited)
        return True

    def _take(self, answer: Arrivals, sent: int, *, waited: bool) -> None:
        another = answer.session != self._memory and self._memory is not None
        nothing_comes = answer.heard <= self.heard and not answer.held_back
        self._memory = answer.session
        # what went to a memory that died, or over a connection that broke, never comes
        self.heard = sent if another or nothing_comes else max(self.heard, answer.heard)
        self._freely = self._freely + 1 if waited and not answer.held_back else 0
        if answer.held_back:
            self.blocks = 1
        elif self._freely >= _FREELY:
            self._freely = 0
            self.blocks = min(2 * self.blocks, _MOST)
