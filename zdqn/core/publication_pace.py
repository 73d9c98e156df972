"""How often weights can be published, by what it costs."""

from __future__ import annotations

_SHARE_OF_TIME = 0.02
_SMOOTHING = 0.1
_HELD_UP = 10
"""What took so many times longer than usual was not only publishing, but a pause, say."""


class PublicationPace:
    """The least time between two publications.

    The fresher the weights of collectors, the more is learned from each of their steps; but who
    publishes does not train meanwhile, and the network has to carry it.

    Args:
        least_s: seconds between two, whatever they cost, >= 0.
        bytes_per_s: that all subscribers together may be sent, > 0.

    Attributes:
        interval_s: seconds between two.
    """

    def __init__(self, least_s: float, bytes_per_s: float) -> None:
        self._least_s = least_s
        self._bytes_per_s = bytes_per_s
        self._cost_s: float | None = None
        self.interval_s = least_s

    def published(self, seconds: float, nbytes: int, subscribers: int) -> None:
        """Take note of a publication.

        Args:
            seconds: it took, >= 0.
            nbytes: of its message.
            subscribers: whom it went to, >= 0.
        """
        if self._cost_s is not None:
            seconds = min(seconds, _HELD_UP * self._cost_s)
            seconds = self._cost_s + _SMOOTHING * (seconds - self._cost_s)
        self._cost_s = seconds
        self.interval_s = max(
            self._least_s, self._cost_s / _SHARE_OF_TIME, nbytes * subscribers / self._bytes_per_s
        )
