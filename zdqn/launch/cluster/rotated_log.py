"""A log that does not fill a disk: when it is long, it becomes the one before, and a new begins."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, BinaryIO

MOST_BYTES = 16 * 2**20
_PIECE_BYTES = 2**20


class RotatedLog:
    """Lines, added to a file; of older ones at most as much again is kept beside it.

    Args:
        path: of the file.
        most_bytes: after which a new one begins.

    Raises:
        OSError: when it cannot be opened.
    """

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._file: BinaryIO = path.open("ab")

    def write(self, line: bytes) -> None:
        """Add a line; a full disk stops no role."""
        with contextlib.suppress(OSError, ValueError):
            if self._file.tell() + len(line) > self._most_bytes and self._file.tell():
                self._file.close()
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                self._file = self._path.open("ab")
            self._file.write(line if line.endswith(b"\n") else line + b"\n")
            self._file.flush()

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(OSError):
            self._file.close()


def read_log(path: Path, begin: int, tail: int) -> dict[str, Any]:
    """Read what has come to a log; a new one that has begun meanwhile from its beginning.

    Args:
        path: of the log; it need not be there.
        begin: bytes that are known already; -1 for the last lines alone.
        tail: how many of these.

    Returns:
        ``piece``, whole lines, and ``end``, for the next call.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(size - _PIECE_BYTES, 0) if begin < 0 else begin if begin <= size else 0
            file.seek(start)
            piece = file.read(_PIECE_BYTES)
    except FileNotFoundError:
        return {"piece": b"", "end": 0}
    end = piece.rfind(b"\n") + 1
    lines = piece[:end].splitlines(keepends=True)
    shown = (lines[-tail:] if tail else []) if begin < 0 else lines
    return {"piece": b"".join(shown), "end": start + end}
