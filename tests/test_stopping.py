"""The event that ends a role, and its reason."""

import threading

from zdqn.stopping import StopEvent, reason_of


def test_the_first_reason_counts():
    stop = StopEvent()
    assert reason_of(stop) == ""
    stop.set_for("SIGTERM")
    stop.set_for("SIGINT")
    assert stop.is_set()
    assert reason_of(stop) == "SIGTERM"


def test_one_that_was_set_without_a_reason_gets_none_later():
    stop = StopEvent()
    stop.set()
    stop.set_for("SIGTERM")
    assert reason_of(stop) == ""


def test_any_event_will_do_and_has_no_reason():
    stop = threading.Event()
    stop.set()
    assert reason_of(stop) == ""
