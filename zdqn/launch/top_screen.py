"""Shows a run on the whole terminal, until somebody leaves or the run is over."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from zdqn.closing import Closing
from zdqn.launch.canvas import glyphs_for, styled
from zdqn.launch.lines import Line, Part
from zdqn.launch.run_watch import RunWatch
from zdqn.launch.top_page import LEAVES, draw_top

if TYPE_CHECKING:
    from rich.console import Console

ASK_PERIOD_S = 1.0
_DRAW_PERIOD_S = 0.2
_LEAVE = (b"q", b"Q")


class Sight(NamedTuple):
    """What came of asking the servers of a run.

    Attributes:
        in_vain: servers that did not answer.
        is_over: whether the run has ended.
    """

    in_vain: Sequence[str] = ()
    is_over: bool = False


class FullScreen(Closing):
    """The whole of a terminal, as it was when it is left.

    Args:
        console: of rich.
    """

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._keys: list[Any] | None = None
        self.glyphs = glyphs_for(console.encoding, os.environ)

    def __enter__(self) -> Self:
        self._live.start()
        self._take_keys()
        return self

    def size(self) -> tuple[int, int]:
        """Give the cells of a line, and how many lines there are."""
        return self._console.size

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines instead."""
        from rich.console import Group

        self._live.update(Group(*map(styled, lines)), refresh=True)

    def wait_for_key(self, timeout_s: float, stop: threading.Event) -> bytes:
        """Give what was typed; b"" if nothing was in time, or somebody asked to stop."""
        if self._keys is None:
            stop.wait(timeout_s)
            return b""
        descriptor = sys.stdin.fileno()
        if not select.select([descriptor], [], [], timeout_s)[0]:
            return b""
        return os.read(descriptor, 1024)

    def _take_keys(self) -> None:
        """Have each key at once, and not shown; Ctrl-C stays a signal."""
        with suppress(Exception):  # no terminal, or none of this kind: then only signals leave
            import termios
            import tty

            descriptor = sys.stdin.fileno()
            if os.tcgetpgrp(descriptor) != os.getpgrp():
                return  # in the background it would be stopped for it
            before = termios.tcgetattr(descriptor)
            tty.setcbreak(descriptor)
            self._keys = before

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._keys is not None:
            with suppress(Exception):  # it is gone
                import termios

                termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._keys)
            self._keys = None
        self._live.stop()


class TopScreen:
    """Asks in a thread, and draws what is known in this one.

    Args:
        watch: puts together what is known; `look` tells it what was answered.
        look: asks the servers of the run; may take seconds.
        screen: where it is drawn.
        ask_period_s: between two looks.
    """

    def __init__(
        self,
        watch: RunWatch,
        look: Callable[[], Sight],
        screen: FullScreen,
        *,
        ask_period_s: float = ASK_PERIOD_S,
    ) -> None:
        self._watch = watch
        self._look = look
        self._screen = screen
        self._ask_period_s = ask_period_s
        self._sight = Sight()
        self._failure: BaseException | None = None
        self._left = threading.Event()

    def run(self, stop: threading.Event) -> bool:
        """Show the run.

        Args:
            stop: set it to leave.

        Returns:
            Whether the run is over; else somebody left.
        """
        thread = threading.Thread(target=self._ask_until_left, name="zdqn-top", daemon=True)
        thread.start()
        try:
            while not (stop.is_set() or self._sight.is_over):
                if self._failure is not None:
                    raise self._failure
                self._draw()
                typed = self._screen.wait_for_key(_DRAW_PERIOD_S, stop)
                if any(key in typed for key in _LEAVE):
                    return False
            return self._sight.is_over
        finally:
            self._left.set()
            thread.join()

    def _ask_until_left(self) -> None:
        while not self._left.wait(self._ask_period_s):
            try:
                self._sight = self._look()
            except BaseException as error:  # noqa: BLE001 - the thread that draws raises it
                self._failure = error
                return

    def _draw(self) -> None:
        width, height = self._screen.size()
        lines = draw_top(
            self._watch.view(),
            width,
            height=max(height - 1, 1),
            glyphs=self._screen.glyphs,
            in_vain=self._sight.in_vain,
        )
        below: list[Line] = [()] * (height - 1 - len(lines))
        self._screen.draw([*lines, *below, (Part(LEAVES[:width], "dim"),)])
