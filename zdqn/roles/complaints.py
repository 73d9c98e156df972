"""Faults of peers in the log: each is said, none floods it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_SAY_EVERY_S = 10.0
_MOST = 100


class Complaints:
    """Logs a peer's faults, the same one at most every 10 s.

    Args:
        logger: where to.
        clock: seconds that never go back.
    """

    def __init__(
        self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._said_s: dict[str, float] = {}

    def say(self, text: str, so_far: int) -> None:
        """Log a fault, unless it was logged of late.

        Args:
            text: what was refused, and why.
            so_far: how many there were in all.
        """
        now_s = self._clock()
        if now_s - self._said_s.get(text, -_SAY_EVERY_S) < _SAY_EVERY_S:
            return
        if len(self._said_s) >= _MOST:
            self._said_s.clear()
        self._said_s[text] = now_s
        self._logger.warning("refused %s (%d refused so far)", text, so_far)
