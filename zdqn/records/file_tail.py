"""What is added to a file of lines, by whoever watches it grow."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 64 * 2**20
"""That one look reads: what is more comes with the next, and a line that is longer is left out."""


class FileTail:
    """Gives the whole lines that were added to a file since the last look.

    Args:
        path: of the file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._offset = 0

    def is_another(self) -> bool:
        """Whether another file has taken its place, or some of it is no more."""
        try:
            stat = self._path.stat()
        except OSError:
            return self._identity is not None
        now = (stat.st_dev, stat.st_ino)
        before, self._identity = self._identity, now
        return before is not None and (before != now or stat.st_size < self._offset)

    def start_again(self) -> None:
        """Read it from its beginning."""
        self._identity, self._offset = None, 0

    def lines(self) -> list[str]:
        """Give the new lines, without their ends; those of `MOST_BYTES` at most."""
        try:
            data = self._read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole) if whole or len(data) < MOST_BYTES else len(data)
        return whole.decode(errors="replace").splitlines()

    def _read(self) -> bytes:
        """Read what was added; nothing of what is no file, as a folder may be somebody else's.

        A pipe is not waited for, and a device, which may have no end, not read.
        """
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return b""
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                file.seek(self._offset)
                return file.read(MOST_BYTES)
        finally:
            os.close(descriptor)
