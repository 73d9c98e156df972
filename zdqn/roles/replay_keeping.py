"""How a memory comes back with what it held: its replay is kept in files, as it goes on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from zdqn.closing import Closing
from zdqn.core.broker import MemoryBroker
from zdqn.errors import ZdqnError
from zdqn.records.replay_files import Kept, ReplayFolder, free_bytes
from zdqn.rl.insert_log import SLOTS
from zdqn.rl.replay_arrays import Allocator, allocate_in_ram
from zdqn.roles.free_memory import available_bytes
from zdqn.wire.quiet_log import QuietLog

logger = logging.getLogger("zdqn.memory")


class ReplayKeeping(Closing):
    """What a memory does so that its replay outlives it. This one does nothing: RAM goes with it.

    Attributes:
        allocate: makes the arrays of the replay.
        kept: whether they will be opened again.
        came_back_with: transitions that this start of the memory began with.
        came_back_without: transitions that came to earlier starts after what this one began with.
        anew: what must be done to a memory whose run is over, for another run.
    """

    allocate: Allocator = staticmethod(allocate_in_ram)
    kept = False
    came_back_with = 0
    came_back_without = 0
    anew = "must be started anew"

    def open(self, broker: MemoryBroker) -> str:
        """Go on with what an earlier start has left, if there is anything.

        Args:
            broker: of this start.

        Returns:
            The run that it belongs to; "" if that is not known.

        Raises:
            ZdqnError: when what is there cannot be gone on with.
        """
        return ""

    def available(self) -> tuple[float, str]:
        """Give how many bytes there are for the replay, and where."""
        return available_bytes(), "memory"

    def begin(self, run_id: str) -> None:
        """Take note that there is a replay now, or that it belongs to this run."""

    def advance(self) -> None:
        """Do what is due; to be called often."""

    def close(self) -> None:
        """Leave it so that the next start goes on from here."""


class DiskKeeping(ReplayKeeping):
    """Keeps a replay whose arrays are files.

    Args:
        folder: of the files.
        sync_period_s: seconds between two moments at which all of it is on the disk; 0 waits for
            the disk at the end only.
        clock: seconds that never go back.
    """

    kept = True

    def __init__(
        self,
        folder: ReplayFolder,
        sync_period_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.allocate = folder.allocate
        self.anew = f"must be started anew, with another replay.path or without {folder.path}"
        self._folder = folder
        self._period_s = sync_period_s
        self._clock = clock
        self._complaints = QuietLog(logger, clock=clock)
        self._broker: MemoryBroker | None = None
        self._run_id = ""
        self._number = 0
        self._logged = 0
        self._next_s = clock() + sync_period_s
        self._to_sync: SimpleQueue[Kept | None] = SimpleQueue()
        self._synced = threading.Event()
        self._synced.set()
        self._thread: threading.Thread | None = None

    def open(self, broker: MemoryBroker) -> str:
        """Read and check all that is there; see the class above."""
        self._broker = broker
        kept = self._folder.kept
        path = self._folder.path
        if kept is None:
            logger.info("the replay will be kept in %s", path)
            return ""
        logger.info("reading and checking the replay in %s", path)
        started_s = self._clock()
        values = kept.values
        recovered = broker.recover(values["broker"], cleanly=values["ended"])
        self._run_id, self._number = values["run_id"], kept.number
        store = broker.store
        self.came_back_with = store.size
        logger.info(
            "came back with %d transitions of the replay in %s (%.1f MB, checked in %.1f s)",
            store.size,
            path,
            store.nbytes / 1e6,
            self._clock() - started_s,
        )
        if recovered.dropped:
            logger.warning(
                "%d transitions of it were not whole after the last end, and are dropped",
                recovered.dropped,
            )
        self._write()
        return self._run_id

    def available(self) -> tuple[float, str]:
        """Give the room on the disk, and which."""
        return free_bytes(self._folder.path), f"the disk of {self._folder.path}"

    def begin(self, run_id: str) -> None:
        """Write the first state, from which a start after any end can go on."""
        self._run_id = run_id
        if self._broker is not None and self._broker.store.spec is not None:
            self._write(sure=True)

    def advance(self) -> None:
        """Have the disk take in what is due, in another thread; of the log, before it is full."""
        if self._broker is None or self._broker.store.spec is None:
            return
        if self._period_s and self._clock() >= self._next_s and self._synced.is_set():
            self._next_s = self._clock() + self._period_s
            self._synced.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._sync, name="zdqn-sync", daemon=True)
                self._thread.start()
            self._to_sync.put(self._take())
        elif self._broker.store.inserts_logged - self._logged > SLOTS // 2:
            self._write()

    def close(self) -> None:
        """Wait until all is on the disk, and say that it ended in order."""
        if self._thread is not None:
            self._to_sync.put(None)
            self._thread.join()
        if self._broker is not None and self._broker.store.spec is not None:
            self._write(sure=True, ended=True)
        self._broker = None
        self._folder.close()

    def _take(self, *, ended: bool = False) -> Kept:
        assert self._broker is not None
        self._number += 1
        self._logged = self._broker.store.inserts_logged
        values = {"broker": self._broker.state_dict(), "run_id": self._run_id, "ended": ended}
        return Kept(values, self._number)

    def _write(self, *, sure: bool = False, ended: bool = False) -> None:
        kept = self._take(ended=ended)
        self._try(lambda: self._put(kept, sure=sure))

    def _put(self, kept: Kept, *, sure: bool) -> None:
        if sure:
            self._folder.sync()
        self._folder.write(kept, sure=sure)

    def _sync(self) -> None:
        while (kept := self._to_sync.get()) is not None:
            self._try(lambda kept=kept: self._put(kept, sure=True))  # type: ignore[misc]
            self._synced.set()

    def _try(self, action: Callable[[], Any]) -> None:
        """The replay in memory is whole whatever the disk says: it is told, and tried again."""
        try:
            action()
        except ZdqnError as error:
            self._complaints.say(
                logging.WARNING, "disk", "%s The memory goes on; tried again later", error
            )
