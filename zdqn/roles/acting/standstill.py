"""How long somebody has made no progress, though nobody holds them back."""

from __future__ import annotations

import time
from collections.abc import Callable


class Standstill:
    """Watches a counter from outside, so that whoever counts pays nothing for it.

    Args:
        clock: gives seconds that only ever grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = (-1, clock())  # in one piece: several threads may look

    def look(self, count: int, *, waits: bool) -> float:
        """Take note of the counter.

        Args:
            count: what it shows.
            waits: whether somebody else is waited for at this moment, which is no standstill.

        Returns:
            Seconds for which it has shown the same, and nobody was waited for, as far as was seen.
        """
        before, since_s = self._since
        now_s = self._clock()
        if waits or count != before:
            self._since = (count, now_s)
            return 0.0
        return now_s - since_s
