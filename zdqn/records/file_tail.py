"""What is added to a file of lines, by whoever watches it grow."""

from __future__ import annotations

from pathlib import Path


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
        """Give the new lines, without their ends."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.decode(errors="replace").splitlines()
