"""How a memory comes back with what it held: its replay is kept in files, as it goes on."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.closing import Closing
from zdqn.config import Config, flatten
from zdqn.core.broker import MemoryBroker
from zdqn.errors import ConfigError, ZdqnError
from zdqn.records.replay_files import Kept, ReplayFolder, free_bytes
from zdqn.records.run_files import RunFiles
from zdqn.rl.insert_log import SLOTS
from zdqn.rl.replay_arrays import Allocator, allocate_in_ram
from zdqn.roles.building_replay import available_bytes
from zdqn.wire.quiet_log import QuietLog

logger = logging.getLogger("zdqn.memory")

_SETTINGS = (
    "algorithm.discount",
    "algorithm.n_step",
    "environment",
    "replay.capacity",
    "replay.frames_per_transition",
    "replay.kind",
    "replay.min_size",
    "replay.priority_exponent",
    "replay.samples_per_insert",
)
"""What transitions, arrays and counts of a replay mean."""
_COPIED_BYTES = 2**22
"""At a time; others wait for the memory's thread no longer than that takes."""


class ReplayKeeping(Closing):
    """What a memory does so that its replay outlives it. This one does nothing: RAM goes with it.

    Attributes:
        allocate: makes the arrays of the replay.
        kept: whether they will be opened again.
        came_back_with: transitions that this start of the memory began with.
        anew: what must be done to a memory whose run is over, for another run.
    """

    allocate: Allocator = staticmethod(allocate_in_ram)
    kept = False
    came_back_with = 0
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


class SnapshotKeeping(ReplayKeeping):
    """Keeps snapshots of a replay in RAM, made while blocks come and batches go.

    There are two folders, written in turn, so that one of them is whole at every moment. A snapshot
    begins with the plain values as they are between two blocks, and the log of inserts; the rest
    is copied by another thread while it changes. Coming back, that makes no difference: what the
    log says is followed, and a row that was overwritten before it was copied is not whole.

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
            self.anew += f", with another replay.path or without {folders[0].path.parent}"
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
        logger.warning(
            "came back with %d transitions of a snapshot in %s that was begun %.1f s ago, when %d "
            "blocks had come; what came later is lost",
            self.came_back_with,
            folder.path,
            self._wall_clock() - values["begun_at"],
            values["broker"]["intake"]["ledger"]["received"],
        )
        if recovered.dropped:
            logger.info(
                "%d of its oldest transitions were overwritten as it was made", recovered.dropped
            )

    def begin(self, run_id: str) -> None:
        """Count the time to the first snapshot from here."""
        self._run_id = run_id
        self._next_s = min(self._next_s, self._clock() + self._period_s)

    def advance(self) -> None:
        """Begin a snapshot when one is due."""
        if self._clock() >= self._next_s and self._broker is not None:
            self._next_s = math.inf
            self._join()
            self._thread = threading.Thread(
                target=self._write, args=(self._take(),), name="zdqn-snapshot", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Make a last snapshot, with all that came."""
        self._join()
        if self._broker is not None and self._broker.store.spec is not None:
            self._write(self._take())
        self._broker = None

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _take(self) -> Kept:
        assert self._broker is not None
        self._number += 1
        values = {
            "broker": self._broker.state_dict(),
            "run_id": self._run_id,
            "begun_at": self._wall_clock(),
        }
        return Kept(values, self._number)

    def _write(self, kept: Kept) -> None:
        try:
            with self._folders(kept.number % 2, True) as folder:
                # the log first: of all that it tells the rows are there by now
                for name in sorted(self._arrays, key=lambda name: name != "inserts"):
                    self._copy(name, folder)
                folder.sync()
                folder.write(kept, sure=True)
        except ZdqnError as error:
            self._complaints.say(
                logging.WARNING, "snapshot", "%s There is no new snapshot; tried again later", error
            )
            self._number -= 1  # the next goes into this folder too: the other has the newest
        self._next_s = self._clock() + self._period_s

    def _copy(self, name: str, folder: ReplayFolder) -> None:
        array = self._arrays[name]
        flat = array.reshape(-1).view(np.uint8)
        copied = folder.allocate(name, array.shape, array.dtype).reshape(-1).view(np.uint8)
        for start in range(0, len(flat), _COPIED_BYTES):
            part = flat[start : start + _COPIED_BYTES]
            if part.any():  # the file is all zeros, and many pages have never been touched
                copied[start : start + _COPIED_BYTES] = part


def keep_replay(config: Config, run_directory: Path | None) -> ReplayKeeping:
    """Choose how a memory's replay is kept, as configured.

    Args:
        config: of the run.
        run_directory: of the run, if it is known here.

    Raises: as `open_replay_folder` does.
    """
    if config.replay.storage == "ram":
        if config.replay.snapshot_period_s == 0:
            return ReplayKeeping()
        return SnapshotKeeping(
            lambda number, anew: open_replay_folder(
                config, run_directory, anew=anew, within=f"snapshot-{number}"
            ),
            config.replay.snapshot_period_s,
        )
    folder = open_replay_folder(config, run_directory)
    return DiskKeeping(folder, config.replay.sync_period_s)


def open_replay_folder(
    config: Config, run_directory: Path | None, *, anew: bool = False, within: str = ""
) -> ReplayFolder:
    """Open the folder of a replay that is kept, as configured.

    Args:
        config: of the run.
        run_directory: of the run, if it is known here.
        anew: whether what is there is given up.
        within: name of a folder in it; "": the folder itself.

    Raises:
        ConfigError: when there is no folder to keep it in, or another replay in it.
        RunDirectoryTakenError: when another memory has it.
        FileError: when it cannot be used.
    """
    if config.replay.path:
        path = Path(config.replay.path)
    elif run_directory is not None:
        path = RunFiles(run_directory).replay
    else:
        raise ConfigError(
            'replay.storage is "disk", or replay.snapshot_period_s is set, and nothing says where: '
            "give the run directory (--run-dir), or set replay.path."
        )
    settings = {
        key: value
        for key, value in flatten(config).items()
        if key in _SETTINGS or key.partition(".")[0] in _SETTINGS
    }
    return ReplayFolder(path / within, settings, anew=anew)
