"""Memory that a learner shares with a memory on the same host, for the frames of replies."""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import secrets
import sys
import weakref
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from zdqn.closing import Closing
from zdqn.wire.memory_messages import MOST_SHARED_BYTES, SLOTS_AT, Slot

logger = logging.getLogger("zdqn.learner")

Setting: TypeAlias = bool | Literal["auto"]

_WORTH_BYTES = 32 * 1024
"""Of a batch's frames; see ``links.shared_memory``. From 8 KiB on it is no slower."""
_IN_USE = 2
"""Replies that are not on their way: the one that is being read, and the one before it."""


class _Segment:
    """An anonymous file that lives as long as somebody has it open or mapped, cut into slots.

    Room for all of it is taken at once and cannot be taken away again: no process that writes to
    it or reads it can be killed for want of a page.

    Raises:
        OSError: when there is no room, or no such file on this system.
    """

    def __init__(self, slot_bytes: int, slots: int) -> None:
        if sys.platform != "linux":
            raise OSError("only Linux has such memory")
        if not slots:
            raise OSError(f"a reply has {slot_bytes} bytes, and {MOST_SHARED_BYTES} may be shared")
        nbytes = SLOTS_AT + slots * slot_bytes
        self._slot_bytes = slot_bytes
        self.token = secrets.randbits(63)
        self._descriptor = os.memfd_create("zdqn-samples", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.posix_fallocate(self._descriptor, 0, nbytes)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, seals)
            self._content = mmap.mmap(self._descriptor, nbytes)
        except OSError:
            self.close()
            raise
        self._content[:8] = self.token.to_bytes(8, "little")
        self._views: dict[int, weakref.ref[NDArray[np.uint8]] | None] = dict.fromkeys(
            range(SLOTS_AT, nbytes, slot_bytes)
        )
        self._offered: set[int] = set()

    def take(self) -> Slot | None:
        """Give a slot that neither is offered nor has an array that anybody still holds."""
        for offset, view in self._views.items():
            if offset not in self._offered and (view is None or view() is None):
                self._offered.add(offset)
                return Slot(
                    process=os.getpid(),
                    descriptor=self._descriptor,
                    token=self.token,
                    offset=offset,
                )
        return None

    def give_back(self, slot: Slot) -> None:
        self._offered.discard(slot.offset)

    def view(self, slot: Slot) -> NDArray[np.uint8]:
        """Take back a slot that was written to."""
        content = np.frombuffer(self._content, np.uint8, self._slot_bytes, slot.offset)
        content.flags.writeable = False
        self._views[slot.offset] = weakref.ref(content)  # all views of it hold on to it
        self.give_back(slot)
        return content

    def close(self) -> None:
        """Close the file; arrays of slots stay as they are for as long as they live."""
        os.close(self._descriptor)


class SharedSlots(Closing):
    """What is offered to a memory with sample requests, as long as it makes use of it.

    A slot is offered again when no array refers to it any more. Where all are in use, nothing is
    offered, and the frames of that reply come over the socket.

    Args:
        setting: ``links.shared_memory``.
        batch_bytes: of the frames of one batch; with "auto" too few of them are not worth it.
        slot_bytes: of the frames of the largest reply, > 0.
        requests_in_flight: of the learner, >= 1.
    """

    def __init__(
        self, setting: Setting, *, batch_bytes: int, slot_bytes: int, requests_in_flight: int
    ) -> None:
        self._wanted = batch_bytes >= _WORTH_BYTES if setting == "auto" else setting
        self._level = logging.WARNING if setting is True else logging.INFO
        self._slot_bytes = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        most = (MOST_SHARED_BYTES - SLOTS_AT) // self._slot_bytes
        self._slots = min(requests_in_flight + _IN_USE, most)
        self._segment: _Segment | None = None
        self._refused = False
        self._said = ""

    def take(self) -> Slot | None:
        """Give a slot to offer with a request; None where there is nothing to offer."""
        if not self._wanted or self._refused:
            return None
        if self._segment is None:
            try:
                self._segment = _Segment(self._slot_bytes, self._slots)
            except OSError as error:
                self._wanted = False
                self._say(self._level, "no memory can be shared with a memory", str(error))
                return None
        return self._segment.take()

    def give_back(self, slot: Slot | None) -> None:
        """Take back a slot that came to no use: there was no reply, or none with batches."""
        if slot is None:
            return
        segment = self._segment_of(slot)
        if segment is not None:
            segment.give_back(slot)

    def answered(self, slot: Slot | None, *, shared: bool) -> NDArray[np.uint8] | None:
        """Take back the slot of a request that was answered with batches.

        Args:
            slot: that was offered, if any.
            shared: whether the reply says that frames are there.

        Returns:
            What is in it, to be read only; None if there was none.
        """
        if slot is None:
            return None
        segment = self._segment_of(slot)
        if segment is None:
            return None
        if shared:
            self._say(logging.INFO, "frames of samples come through shared memory")
            return segment.view(slot)
        self._say(
            self._level,
            "frames of samples come over the socket",
            "the memory made no use of memory that it could share. It runs on another host, in "
            "another container or as another user, or with links.shared_memory = false; it logs "
            "which",
        )
        self.renew()
        self._refused = True
        return None

    def renew(self) -> None:
        """Let go of all: what was offered on an old connection may still be written to."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()
        self._refused = False

    def close(self) -> None:
        """Let go of all; arrays stay valid for as long as they live."""
        self.renew()
        self._wanted = False

    def _segment_of(self, slot: Slot) -> _Segment | None:
        """Give where a slot lies; None if that was let go."""
        segment = self._segment
        return segment if segment is not None and slot.token == segment.token else None

    def _say(self, level: int, what: str, why: str = "") -> None:
        """Say which way frames go, whenever that changes."""
        if what != self._said:
            self._said = what
            logger.log(level, "%s", f"{what}: {why}" if why else what)
