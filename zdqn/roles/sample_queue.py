"""Sample requests that wait at a memory for data, answered in the order in which they came."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from zdqn.core.broker import MemoryBroker
from zdqn.errors import ZdqnError
from zdqn.wire import codec
from zdqn.wire.desk import RefusedError, refusal
from zdqn.wire.memory_messages import NotReady, SampleRequest
from zdqn.wire.protocol import Header, Refusal
from zdqn.wire.request_sockets import Request, Sendable

_MOST_WAITING = 256
"""A learner has at most 64 on their way (learner.requests_in_flight)."""


@dataclass(frozen=True)
class _Waiting:
    deadline_s: float
    request: Request
    header: SampleRequest


class SampleQueue:
    """Answers sample requests with batches, now or when there are some.

    Args:
        broker: draws the batches.
        reply: sends an answer; False if nobody was there to take it.
        clock: seconds that never go back.

    Attributes:
        sampling_s: seconds spent gathering and sending batches.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        reply: Callable[[Request, Sendable], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._reply = reply
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self.sampling_s = 0.0

    def __len__(self) -> int:
        """Count the requests that wait."""
        return len(self._waiting)

    def take(
        self, request: Request, header: SampleRequest, message: codec.Message
    ) -> NotReady | None:
        """Take a request, with the priorities that ride on it.

        Returns:
            Why there is nothing, for one that does not wait; None if it is answered, or waits.

        Raises:
            ProtocolError: when it, or what rides on it, breaks the protocol.
            FencedError: when a newer learner has taken over.
            RefusedError: when too many wait already.
        """
        self._broker.take_priorities(header, message)
        if header.wait_ms and len(self._waiting) >= _MOST_WAITING:
            raise RefusedError(
                Refusal.NOT_SERVING, f"{_MOST_WAITING} sample requests wait here already"
            )
        waiting = _Waiting(self._clock() + header.wait_ms / 1000, request, header)
        if self._waiting and header.wait_ms:  # others wait longer already
            self._waiting.append(waiting)
            return None
        answer = self._try(waiting)
        if answer is None or not header.wait_ms:
            return answer
        self._waiting.append(waiting)
        return None

    def advance(self) -> None:
        """Answer those that can be given something, or have waited long enough."""
        now_s = self._clock()
        for _ in range(len(self._waiting)):
            if not self._waiting:  # others of a client that has gone were dropped
                break
            waiting = self._waiting.popleft()
            answer = self._try_or_refuse(waiting)
            if isinstance(answer, NotReady) and now_s < waiting.deadline_s:
                self._waiting.append(waiting)
            elif answer is not None:
                self._reply(waiting.request, codec.encode(answer))

    def patience_s(self) -> float | None:
        """Give how long the first of them still waits, >= 0; None if none does."""
        if not self._waiting:
            return None
        return max(self._waiting[0].deadline_s - self._clock(), 0.0)

    def _try(self, waiting: _Waiting) -> NotReady | None:
        """Answer with batches, or give the reason why not yet."""
        started_s = self._clock()
        self._broker.check_admitted(waiting.header)
        result = self._broker.sample(waiting.header)
        if isinstance(result, NotReady):
            return result
        if not self._reply(waiting.request, result.message):
            self._broker.give_back(result)
            self._forget(waiting.request.sender)
        self.sampling_s += self._clock() - started_s
        return None

    def _forget(self, sender: bytes) -> None:
        """Drop what a client asked for that has gone: its answers would go to nobody."""
        self._waiting = deque(item for item in self._waiting if item.request.sender != sender)

    def _try_or_refuse(self, waiting: _Waiting) -> Header | None:
        """Try again; what it asks for may have become impossible by now."""
        try:
            return self._try(waiting)
        except ZdqnError as error:
            return refusal(error)
