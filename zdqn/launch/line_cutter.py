"""Cuts what a process writes into lines, also where it ends none."""

from __future__ import annotations


class LineCutter:
    """Bytes in, lines out. The time is passed in.

    Without `patience_s` a line is what ends with a line feed. With it, it is a terminal's: what a
    return of the carriage writes over is left out, and a line that has begun is given as it stands
    when its end has not come for so long, so that a bar of progress gives a line now and then.

    Args:
        most_bytes: of a line that is held back until its end comes; longer ones come in pieces.
        patience_s: how long it is held back; None for ever.
    """

    def __init__(self, most_bytes: int, patience_s: float | None = None) -> None:
        self._most_bytes = most_bytes
        self._patience_s = patience_s
        self._held = b""
        self._since_s = 0.0

    def take(self, piece: bytes, now_s: float) -> list[bytes]:
        """Give the lines that a piece of output brings."""
        *lines, rest = (self._held + piece).split(b"\n")
        if lines or not self._held:
            self._since_s = now_s
        given = []
        for line in lines:
            given += self._pieces(self._visible(line) + b"\n")
        overwritten = rest.endswith(b"\r") and self._patience_s is not None
        self._held = self._visible(rest) + b"\r" * overwritten
        if len(self._held) > self._most_bytes:
            return given + self.end()
        return given + self.due(now_s)

    def wait_s(self, now_s: float) -> float | None:
        """Say how long to wait for more before `due` gives something; None for ever."""
        if self._patience_s is None or not self._held:
            return None
        return max(self._since_s + self._patience_s - now_s, 0.0)

    def due(self, now_s: float) -> list[bytes]:
        """Give what has waited for its end for too long."""
        return self.end() if self.wait_s(now_s) == 0 else []

    def end(self) -> list[bytes]:
        """Give what was held back: no more will come, or no more can be held."""
        text, self._held = self._visible(self._held), b""
        return self._pieces(text)

    def _visible(self, line: bytes) -> bytes:
        if self._patience_s is None:
            return line
        return line.removesuffix(b"\r").rpartition(b"\r")[2]

    def _pieces(self, line: bytes) -> list[bytes]:
        most = self._most_bytes
        return [line[start : start + most] for start in range(0, len(line), most)]
