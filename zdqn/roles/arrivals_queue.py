"""Collectors that wait at a memory for news of their blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from zdqn.core.intake import Intake
from zdqn.wire import codec
from zdqn.wire.desk import RefusedError
from zdqn.wire.memory_messages import Arrivals, ArrivalsRequest
from zdqn.wire.protocol import Refusal
from zdqn.wire.request_sockets import Request, Sendable

_MOST_WAITING = 1_000


@dataclass
class _Waiting:
    deadline_s: float
    request: Request
    header: ArrivalsRequest
    held_back: bool


class ArrivalsQueue:
    """Answers when enough blocks of who asks have come, or its time is over.

    Args:
        intake: knows what has come.
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
        waiting = _Waiting(deadline_s, request, header, not self._reading)
        if not header.wait_ms or self._has_come(waiting):
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
            if self._has_come(waiting) or now_s >= waiting.deadline_s:
                del self._waiting[session]
                self._reply(waiting.request, codec.encode(self._answer(waiting)))

    def _has_come(self, waiting: _Waiting) -> bool:
        return self._intake.heard(waiting.header.session) >= waiting.header.blocks

    def _answer(self, waiting: _Waiting) -> Arrivals:
        heard = self._intake.heard(waiting.header.session)
        return Arrivals(session=self._session, heard=heard, held_back=waiting.held_back)
