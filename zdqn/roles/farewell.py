"""How long a server stays that was asked to end: until its clients know that the run is over.

A server that goes away, because of a signal or because its program ends, is not a run that ends:
it says nothing, and its clients wait for the next one at its address.
"""

from __future__ import annotations

import time
from collections.abc import Callable

RUN_IS_OVER = "the run is over"
"""For which reason a learner asks its memory to end."""


class Farewell:
    """The time between a request to end and the end.

    Args:
        dead_after_s: of silence, after which a client counts as dead. One that lives may be held
            up as long, so that nobody is left to wait for a server that said that it is over.
        clock: seconds that never go back.

    Attributes:
        reason: why somebody asked to end; "" if nobody did.
    """

    def __init__(self, dead_after_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest_s = dead_after_s
        self._clock = clock
        self._until_s: float | None = None
        self.reason = ""

    @property
    def begun(self) -> bool:
        """Whether somebody asked the server to end, so that the run is over for its clients."""
        return self._until_s is not None

    def begin(self, reason: str) -> None:
        """Take note that somebody asks to end; the first counts."""
        if self._until_s is None:
            self._until_s = self._clock() + self._longest_s
            self.reason = reason or "asked to stop"

    def is_over(self, clients: Callable[[], int]) -> bool:
        """Whether there is nobody left to tell, or no time.

        Args:
            clients: counts those that have not said goodbye; asked only once it has begun.
        """
        if self._until_s is None:
            return False
        return not clients() or self._clock() >= self._until_s
