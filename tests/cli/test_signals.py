"""Ctrl-C and SIGTERM while a command runs."""

import signal
import threading

import pytest

from zdqn.cli.signals import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_and_the_second_ends(number):
    before = signal.getsignal(number)
    ended: list[int] = []
    with stop_on_signals(ended.append) as stop:
        assert isinstance(stop, threading.Event)
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set()
        assert ended == []
        signal.raise_signal(number)
        assert ended == [128 + number]
    assert signal.getsignal(number) is before
