"""Connections to a dashboard: so many, and none that asks for nothing for long."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 128
"""At the same time. Each is a file of this process, which may have a run's processes to start."""
ASKS_WITHIN_S = 10.0
"""That a connection has to ask for something, all of it, from its beginning or its last answer."""


class BoundedConnection(H11Protocol):
    """A connection that is ended when there are too many, or when its question does not come.

    uvicorn waits for a first question, or the rest of one, for ever.
    """

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; or end at once."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """Take a part of a question."""
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next question."""
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._be_patient()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Have a question come in time, if none is being answered; what came of it buys no time."""
        cycle: Any = self.cycle  # None before the first question
        if cycle is not None and not cycle.response_complete:
            self._be_patient()
        elif self._patience is None:
            self._patience = self.loop.call_later(ASKS_WITHIN_S, self.transport.abort)

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
