import logging

import pytest

from zdqn.wire.quiet_log import QuietLog


@pytest.fixture
def quiet(caplog):
    """A quiet log, what moves its clock, and what it has said."""
    caplog.set_level(logging.INFO)
    now_s = [3.0]
    log = QuietLog(logging.getLogger("zdqn.test"), clock=lambda: now_s[0])

    def later(seconds):
        now_s[0] += seconds

    return log, later, lambda: [record.getMessage() for record in caplog.records]


def test_a_kind_is_said_once_in_10_s_and_others_meanwhile(quiet):
    log, later, said = quiet
    for kind, text in (("a", "a 1"), ("b", "b 1"), ("a", "a 2")):
        log.say(logging.INFO, kind, text)
    later(9.9)
    log.say(logging.INFO, "a", "a 3")
    later(0.1)
    log.say(logging.INFO, "a", "a %d", 4)
    assert said() == ["a 1", "b 1", "2 lines like the last ones were left out", "a 4"]


def test_very_many_kinds_are_a_flood_too_and_are_counted(quiet):
    log, later, said = quiet
    for number in range(10_000):
        log.say(logging.WARNING, number, "fault")
    assert said() == ["fault"] * 100
    later(10)
    log.say(logging.WARNING, 5, "fault")
    assert said()[100:] == ["9900 lines like the last ones were left out", "fault"]


def test_nothing_is_said_of_lines_when_none_was_left_out(quiet):
    log, later, said = quiet
    for _ in range(3):
        log.say(logging.INFO, "a", "a")
        later(10)
    assert said() == ["a"] * 3
