"""Ending the connections that a server has accepted, whatever ZeroMQ thinks of them.

libzmq asks once who a client is, when it connects, and has no way to end one connection of a bound
socket. The kernel has: libzmq finds the connection broken, the client connects anew, and is asked
again.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from zdqn.wire.addresses import Address

DESCRIPTORS = Path("/dev/fd")
"""Of this process."""


def cut(address: Address, hosts: Collection[str] | None = None) -> int:
    """End the connections of this process that were accepted at an address.

    Args:
        address: that is bound here.
        hosts: IP addresses; others are left alone. None ends all.

    Returns:
        How many were ended.
    """
    return sum(_cut_one(int(entry), address, hosts) for entry in os.listdir(DESCRIPTORS))  # noqa: PTH208


def _cut_one(descriptor: int, address: Address, hosts: Collection[str] | None) -> bool:
    with suppress(OSError), copy_of(descriptor) as copy:  # it may be closed by now
        here, there = copy.getsockname(), copy.getpeername()
        if is_at(here, address) and _is_from(there, hosts):
            copy.shutdown(socket.SHUT_RDWR)
            return True
    return False


def copy_of(descriptor: int) -> socket.socket:
    """Give a connection by another descriptor, which stays what it is whoever closes the first.

    Raises:
        OSError: when it is no socket, or closed.
    """
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def is_at(here: object, address: Address) -> bool:
    """Whether the near end of a connection, as the kernel gives it, is at an address."""
    if isinstance(here, tuple):
        return address.transport == "tcp" and here[1] == address.port
    return address.transport == "ipc" and here == address.path


def _is_from(there: object, hosts: Collection[str] | None) -> bool:
    return hosts is None or not isinstance(there, tuple) or there[0] in hosts


def peer_of(descriptor: int) -> str:
    """Say who is at the other end of a connection of this process; "" if it has gone."""
    with suppress(OSError), copy_of(descriptor) as copy:
        there = copy.getpeername()
        return str(there[0]) if isinstance(there, tuple) else "this machine"
    return ""
