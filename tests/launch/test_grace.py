"""A role whose environment hangs ends all the same, and one that ends by itself is left alone."""

import threading

import pytest

from zdqn.launch.grace import ending_in_time

DEADLINE_S = 60.0


class Role:
    def __init__(self):
        self.abandoned = threading.Event()

    def abandon(self):
        self.abandoned.set()


@pytest.fixture
def stop():
    return threading.Event()


def watchers():
    return [thread for thread in threading.enumerate() if thread.name == "zdqn-grace"]


def test_who_does_not_come_back_is_left_behind(stop, caplog):
    role, ended = Role(), threading.Event()
    codes: list[int] = []

    def end(code):
        codes.append(code)
        ended.set()

    with ending_in_time(role, stop, grace_s=0.05, end=end):
        stop.set()
        assert ended.wait(DEADLINE_S)
    assert role.abandoned.is_set()
    assert codes == [0]
    assert "has not come back" in caplog.text


@pytest.mark.parametrize("asked", [False, True])
def test_who_ends_in_time_is_left_alone(stop, asked):
    role = Role()
    codes: list[int] = []
    with ending_in_time(role, stop, grace_s=60.0, end=codes.append):
        if asked:
            stop.set()
    for watcher in watchers():
        watcher.join(DEADLINE_S)
    assert not watchers()
    assert not role.abandoned.is_set()
    assert codes == []
