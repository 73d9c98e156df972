"""Who asks, who draws, and how it is left; with a screen that only remembers."""

import threading

import pytest

from tests.launch.views import PLAN, status
from zdqn.launch.lines import UNICODE, text_of
from zdqn.launch.run_watch import RunWatch
from zdqn.launch.top_page import LEAVES
from zdqn.launch.top_screen import Sight, TopScreen

DEADLINE_S = 90


class Remembering:
    """Stands in for the terminal; keys come when they are asked for."""

    glyphs = UNICODE

    def __init__(self, *keys, then=b""):
        self.pages = []
        self._keys = list(keys)
        self._then = then

    def size(self):
        return 80, 30

    def draw(self, lines):
        self.pages.append([text_of(line).rstrip() for line in lines])

    def wait_for_key(self, timeout_s, stop):
        stop.wait(0.005)
        return self._keys.pop(0) if self._keys else self._then


def run(screen, look=Sight, stop=None, watch=None):
    watch = watch or RunWatch(PLAN, None)
    top = TopScreen(watch, look, screen, ask_period_s=0.005)
    stop = stop or threading.Event()
    timer = threading.Timer(DEADLINE_S, stop.set)
    timer.start()
    try:
        return top.run(stop)
    finally:
        timer.cancel()
        timer.join()


@pytest.mark.parametrize("key", [b"q", b"Q", b"xyq"])
def test_q_leaves_and_other_keys_do_not(key):
    screen = Remembering(b"x", b"\x1b[A", key)
    assert run(screen) is False
    assert len(screen.pages) == 3
    assert all(page[-1] == LEAVES and len(page) == 30 for page in screen.pages)


def test_it_is_left_when_somebody_asks_to_stop():
    stop = threading.Event()
    stop.set()
    assert run(Remembering(), stop=stop) is False


def test_it_ends_with_the_run():
    assert run(Remembering(), look=lambda: Sight((), True)) is True


def test_what_is_asked_is_shown_and_who_is_away_is_named():
    watch, screen = RunWatch(PLAN, None), Remembering()
    watch.take_learner(status())
    looks = []

    def look():
        looks.append(1)
        watch.take_learner(status(updates=9_200))
        seen = any("9,200 updates" in line for page in screen.pages for line in page)
        return Sight(("learner",), seen)

    assert run(screen, look=look, watch=watch) is True
    assert looks


def test_what_breaks_while_it_asks_is_raised():
    def look():
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        run(Remembering(), look=look)
