"""Ctrl-C and SIGTERM while a command runs."""

import signal
import threading

import pytest

from zdqn.cli.signals import exit_code_of, read_on_hangup, stop_on_signals
from zdqn.stopping import StopEvent


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


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_what_a_signal_ends_has_its_exit_code_as_in_a_shell(name, code):
    assert exit_code_of(name) == code


@pytest.fixture
def terminal(monkeypatch, tmp_path):
    """What stands for the terminal of this process, as long as it is there."""
    path = tmp_path / "tty"
    path.touch()
    monkeypatch.setattr("zdqn.cli.signals._TERMINAL", str(path))
    return path


@pytest.mark.parametrize("has_terminal", [True, False])
def test_a_hangup_has_something_read_again(terminal, has_terminal):
    if not has_terminal:  # as a service of the system
        terminal.unlink()
    before = signal.getsignal(signal.SIGHUP)
    read = []
    stop = StopEvent()
    with read_on_hangup(lambda: read.append(1), stop):
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
    assert read == [1, 1]
    assert not stop.is_set()
    assert signal.getsignal(signal.SIGHUP) is before


def test_a_hangup_of_a_closed_terminal_stops(terminal):
    read = []
    stop = StopEvent()
    with read_on_hangup(lambda: read.append(1), stop):
        terminal.unlink()
        signal.raise_signal(signal.SIGHUP)
    assert stop.reason == "SIGHUP"
    assert read == []
