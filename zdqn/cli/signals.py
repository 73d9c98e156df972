"""Ctrl-C and SIGTERM: the first asks to stop, the second ends at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from zdqn.launch.handled_signals import handled
from zdqn.stopping import StopEvent

_TERMINAL = "/dev/tty"


def exit_code_of(signal_name: str) -> int:
    """Give the exit code of what a signal has ended: 128 and its number, as shells have it.

    Args:
        signal_name: such as "SIGINT" (130) or "SIGTERM" (143).
    """
    return 128 + signal.Signals[signal_name]


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
        name = signal.Signals(number).name
        if stop.is_set():
            end_at_once(exit_code_of(name))
        stop.set_for(name)

    with handled(signal.SIGINT, signal.SIGTERM, by=handle):
        yield stop


@contextmanager
def read_on_hangup(read_again: Callable[[], object], stop: StopEvent) -> Iterator[None]:
    """Have something read again at each SIGHUP, as servers do by custom.

    Where a terminal was there and is no more, SIGHUP means that instead, and asks to stop.

    Args:
        read_again: called at each.
        stop: set when the terminal was closed.
    """
    had_terminal = _has_terminal()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if had_terminal and not _has_terminal():
            stop.set_for(signal.SIGHUP.name)
        else:
            read_again()

    with handled(signal.SIGHUP, by=handle):
        yield


def _has_terminal() -> bool:
    try:
        os.close(os.open(_TERMINAL, os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
