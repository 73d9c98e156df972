"""What has come to a memory, counted in a file that outlives it however it ends."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from zdqn.closing import Closing
from zdqn.errors import FileError


class ArrivalCount(Closing):
    """Two numbers that are mapped into memory: a process that is killed leaves them as they were.

    They go on from start to start, so that what came between two moments is a difference, also
    when a memory died between them.

    Args:
        path: of the file; made if it is missing.

    Attributes:
        blocks_before: that had come to earlier starts.
        transitions_before: in them.

    Raises:
        FileError: when it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError), path.open("xb") as file:
                file.write(bytes(16))
            if path.stat().st_size != 16:  # cut short, as the disk was full
                path.write_bytes(bytes(16))
            self._numbers = np.memmap(path, np.int64, "r+", shape=(2,))
        except OSError as error:
            raise FileError(f"Cannot write {path}: {error.strerror}.") from error
        self.blocks_before, self.transitions_before = (int(number) for number in self._numbers)

    @property
    def blocks(self) -> int:
        """Blocks that have come to all starts."""
        return int(self._numbers[0])

    @property
    def transitions(self) -> int:
        """Transitions in them."""
        return int(self._numbers[1])

    def note(self, blocks: int, transitions: int) -> None:
        """Take note of what has come to this start so far."""
        self._numbers[:] = self.blocks_before + blocks, self.transitions_before + transitions

    def close(self) -> None:
        """Let go of the file."""
        del self._numbers
