"""What a forked process has of its parent's servers: copies of their sockets, which it lets go of.

A worker that outlives a killed program, as its environment hangs, would keep the program's ports,
and the connections of clients that should find out that nobody is there.
"""

from __future__ import annotations

import os
from contextlib import suppress

from zdqn.wire.addresses import Address
from zdqn.wire.cutting import DESCRIPTORS, copy_of, is_at

_bound: set[Address] = set()


def note(address: Address) -> None:
    """Take note that this process has bound an address."""
    _bound.add(address)


def forget(address: Address) -> None:
    """Take note that this process has let go of an address."""
    _bound.discard(address)


def _close_copies() -> None:
    for entry in os.listdir(DESCRIPTORS) if _bound else ():  # noqa: PTH208
        with suppress(OSError):  # it may be none, as that of the folder itself
            with copy_of(int(entry)) as copy:
                ours = any(is_at(copy.getsockname(), address) for address in _bound)
            if ours:
                os.close(int(entry))
    _bound.clear()


os.register_at_fork(after_in_child=_close_copies)
