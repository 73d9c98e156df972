"""A TCP port that is kept for later: nobody else can listen there, and nobody is let in."""

from __future__ import annotations

import contextlib
import errno
import socket

from zdqn.closing import Closing
from zdqn.wire.addresses import Address, taken

_BACKLOG = 1_024
_BUFFER_BYTES = 4_096
"""Of the kernel, for what is sent to a port that is not served."""


class HeldPort(Closing):
    """Listens at a port and accepts nobody; who connects is cut off when it closes.

    ZeroMQ tries again then, and finds who listens instead.

    Args:
        address: tcp; port 0 takes a free one.

    Attributes:
        address: with the real port.

    Raises:
        AddressInUseError: when another process listens there.
        OSError: when it is no address of this machine as the kernel sees it.
    """

    def __init__(self, address: Address) -> None:
        family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            if address.is_ipv6:  # `::` is every address, as for libzmq
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            self._socket.bind((address.host, address.port))
            self._socket.listen(_BACKLOG)
        except OSError as error:
            self._socket.close()
            if error.errno == errno.EADDRINUSE:
                raise taken(address) from error
            raise
        self.address = Address("tcp", address.host, self._socket.getsockname()[1])

    def close(self) -> None:
        """Let go of the port, also where a process that was forked meanwhile has a copy."""
        with contextlib.suppress(OSError):  # closed already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
