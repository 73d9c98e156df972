"""Sample requests that wait at a memory for data, answered in the order in which they came."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from zdqn.core.broker import MemoryBroker
from zdqn.errors import ZdqnError
from zdqn.roles.slot_writer import SlotWriter
from zdqn.wire import codec
from zdqn.wire.desk import RefusedError, refusal
from zdqn.wire.memory_messages import NotReady, SampleRequest
from zdqn.wire.protocol import Header, Refusal
from zdqn.wire.quiet_log import QuietLog
from zdqn.wire.request_sockets import Request, Sendable

logger = logging.getLogger("zdqn.memory")

_MOST_WAITING = 1_024
_MOST_OF_A_CLIENT = 64
"""A learner has at most so many on their way (learner.requests_in_flight)."""
_MOST_UNREAD_BYTES = 1024**3
"""Of batches that all clients together have not read; a learner gets its own nevertheless."""


@dataclass(frozen=True)
class _Waiting:
    deadline_s: float
    request: Request
    header: SampleRequest


class Replier(Protocol):
    """What sends answers; a `zdqn.wire.request_sockets.Server` is one."""

    def reply(self, request: Request, message: Sendable) -> bool:
        """Send an answer; False if nobody was there to take it."""

    def has_room(self, request: Request) -> bool:
        """Whether a client reads its answers, so that it may be sent more."""

    def unread_bytes(self) -> int:
        """Give the bytes of answers that all clients together have not read."""


class SampleQueue:
    """Answers sample requests with batches, now or when there are some.

    Batches are drawn for who reads them. Requests of a client that leaves many MiB unread wait
    until it has read them; they count as no samples meanwhile.

    Args:
        broker: draws the batches.
        server: sends answers.
        slots: finds memory that a learner shares.
        clock: seconds that never go back.

    Attributes:
        sampling_s: seconds spent gathering and sending batches.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        server: Replier,
        slots: SlotWriter,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._server = server
        self._slots = slots
        self._clock = clock
        self._complaints = QuietLog(logger, clock=clock)
        self._waiting: deque[_Waiting] = deque()
        self._waiting_of: Counter[bytes] = Counter()  # by connection
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
        if header.wait_ms:
            self._check_room(request)
        waiting = _Waiting(self._clock() + header.wait_ms / 1000, request, header)
        if not (self._waiting and header.wait_ms):  # else others wait longer already
            answer = self._try(waiting)
            if answer is None or not header.wait_ms:
                return answer
        self._wait(waiting)
        return None

    def _check_room(self, request: Request) -> None:
        if self._waiting_of[request.sender] >= _MOST_OF_A_CLIENT:
            raise RefusedError(
                Refusal.NOT_SERVING,
                f"{_MOST_OF_A_CLIENT} sample requests of this client wait here already",
            )
        if len(self._waiting) >= _MOST_WAITING:
            raise RefusedError(
                Refusal.NOT_SERVING, f"{_MOST_WAITING} sample requests wait here already"
            )

    def _wait(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._waiting_of[waiting.request.sender] += 1

    def _take_first(self) -> _Waiting:
        waiting = self._waiting.popleft()
        sender = waiting.request.sender
        self._waiting_of[sender] -= 1
        if not self._waiting_of[sender]:
            del self._waiting_of[sender]
        return waiting

    def advance(self, most_s: float = math.inf) -> None:
        """Answer those that can be given something, or have waited long enough.

        Args:
            most_s: no other is looked at after so many seconds; those that are left come first in
                the next call.
        """
        now_s = self._clock()
        again = 0
        for tried in range(len(self._waiting)):
            if not self._waiting:  # others of a client that has gone were dropped
                break
            if tried and self._clock() - now_s >= most_s:
                self._waiting.rotate(again)  # they came before those that were not looked at
                break
            waiting = self._take_first()
            answer = self._try_or_refuse(waiting)
            if isinstance(answer, NotReady) and now_s < waiting.deadline_s:
                self._wait(waiting)
                again += 1
            elif answer is not None:
                self._server.reply(waiting.request, codec.encode(answer))

    def patience_s(self) -> float | None:
        """Give how long the first of them still waits, >= 0; None if none does."""
        if not self._waiting:
            return None
        return max(self._waiting[0].deadline_s - self._clock(), 0.0)

    def wait_ms(self, most_ms: float) -> float:
        """Give how long to wait for messages, so that the first of them is answered in time.

        Args:
            most_ms: the most, in which it is looked at them again in any case.
        """
        patience_s = self.patience_s()
        return most_ms if patience_s is None else min(max(patience_s * 1000, 1), most_ms)

    def _try(self, waiting: _Waiting) -> NotReady | None:
        """Answer with batches, or give the reason why not yet."""
        started_s = self._clock()
        self._broker.check_admitted(waiting.header)
        if not self._reads(waiting):
            return self._broker.not_ready("unread")
        result = self._broker.sample(waiting.header, self._slots.find(waiting.header))
        if isinstance(result, NotReady):
            return result
        if not self._server.reply(waiting.request, result.message):
            self._broker.give_back(result)
            self._forget(waiting.request.sender)
        self.sampling_s += self._clock() - started_s
        return None

    def _reads(self, waiting: _Waiting) -> bool:
        """Whether a client may be sent batches, as it reads what it is sent."""
        server = self._server
        is_learner = waiting.header.session != 0
        if server.has_room(waiting.request) and (
            is_learner or server.unread_bytes() < _MOST_UNREAD_BYTES
        ):
            return True
        who = "a learner" if is_learner else "a client without a session"
        text = "%s waits for batches and has not read earlier ones; unread in all: %d MiB"
        unread = server.unread_bytes() >> 20
        self._complaints.say(logging.WARNING, ("unread", is_learner), text, who, unread)
        return False

    def _forget(self, sender: bytes) -> None:
        """Drop what a client asked for that has gone: its answers would go to nobody."""
        self._waiting = deque(item for item in self._waiting if item.request.sender != sender)
        del self._waiting_of[sender]

    def _try_or_refuse(self, waiting: _Waiting) -> Header | None:
        """Try again; what it asks for may have become impossible by now."""
        try:
            return self._try(waiting)
        except ZdqnError as error:
            return refusal(error)
