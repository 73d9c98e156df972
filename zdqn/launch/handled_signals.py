"""Signals that are handled for a while, and then as they were before."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handled(
    *numbers: signal.Signals, by: Callable[[int, FrameType | None], object]
) -> Iterator[None]:
    """Handle signals; only the main thread may.

    Args:
        numbers: of the signals.
        by: called with the number of the one that came.
    """
    before = {number: signal.signal(number, by) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
