"""Files that only their owner can read: made so at once, and refused when they are not so."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from zdqn.errors import NotAllowedError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


def make_private_folder(folder: Path) -> None:
    """Make a folder that nobody else can enter; one that is there must be so.

    Raises:
        NotAllowedError: when it is there, and others can enter it.
        OSError: when it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=_FOLDER_MODE)  # a umask can only take from it
    except FileExistsError:
        check_private_folder(folder)


def check_private_folder(folder: Path) -> None:
    """Refuse a folder that others can enter, or that is another's.

    Raises:
        NotAllowedError: naming what to do.
        OSError: when it is not there.
    """
    _check(folder, folder.stat(), _FOLDER_MODE)


def read_private(path: Path) -> str:
    """Read a file that nobody else can read.

    Raises:
        NotAllowedError: when others can read it, another owns it, or it is a link.
        OSError: when it cannot be read.
    """
    if path.is_symlink():
        raise NotAllowedError(f"{path} is a link. Put the file itself there.")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        _check(path, os.fstat(descriptor), _FILE_MODE)  # of what is read, whatever is there now
        return file.read()


def write_private(path: Path, text: str) -> None:
    """Write a new file that nobody else can read, all of it or nothing.

    Raises:
        FileExistsError: when there is one.
        OSError: when it cannot be written.
    """
    with os.fdopen(_create(path), "w", encoding="utf-8") as file:
        file.write(text)


def replace_private(path: Path, text: str) -> None:
    """Put a file that nobody else can read in the place of another; readers see one or the other.

    Raises:
        OSError: when it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(_create(beside), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return os.open(path, flags, _FILE_MODE)


def _check(path: Path, found: os.stat_result, mode: int) -> None:
    if found.st_uid != os.geteuid():
        raise NotAllowedError(
            f"{path} belongs to another user (number {found.st_uid}), who could change it. Make "
            f"keys of your own: `zdqn keys init --keys DIR`."
        )
    if found.st_mode & _OTHERS:
        raise NotAllowedError(
            f"{path} has mode {stat.S_IMODE(found.st_mode):04o}: other users of this machine can "
            f"get at it. If nobody has so far, `chmod {mode:o} {path}`; else make new keys."
        )
