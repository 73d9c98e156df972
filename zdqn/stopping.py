"""The event that ends a role, and why it was set."""

from __future__ import annotations

import threading


class StopEvent(threading.Event):
    """Ends a role when it is set, as any event does, and knows for what reason it was.

    Attributes:
        reason: why it was set; "" if it is not, or nobody said.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""

    def set_for(self, reason: str) -> None:
        """Set it, for a reason; the first counts."""
        if not self.is_set():
            self.reason = reason
            self.set()


def reason_of(stop: threading.Event) -> str:
    """Give the reason for which an event was set; "" for a plain one, which has none."""
    return stop.reason if isinstance(stop, StopEvent) else ""
