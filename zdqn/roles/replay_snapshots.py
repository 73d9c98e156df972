"""How a memory whose replay is in RAM comes back with some of it: snapshots, made as it goes on."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.core.broker import MemoryBroker
from zdqn.errors import ZdqnError
from zdqn.records.arrival_count import ArrivalCount
from zdqn.records.replay_files import Kept, ReplayFolder
from zdqn.rl.replay_arrays import allocate_in_ram
from zdqn.roles.replay_keeping import ReplayKeeping
from zdqn.wire.quiet_log import QuietLog

logger = logging.getLogger("zdqn.memory")

_COPIED_BYTES = 2**22
"""At a time; others wait for the memory's thread no longer than that takes."""
_AT_ONCE_BYTES = 2**25
"""Arrays of fewer bytes together are copied between two blocks, in a few milliseconds: a small
replay may be overwritten faster than a copy of it is made."""


class SnapshotKeeping(ReplayKeeping):
    """Keeps snapshots of a replay in RAM, made while blocks come and batches go.

    There are two folders, written in turn, so that one of them is whole at every moment. A snapshot
    begins with the plain values as they are between two blocks, and the log of inserts; the rest
    is copied by another thread while it changes. Coming back, that makes no difference: what the
    log says is followed, and a row that was overwritten before it was copied is not whole. A small
    replay is copied before.

    Args:
        folders: makes the folder with a number, 0 or 1; told whether to give up what is there.
        period_s: seconds from the end of one snapshot to the begin of the next, > 0.
        clock: seconds that never go back.
        wall_clock: seconds since some day, also of an earlier start.
    """

    kept = True

    def __init__(
        self,
        folders: Callable[[int, bool], ReplayFolder],
        period_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._folders = folders
        self._period_s = period_s
        self._clock, self._wall_clock = clock, wall_clock
        self._complaints = QuietLog(logger, clock=clock)
        self._arrays: dict[str, NDArray[Any]] = {}
        self._broker: MemoryBroker | None = None
        self._arrived: ArrivalCount | None = None
        self._run_id = ""
        self._number = 0
        self._next_s = math.inf
        self._thread: threading.Thread | None = None

    def allocate(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:  # type: ignore[override]
        """Make an array in RAM, and remember it."""
        array = self._arrays[name] = allocate_in_ram(name, shape, dtype)
        return array

    def open(self, broker: MemoryBroker) -> str:
        """Load the newest snapshot that is whole, if there is one."""
        self._broker = broker
        with ExitStack() as stack:
            folders = [stack.enter_context(self._folders(number, False)) for number in (0, 1)]
            place = folders[0].path.parent
            self.anew += f", with another replay.path or without {place}"
            self._arrived = ArrivalCount(place / "arrived.bin")
            kept = [(folder.kept, folder) for folder in folders if folder.kept is not None]
            if not kept:
                logger.info("a snapshot of the replay is due every %g s", self._period_s)
                return ""
            newest, folder = max(kept, key=lambda one: one[0].number)
            self._load(broker, newest, folder)
        self._next_s = self._clock() + self._period_s
        return self._run_id

    def _load(self, broker: MemoryBroker, newest: Kept, folder: ReplayFolder) -> None:
        values = newest.values

        def fill() -> None:
            for name, array in self._arrays.items():
                array[...] = folder.allocate(name, array.shape, array.dtype)

        recovered = broker.recover_store(values["broker"], fill)
        self._run_id, self._number = values["run_id"], newest.number
        self.came_back_with = broker.store.size
        blocks, transitions = self._came_since(values.get("arrived"))
        self.came_back_without = transitions
        logger.log(
            logging.WARNING if blocks else logging.INFO,
            "came back with %d transitions of a snapshot in %s that was begun %.1f s ago; %s",
            self.came_back_with,
            folder.path,
            self._wall_clock() - values["begun_at"],
            f"{blocks} blocks with {transitions} transitions that came later are lost"
            if blocks
            else "nothing that came later is lost",
        )
        if recovered.dropped:
            logger.info(
                "%d of its oldest transitions were overwritten as it was made", recovered.dropped
            )

    def _came_since(self, arrived: list[int] | None) -> tuple[int, int]:
        """Give the blocks that had come since a snapshot was begun, and their transitions."""
        if arrived is None or self._arrived is None:
            return 0, 0
        now = self._arrived.blocks, self._arrived.transitions
        blocks, transitions = (max(a - b, 0) for a, b in zip(now, arrived, strict=True))
        return blocks, transitions

    def begin(self, run_id: str) -> None:
        """Count the time to the first snapshot from here."""
        self._run_id = run_id
        self._next_s = min(self._next_s, self._clock() + self._period_s)

    def advance(self) -> None:
        """Count what has come, and begin a snapshot when one is due."""
        self._count()
        if self._clock() >= self._next_s and self._broker is not None:
            self._next_s = math.inf
            self._join()
            self._thread = threading.Thread(
                target=self._write, args=self._take(), name="zdqn-snapshot", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Make a last snapshot, with all that came."""
        self._join()
        if self._broker is not None and self._broker.store.spec is not None:
            self._write(*self._take())
        self._broker = None
        if self._arrived is not None:
            self._arrived.close()
            self._arrived = None

    def _count(self) -> None:
        if self._arrived is not None and self._broker is not None:
            progress = self._broker.progress()
            self._arrived.note(progress.blocks, progress.transitions)

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _take(self) -> tuple[Kept, dict[str, NDArray[Any]]]:
        """Give the plain values, and the arrays, or copies of them."""
        assert self._broker is not None
        assert self._arrived is not None
        self._number += 1
        self._count()
        values = {
            "broker": self._broker.state_dict(),
            "run_id": self._run_id,
            "begun_at": self._wall_clock(),
            "arrived": [self._arrived.blocks, self._arrived.transitions],
        }
        arrays = self._arrays
        if sum(array.nbytes for array in arrays.values()) < _AT_ONCE_BYTES:
            arrays = {name: array.copy() for name, array in arrays.items()}
        return Kept(values, self._number), arrays

    def _write(self, kept: Kept, arrays: dict[str, NDArray[Any]]) -> None:
        try:
            with self._folders(kept.number % 2, True) as folder:
                # the log first: of all that it tells the rows are there by now
                for name in sorted(arrays, key=lambda name: name != "inserts"):
                    self._copy(name, arrays[name], folder)
                folder.sync()
                folder.write(kept, sure=True)
        except ZdqnError as error:
            self._complaints.say(
                logging.WARNING, "snapshot", "%s There is no new snapshot; tried again later", error
            )
            self._number -= 1  # the next goes into this folder too: the other has the newest
        self._next_s = self._clock() + self._period_s

    @staticmethod
    def _copy(name: str, array: NDArray[Any], folder: ReplayFolder) -> None:
        flat = array.reshape(-1).view(np.uint8)
        copied = folder.allocate(name, array.shape, array.dtype).reshape(-1).view(np.uint8)
        for start in range(0, len(flat), _COPIED_BYTES):
            part = flat[start : start + _COPIED_BYTES]
            if part.any():  # the file is all zeros, and many pages have never been touched
                copied[start : start + _COPIED_BYTES] = part
