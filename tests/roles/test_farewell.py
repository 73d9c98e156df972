"""How long a server stays that was asked to end."""

import pytest

from zdqn.roles.farewell import Farewell


class Clock:
    now_s = 50.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def test_nothing_is_over_before_somebody_asks(clock):
    farewell = Farewell(3.0, clock=clock)
    assert not farewell.begun
    assert not farewell.is_over(lambda: 0)
    assert farewell.reason == ""


def test_it_waits_for_those_that_are_left_and_not_for_ever(clock):
    farewell = Farewell(3.0, clock=clock)
    farewell.begin("enough")
    assert farewell.begun
    assert not farewell.is_over(lambda: 1)
    assert farewell.is_over(lambda: 0)
    clock.now_s += 2.9
    assert not farewell.is_over(lambda: 1)
    clock.now_s += 0.2
    assert farewell.is_over(lambda: 1)


def test_the_first_reason_counts_and_none_is_one_too(clock):
    farewell = Farewell(1.0, clock=clock)
    farewell.begin("")
    clock.now_s += 0.5
    farewell.begin("again")
    assert farewell.begun
    assert farewell.reason == "asked to stop"
    clock.now_s += 0.6
    assert farewell.is_over(lambda: 1)  # asking again gives no more time
