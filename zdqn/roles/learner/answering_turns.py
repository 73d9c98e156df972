"""Whose turn it is to answer on the model link: the server's thread, or the training thread.

Two busy threads of one interpreter hand its lock back and forth, a context switch each: with many
requests for actions a small network's updates take five times as long. While updates are short the
training thread therefore answers in between them, and the other only watches that it does.
"""

from __future__ import annotations

import math
import threading
from enum import Enum, auto

SHORT_S = 0.002
"""Longest time between two updates in which clients may wait for the training thread."""
ROUND_S = 0.0014
"""Time between two rounds of such answers: eight clients share one, and updates get the rest."""
ASKED_LATELY_S = 1.0
"""How long ago somebody may have asked for an action for it to be worth the while."""


class Turn(Enum):
    """What the training thread is to do after an update."""

    TRAIN = auto()
    """Go on; its next round is not due."""
    ANSWER = auto()
    """Answer one round."""
    LEAVE = auto()
    """Leave answering to the server's thread."""


class Turns:
    """Decides who answers. The time is passed in.

    Args:
        may_answer: whether the training thread may answer at all.
        short_s: see `SHORT_S`.
        round_s: see `ROUND_S`.
        asked_lately_s: see `ASKED_LATELY_S`.
    """

    def __init__(
        self,
        *,
        may_answer: bool = True,
        short_s: float = SHORT_S,
        round_s: float = ROUND_S,
        asked_lately_s: float = ASKED_LATELY_S,
    ) -> None:
        self._may_answer = may_answer
        self._short_s = short_s
        self._round_s = round_s
        self._asked_lately_s = asked_lately_s
        self._thread_serves = threading.Event()
        self._thread_serves.set()
        self._trained_s = 0.0
        self._asked_s = -asked_lately_s
        self._next_round_s = 0.0

    # --- told by the training thread ------------------------------------------------------------

    def keep_from_training(self) -> None:
        """Never let the training thread answer: it would wait for a GPU."""
        self._may_answer = False

    def trained(self, now_s: float) -> Turn:
        """Take note of an update, and say what to do after it."""
        short = now_s - self._trained_s < self._short_s
        self._trained_s = now_s
        if not (self._may_answer and short and self.asked_lately(now_s)):
            return Turn.LEAVE
        self._thread_serves.clear()
        if now_s < self._next_round_s:
            return Turn.TRAIN
        self._next_round_s = max(self._next_round_s + self._round_s, now_s)
        return Turn.ANSWER

    def patience_s(self, now_s: float) -> float:
        """Give how long several updates may take that are made at once, so that they are short."""
        return self._round_s if self._may_answer and self.asked_lately(now_s) else math.inf

    def answered(self, now_s: float) -> None:
        """Take note that a round of answers is over; it was no update."""
        self._trained_s = now_s

    def leave(self) -> None:
        """Give answering back to the server's thread."""
        self._thread_serves.set()

    # --- told by either, under the server's lock ------------------------------------------------

    def asked(self, now_s: float) -> None:
        """Take note that somebody asked for actions."""
        self._asked_s = now_s

    def asked_lately(self, now_s: float) -> bool:
        """Whether somebody has asked for actions of late."""
        return now_s - self._asked_s < self._asked_lately_s

    # --- asked by the server's thread -----------------------------------------------------------

    @property
    def thread_serves(self) -> bool:
        """Whether it is the server's thread that answers now."""
        return self._thread_serves.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is the server's thread's turn, for at most `timeout_s`."""
        return self._thread_serves.wait(timeout_s)

    def take_over_if_late(self, now_s: float) -> None:
        """Let the server's thread answer while an update is long."""
        if now_s - self._trained_s > self._short_s:
            self._thread_serves.set()
