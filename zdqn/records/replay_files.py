"""The files of a replay that is kept: an array each, and the plain values beside them."""

from __future__ import annotations

import json
import math
import mmap
import os
import secrets
import zlib
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zdqn.closing import Closing
from zdqn.errors import ConfigError, FileError, MismatchError, RunDirectoryTakenError
from zdqn.records.run_lock import RunLock, describe_holder

_FORMAT = 1
_SURE, _NEWEST = "state.json", "newest.json"


class Kept(NamedTuple):
    """The plain values of a replay that was kept.

    Attributes:
        values: as they were written.
        number: rises with each taking of them.
    """

    values: dict[str, Any]
    number: int


class ReplayFolder(Closing):
    """A folder that holds one replay, used by one process at a time.

    It makes the arrays (`allocate`): each is a file that is mapped into memory. Every byte of a new
    one is taken from the disk when it is made, as a disk that is full would end the process later,
    at the first touch of a page, and nothing could catch that.

    What outlives what: a process that is killed leaves the arrays as its last instruction left
    them, since their pages belong to the operating system. A loss of power leaves any mixture of
    old and new pages but for those written before the last `sync`.

    Args:
        path: of the folder; made, for its owner alone, if it is missing.
        settings: what must be as it was for what is there to be gone on with.
        anew: give up what is there.

    Attributes:
        path: as given.
        kept: the newest values that are whole; None in a folder that holds no replay yet.

    Raises:
        RunDirectoryTakenError: when another process has it.
        ConfigError: when what is there was made with other settings.
        MismatchError: when another version wrote it.
        FileError: when it cannot be read, or what is there is damaged.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, anew: bool = False) -> None:
        self.path = path
        self._settings = dict(settings)
        self._files: dict[str, int] = {}
        with ExitStack() as stack:
            stack.enter_context(self._lock())
            stack.callback(self._close_files)
            if anew:
                for name in (_SURE, _NEWEST):
                    (path / name).unlink(missing_ok=True)
            self.kept = self._read()
            self._open = stack.pop_all()

    # --- arrays --------------------------------------------------------------------------------

    def allocate(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Map an array's file; see `zdqn.rl.replay_arrays.Allocator`.

        Raises:
            FileError: when the disk has no room, or the file is not that of such an array.
        """
        size = math.prod(shape) * dtype.itemsize
        file = self.path / f"{name}.array"
        fresh = self.kept is None
        try:
            flags = os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT | os.O_TRUNC if fresh else 0)
            descriptor = os.open(file, flags, 0o600)
            self._files[name] = descriptor
            if fresh:
                self._take_room(descriptor, size, file)
            elif os.fstat(descriptor).st_size != size:
                raise self._damaged(f"{file.name} has not the {size:,} bytes that it was made with")
            mapped = mmap.mmap(descriptor, size)
        except OSError as error:
            raise self._damaged(f"{file.name}: {error.strerror or error}") from error
        return np.frombuffer(mapped, dtype).reshape(shape)

    def _take_room(self, descriptor: int, size: int, file: Path) -> None:
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            free = free_bytes(self.path)
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
            self._remove_arrays()
            raise FileError(
                f"The replay cannot be kept on disk: {file} needs {size / 1e9:.3f} GB, and "
                f"{free / 1e9:.3f} GB are free ({error.strerror}). Make room, lower "
                f"replay.capacity, or give another replay.path."
            ) from error

    def _remove_arrays(self) -> None:
        self._close_files()
        for file in self.path.glob("*.array"):
            with suppress(OSError):
                file.unlink()

    def sync(self) -> None:
        """Wait until the arrays, as they were before this call or later, are on the disk.

        Raises:
            FileError: when the disk fails.
        """
        for name, descriptor in list(self._files.items()):
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                raise FileError(
                    f"{self.path / name}.array did not reach the disk: {error.strerror}."
                ) from error

    # --- plain values --------------------------------------------------------------------------

    def write(self, kept: Kept, *, sure: bool) -> None:
        """Write the plain values that go with the arrays, whole or not at all.

        Args:
            kept: values that JSON can hold; of two writings that with the higher number counts.
            sure: wait until they are on the disk. The arrays were synced since they were taken.

        Raises:
            FileError: when there is no room for them; those of before are there still.
        """
        content = {**kept._asdict(), "settings": self._settings}
        body = json.dumps(content).encode()
        head = json.dumps({"format": _FORMAT, "crc32": zlib.crc32(body)}).encode()
        file = self.path / (_SURE if sure else _NEWEST)
        temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(head + b"\n" + body)
                out.flush()
                if sure:
                    os.fsync(out.fileno())
            temporary.replace(file)
            if sure:
                _sync_folder(self.path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise FileError(f"Cannot write {file}: {error.strerror or error}.") from error

    def _read(self) -> Kept | None:
        there = [path for path in (self.path / _SURE, self.path / _NEWEST) if path.exists()]
        contents = [content for path in there if (content := _read_state(path)) is not None]
        if not contents:
            if there:
                raise self._damaged(f"{there[0].name} is not what was written there")
            return None  # what else may be there was begun, and held nothing yet
        newest = max(contents, key=lambda content: content["number"])
        theirs = newest["settings"]
        keys = sorted(theirs.keys() | self._settings.keys())
        changed = [
            f"{key}: there {theirs.get(key)!r}, here {self._settings.get(key)!r}"
            for key in keys
            if theirs.get(key) != self._settings.get(key)
        ]
        if changed:
            raise ConfigError(
                f"The replay in {self.path} was kept with another configuration "
                f"({'; '.join(changed)}). Start with that one, give another replay.path, or remove "
                f"the folder: what it holds is lost then."
            )
        return Kept(newest["values"], newest["number"])

    def _damaged(self, what: str) -> FileError:
        return FileError(
            f"The replay in {self.path} cannot be gone on with: {what}. Remove the folder, and a "
            f"memory starts empty, or give another replay.path."
        )

    # --- life ----------------------------------------------------------------------------------

    def _lock(self) -> RunLock:
        lock = self.path / "lock"
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            return RunLock(lock)
        except RunDirectoryTakenError as error:
            holder = describe_holder(lock) or "another process"
            raise RunDirectoryTakenError(
                f"The replay in {self.path} is in use by {holder}. Give another replay.path, or "
                f"end that memory."
            ) from error
        except OSError as error:
            raise FileError(
                f"Cannot make {self.path} for the replay: {error.strerror}. Give another "
                f"replay.path."
            ) from error

    def _close_files(self) -> None:
        while self._files:
            os.close(self._files.popitem()[1])

    def close(self) -> None:
        """Let others have it; arrays that are in use yet stay mapped."""
        self._open.close()


def free_bytes(path: Path) -> int:
    """Give the room that is left on the disk of a folder that is there."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _read_state(path: Path) -> dict[str, Any] | None:
    """Read what `ReplayFolder.write` wrote; None if it is not whole."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        about = json.loads(head)
        if about["format"] == _FORMAT and about["crc32"] != zlib.crc32(body):
            return None
    except OSError as error:
        raise FileError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError):
        return None
    if about["format"] != _FORMAT:
        raise MismatchError(
            f"{path} has format {about['format']}; this zdqn reads format {_FORMAT}. Use the zdqn "
            f"that wrote it, or remove the folder."
        )
    content: dict[str, Any] = json.loads(body)
    return content


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
