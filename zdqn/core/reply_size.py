"""How many batches a learner asks for at once."""

from __future__ import annotations

_REPLY_S = 0.02
_REPLY_BYTES = 8 * 1024**2
_SMOOTHING = 0.2
_PAUSE = 10
"""What took so many times longer than usual was not only learning, but a checkpoint, say."""


class ReplySize:
    """As many batches as are learned from in 20 ms, if 8 MiB hold them.

    A quick learner loses a fifth of its time to replies of one batch. A slow one gains nothing from
    more: they would only be old, and their priorities with them, when it comes to the last.

    Args:
        batch_bytes: of one batch, >= 1.
        most: batches in a reply at most, >= 1.

    Attributes:
        most: the same, or fewer if they are large.
        batches: to ask for now, >= 1; 1 until something has been learned.
    """

    def __init__(self, batch_bytes: int, most: int) -> None:
        self.most = max(1, min(most, _REPLY_BYTES // batch_bytes))
        self.batches = 1
        self._batch_s: float | None = None

    def learned(self, batches: int, seconds: float) -> None:
        """Take note of the time that learning took.

        Args:
            batches: that were learned from, >= 1.
            seconds: it took, >= 0.
        """
        batch_s = seconds / batches
        if self._batch_s is not None:
            batch_s = min(batch_s, _PAUSE * self._batch_s)
            batch_s = self._batch_s + _SMOOTHING * (batch_s - self._batch_s)
        self._batch_s = batch_s
        wanted = _REPLY_S / batch_s if batch_s > 0 else self.most
        self.batches = int(max(1, min(wanted, self.most)))
