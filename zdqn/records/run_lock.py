"""One process at a time writes into a run directory: a lock that dies with its holder."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shlex
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from zdqn.closing import Closing
from zdqn.errors import FileError, RunDirectoryTakenError

logger = logging.getLogger("zdqn")

_MOST_BYTES = 4096
_LOOK_S = 0.01
_LOOKS = 1_000
"""Others that look are waited for so often: on a busy machine one may be kept from ending it."""
_LONGEST_COMMAND = 200
_held: set[int] = set()
"""File descriptors of this process's locks."""


def _let_go_in_a_fork() -> None:
    """Close what a forked worker got of our locks: it must not hold them when we are no more."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_a_fork)


class RunLock(Closing):
    """A lock on a run directory, held until it is closed or the process ends, in whatever way.

    The file stays, and says who held it last; it is removed with a folder in which no run began.

    Args:
        path: the lock's file; its folder must be there.

    Raises:
        RunDirectoryTakenError: when another holds it, who is named.
        FileError: when the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _acquire(path)
        _held.add(self._descriptor)
        _write_holder(self._descriptor)

    def remove(self) -> None:
        """Remove the file, while it is held: nothing needs it any more."""
        with suppress(OSError):
            self.path.unlink()

    def close(self) -> None:
        """Let others have it."""
        if self._descriptor in _held:
            _held.discard(self._descriptor)
            os.close(self._descriptor)


def describe_holder(path: Path) -> str:
    """Say who holds a lock, such as ``zdqn train a.toml (process 12 on host, since ...)``.

    Args:
        path: its file; it need not be there.

    Returns:
        Who; "" when nobody does.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(descriptor)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return ""


def check_free(path: Path) -> None:
    """Refuse a lock that another holds, without taking it.

    Raises:
        RunDirectoryTakenError: when somebody holds it.
    """
    holder = describe_holder(path)
    if holder:
        raise _taken(path, holder)


def _acquire(path: Path) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise FileError(
                f"The run directory {path.parent} is not writable: {path.name}: {error.strerror}. "
                f"Give another --run-dir."
            ) from error
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            holder = _read_holder(descriptor)
            os.close(descriptor)
            raise _taken(path, holder) from error
        except OSError as error:  # some network file systems
            logger.warning(
                "%s cannot be locked (%s): see to it that no other run uses this folder.",
                path.parent,
                error.strerror,
            )
            return descriptor
        if _is_still(descriptor, path):
            return descriptor
        os.close(descriptor)  # it was removed by the one who held it


def _lock(descriptor: int) -> None:
    """Lock a file for this process alone; who holds it is not waited for, who looks is.

    Raises:
        BlockingIOError: when somebody holds it.
    """
    for _ in range(_LOOKS):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # as `describe_holder` does
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(_LOOK_S)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_still(descriptor: int, path: Path) -> bool:
    """Whether a path leads to the file that is open."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _write_holder(descriptor: int) -> None:
    holder = {
        "command": _command()[:_LONGEST_COMMAND],
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    with suppress(OSError):  # a full disk: the lock is held all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, (json.dumps(holder) + "\n").encode(), 0)


def _read_holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
        return (
            f"{holder['command']} (process {holder['pid']} on {holder['host']}, since "
            f"{holder['since']})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _command() -> str:
    """Give the command of this process, without the interpreter of a script."""
    words = [Path(word).name if number < 2 else word for number, word in enumerate(sys.orig_argv)]
    if len(words) > 1 and not words[1].startswith("-"):
        words = words[1:]
    return " ".join(shlex.join(words).split())  # one line


def _taken(path: Path, holder: str) -> RunDirectoryTakenError:
    directory = path.parent
    return RunDirectoryTakenError(
        f"The run directory {directory} is in use by {holder}. Give another --run-dir, wait for "
        f"its end, or end it: zdqn stop {shlex.quote(str(directory))}, or Ctrl-C where it runs."
    )
