"""A collector's questions to the memory: how far have my blocks come?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from zdqn.wire import codec
from zdqn.wire.addresses import Address
from zdqn.wire.asking import raise_refusal
from zdqn.wire.memory_messages import Arrivals, ArrivalsRequest
from zdqn.wire.protocol import ErrorReply

_SILENCE_S = 3.0


class Questions(Protocol):
    """Asks the memory; a `zdqn.wire.request_sockets.PipelinedClient` is one."""

    address: Address

    def send(self, message: bytes) -> bool:
        """Send a request; False when the link is full."""

    def receive(self, timeout_ms: float) -> memoryview | None:
        """Give the next answer, or None when none came in time."""

    def reconnect(self) -> None:
        """Forget everything on its way."""


class ArrivalsInquiry:
    """One question at a time, asked again when nothing answers for a while.

    Args:
        client: of the memory.
        session: of the collector.
        clock: seconds that never go back.

    Attributes:
        address: of the memory.
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
        self.address = client.address

    def ask(self, blocks: int, *, wait_ms: int, oldest: int = 0) -> None:
        """Ask, unless a question is on its way already; see `ArrivalsRequest`."""
        if self._asked:
            if self._clock() - self._asked_s < _SILENCE_S:
                return
            self._client.reconnect()
        request = ArrivalsRequest(
            session=self._session, blocks=blocks, wait_ms=wait_ms, oldest=oldest
        )
        self._asked = self._client.send(codec.encode(request))
        self._asked_s = self._clock()

    def forget(self) -> None:
        """Take no answer to what was asked so far."""
        if self._asked:
            self._client.reconnect()
        self._asked = False

    def answer(self, timeout_ms: float) -> Arrivals | None:
        """Give the answer, or None when there is none within a time.

        Raises:
            MismatchError: when the memory refuses to answer.
        """
        body = self._client.receive(timeout_ms) if self._asked else None
        if body is None:
            return None
        self._asked = False
        header = codec.decode(body).header
        if isinstance(header, ErrorReply):
            if not header.code.passes:
                raise_refusal(header, "memory", self.address)
            return None
        assert isinstance(header, Arrivals)
        return header
