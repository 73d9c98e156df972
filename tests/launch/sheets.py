"""What a display draws on, without a terminal."""

import time

from zdqn.launch.lines import UNICODE, text_of

DEADLINE_S = 60.0


class Sheet:
    """A canvas that keeps what is drawn on it."""

    def __init__(self, width=80, *, height=40, keeps=False, glyphs=UNICODE):
        self.width = width
        self.height = height
        self.keeps = keeps
        self.glyphs = glyphs
        self.open = 0
        self.drawn: list[list[str]] = []
        self.said: list[str] = []

    def size(self):
        return self.width, self.height

    def begin(self):
        self.open += 1

    def draw(self, lines):
        self.drawn.append([text_of(line) for line in lines])

    def say(self, line):
        self.said.append(text_of(line))

    def end(self):
        self.open -= 1

    def wait(self):
        """Wait until another thread has drawn, and give what it drew first."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not self.drawn:
            assert time.monotonic() < deadline_s, "nothing was drawn"
            time.sleep(0.005)
        return self.drawn[0]
