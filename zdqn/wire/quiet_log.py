"""What peers cause to be logged: each kind of line is said, and none floods the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable

_WINDOW_S = 10.0
_MOST_LINES = 100


class QuietLog:
    """Logs what peers do, within bounds: a kind once in 10 s, and 100 lines of all kinds.

    What is left out is counted, and the count is said with the next line that is not.

    Args:
        logger: where to.
        clock: seconds that never go back.
    """

    def __init__(
        self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._until_s = 0.0
        self._said: set[Hashable] = set()  # in the last 10 s at most
        self._left_out = 0

    def say(self, level: int, kind: Hashable, text: str, *values: object) -> None:
        """Log a line, unless its kind, or too much of all kinds, was logged of late.

        Args:
            level: of `logging`.
            kind: what is said once, such as the peer and its fault. Of what a peer can vary at
                will the bound on all kinds holds.
            text: the line, with the placeholders of `logging`.
            values: for them.
        """
        now_s = self._clock()
        if now_s >= self._until_s:
            self._until_s = now_s + _WINDOW_S
            self._said.clear()
            left_out, self._left_out = self._left_out, 0
            if left_out:
                self._logger.log(level, "%d lines like the last ones were left out", left_out)
        if kind in self._said or len(self._said) >= _MOST_LINES:
            self._left_out += 1
            return
        self._said.add(kind)
        self._logger.log(level, text, *values)
