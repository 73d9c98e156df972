"""Ctrl-C and SIGTERM: the first asks to stop, the second ends at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from zdqn.stopping import StopEvent

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals(end_at_once: Callable[[int], object] = os._exit) -> Iterator[StopEvent]:
    """Handle signals for as long as a command runs.

    Args:
        end_at_once: called with the exit code (130 or 143) at the second signal.

    Yields:
        An event that the first signal sets; its reason is the signal's name.
    """
    stop = StopEvent()

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            end_at_once(128 + number)
        stop.set_for(signal.Signals(number).name)

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
