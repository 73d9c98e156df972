"""What an agent says to its launcher, written by a thread of its own so that no role waits."""

from __future__ import annotations

import os
import queue
import threading

from zdqn.launch.cluster.frames import ErrorsReport, Frame, encode_frame

MOST_WAITING_LINES = 10_000
"""Of logs, which wait while the connection is slow; the log files there have them all."""


class Outbox:
    """Frames for a launcher, in order.

    Args:
        descriptor: of the file that they are written to.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: queue.Queue[Frame | None] = queue.Queue()
        self._left_out: dict[str, int] = {}
        self._thread = threading.Thread(target=self._write_until_closed, daemon=True)
        self._thread.start()

    def put(self, frame: Frame) -> None:
        """Have a frame written; a line of a log is left out, and counted, when too many wait."""
        if isinstance(frame, ErrorsReport):
            if self._waiting.qsize() >= MOST_WAITING_LINES:
                self._left_out[frame.name] = self._left_out.get(frame.name, 0) + 1
                return
            count = self._left_out.pop(frame.name, 0)
            if count:
                text = f"... {count:,} lines are in its log on its host alone\n"
                self._waiting.put(ErrorsReport(frame.name, text.encode()))
        self._waiting.put(frame)

    def close(self, timeout_s: float) -> None:
        """Write what waits, for so long at most."""
        self._waiting.put(None)
        self._thread.join(timeout_s)

    def _write_until_closed(self) -> None:
        broken = False
        while (frame := self._waiting.get()) is not None:
            data = b"" if broken else encode_frame(frame)
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                broken = True  # nobody listens any more; roles go on, or are ended, all the same
