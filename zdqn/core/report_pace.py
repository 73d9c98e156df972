"""How often rows of metrics are written: as learning begins more often than later."""

from __future__ import annotations

from math import inf

_FIRST_S = 0.1
_SHARE_OF_AGE = 0.1


class ReportPace:
    """Says when a row is due: the older the learning, the longer between two, up to a period.

    A row comes with the first update, the next 0.1 s later. From then on the time between two is
    a tenth of the time since that update, until it is the period: ten seconds of learning have some
    35 rows, and an hour, with a row a second, hardly more than without these.

    Args:
        period_s: seconds between two rows in the end; 0 for no rows. One below 0.1 s holds
            throughout, and before the first update, when there is nothing to see, any.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._first_s = min(_FIRST_S, period_s)
        self._reported_s = 0.0
        self._learning_s = inf

    def begin(self, now_s: float, updates: int) -> None:
        """Start to count.

        Args:
            now_s: seconds of training so far.
            updates: made so far; whoever goes on with some has the period at once.
        """
        self._reported_s = now_s
        self._learning_s = inf if updates == 0 else -inf

    def is_due(self, now_s: float, updates: int) -> bool:
        """Say whether a row is due now; if so it counts as written.

        Args:
            now_s: seconds of training so far.
            updates: made so far.
        """
        if self._learning_s == inf and updates:
            self._learning_s = now_s
        since_s = now_s - self._reported_s
        if since_s < self._first_s or not self._period_s:
            return False
        age_s = now_s - self._learning_s
        wait_s = self._period_s
        if age_s >= 0:  # it has begun
            wait_s = min(wait_s, max(self._first_s, _SHARE_OF_AGE * age_s))
        if since_s < wait_s:
            return False
        self._reported_s = now_s
        return True
