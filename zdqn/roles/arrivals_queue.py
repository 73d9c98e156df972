"""Collectors that wait at a memory for news of their blocks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from zdqn.core.intake import Intake
from zdqn.wire import codec
from zdqn.wire.desk import RefusedError
from zdqn.wire.memory_messages import Arrivals, ArrivalsRequest
from zdqn.wire.protocol import Refusal
from zdqn.wire.request_sockets import Request, Sendable

logger = logging.getLogger("zdqn.memory")

_MOST_WAITING = 1_000


@dataclass
class _Waiting:
    deadline_s: float
    request: Request
    header: ArrivalsRequest
    held_back: bool
    early: int


class ArrivalsQueue:
    """Answers when enough blocks of who asks have come, one is missing, or its time is over.

    Args:
        intake: knows what has come, and is told what will not come any more.
        session: random number of this start of the memory.
        reply: sends an answer.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        intake: Intake,
        session: int,
        reply: Callable[[Request, Sendable], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._intake = intake
        self._session = session
        self._reply = reply
        self._clock = clock
        self._waiting: dict[int, _Waiting] = {}
        self._reading = True

    def take(
        self, request: Request, header: ArrivalsRequest, _message: codec.Message
    ) -> Arrivals | None:
        """Answer a question, or keep it; a collector has one at a time, and a newer ends it.

        Raises:
            RefusedError: when too many wait already.
        """
        earlier = self._waiting.pop(header.session, None)
        if earlier is not None:
            self._reply(earlier.request, codec.encode(self._answer(earlier)))
        deadline_s = self._clock() + header.wait_ms / 1000
        if header.oldest:
            self._go_on_from(header)
        early = self._intake.order.early_of(header.session)
        waiting = _Waiting(deadline_s, request, header, not self._reading, early)
        if not header.wait_ms or self._is_due(waiting):
            return self._answer(waiting)
        if len(self._waiting) >= _MOST_WAITING:
            raise RefusedError(
                Refusal.NOT_SERVING, f"{_MOST_WAITING} collectors wait here for news already"
            )
        self._waiting[header.session] = waiting
        return None

    def note_reading(self, reading: bool) -> None:
        """Take note of whether blocks are read from now on."""
        self._reading = reading
        if not reading:
            for waiting in self._waiting.values():
                waiting.held_back = True

    def advance(self) -> None:
        """Answer those whose blocks have come, or whose time is over."""
        if not self._waiting:
            return
        now_s = self._clock()
        for session, waiting in list(self._waiting.items()):
            if self._is_due(waiting) or now_s >= waiting.deadline_s:
                del self._waiting[session]
                self._reply(waiting.request, codec.encode(self._answer(waiting)))

    def _go_on_from(self, header: ArrivalsRequest) -> None:
        lost = self._intake.order.begin_at(header.session, header.oldest)
        if lost:
            logger.warning(
                "%d blocks that %s was told had come went with an earlier end of this memory: lost",
                lost,
                self._intake.name_of(header.session),
            )

    def _is_due(self, waiting: _Waiting) -> bool:
        heard = self._intake.heard(waiting.header.session)
        return heard >= waiting.header.blocks or self._is_gap(waiting)

    def _is_gap(self, waiting: _Waiting) -> bool:
        return self._intake.order.early_of(waiting.header.session) != waiting.early

    def _answer(self, waiting: _Waiting) -> Arrivals:
        return Arrivals(
            session=self._session,
            heard=self._intake.heard(waiting.header.session),
            held_back=waiting.held_back,
            gap=self._is_gap(waiting),
        )
