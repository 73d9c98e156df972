"""Memory that a learner on the same host shares with a memory, found and checked by the latter."""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import stat
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zdqn.errors import ProtocolError
from zdqn.wire.memory_messages import MOST_SHARED_BYTES, SLOTS_AT, SampleRequest, Slot
from zdqn.wire.quiet_log import QuietLog

logger = logging.getLogger("zdqn.memory")

_TOKEN = np.dtype("<u8")
_GET_SEALS = 1034
_SEAL_SHRINK = 2
"""Of Linux; other systems have no file that fits."""


class _File(NamedTuple):
    process: int
    descriptor: int
    token: int


class SlotWriter:
    """Finds the slots that learners offer for the frames of replies.

    A file is written to only if its owner is the user of this process, it was made to be shared
    (`zdqn.roles.learner.shared_slots`), nobody can make it smaller, and its token is the one that
    came with the request: that was read by somebody of the same user. What cannot be had is no
    error; frames then travel in the reply. The newest file is kept mapped, and no other.

    Args:
        allowed: False finds nothing.
    """

    def __init__(self, *, allowed: bool) -> None:
        self._allowed = allowed
        self._complaints = QuietLog(logger)
        self._file: _File | None = None
        self._content: NDArray[np.uint8] | None = None

    @property
    def sharing(self) -> bool:
        """Whether the newest learner that offered memory shares it."""
        return self._content is not None

    def find(self, request: SampleRequest) -> NDArray[np.uint8] | None:
        """Give what a request offers, to be written to.

        Args:
            request: the header.

        Returns:
            All from the slot to the end of the file, or None where there is nothing.
        """
        slot = request.slot
        if slot is None or not (self._allowed and request.session):
            return None
        file = _File(slot.process, slot.descriptor, slot.token)
        if file != self._file:
            self._file, self._content = file, self._map(slot)
        return None if self._content is None else self._content[slot.offset :]

    def forget(self) -> None:
        """Let go of a learner's memory, as the learner has gone."""
        self._file = self._content = None

    def _map(self, slot: Slot) -> NDArray[np.uint8] | None:
        try:
            content = _map(slot)
        except (OSError, ProtocolError, ValueError) as error:
            text = (
                "a learner shares memory that is not to be had here, so that frames of samples go "
                "through the socket: %s"
            )
            self._complaints.say(logging.INFO, "shared", text, str(error))
            return None
        text = "frames of samples are written into memory that the learner shares, %.1f MB"
        self._complaints.say(logging.INFO, "written", text, len(content) / 1e6)
        return content


def _map(slot: Slot) -> NDArray[np.uint8]:
    """Map a client's file.

    Raises:
        OSError: when there is none that this process may open: another host, container or user.
        ProtocolError: when it is not one to be written to.
    """
    path = f"/proc/{slot.process}/fd/{slot.descriptor}"
    _check(Path(path).stat(), path)  # before: to open something else may do something
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        _check(status, path)
        if not fcntl.fcntl(descriptor, _GET_SEALS) & _SEAL_SHRINK:
            raise ProtocolError(f"{path} is not sealed: it could shrink while it is written to")
        content = np.frombuffer(mmap.mmap(descriptor, status.st_size), np.uint8)
    finally:
        os.close(descriptor)
    if content[: _TOKEN.itemsize].view(_TOKEN)[0] != slot.token:
        raise ProtocolError(f"{path} does not begin with the token that came with the request")
    return content


def _check(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise ProtocolError(f"{path} is no file of the user that this memory runs as")
    if not SLOTS_AT < status.st_size <= MOST_SHARED_BYTES:
        raise ProtocolError(
            f"{path} has {status.st_size} bytes; more than {SLOTS_AT} and at most "
            f"{MOST_SHARED_BYTES} are shared"
        )
