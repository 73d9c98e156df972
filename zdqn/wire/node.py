"""One maker of sockets for each role: whatever a socket needs besides its address is known here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import zmq

from zdqn.closing import Closing
from zdqn.errors import AddressInUseError
from zdqn.wire.addresses import Address
from zdqn.wire.request_sockets import Client, PipelinedClient, Server
from zdqn.wire.sockets import Context, Link
from zdqn.wire.transition_sockets import TransitionReceiver, TransitionSender
from zdqn.wire.weight_sockets import WeightPublisher, WeightSubscriber

LinkT = TypeVar("LinkT", bound=Link)
_PAIR_ATTEMPTS = 100


def bind_pair(
    server: Callable[[Address], Server], data: Callable[[Address], LinkT], address: Address
) -> tuple[Server, LinkT]:
    """Bind a server and its one-way socket, which lies a port below; port 0 finds a free pair.

    That the second address follows from the first is what lets a killed role come back at both.

    Args:
        server: binds the REQ/REP socket.
        data: binds the one-way socket.
        address: of the first.

    Raises:
        AddressInUseError: when one of the two is taken, or no free pair was found.
        ConfigError: when it cannot be bound on this machine.
    """
    for attempt in range(_PAIR_ATTEMPTS):
        first = server(address)
        try:
            return first, data(first.address.companion())
        except AddressInUseError:
            first.close()
            if address.transport == "ipc" or address.port or attempt == _PAIR_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


class Node(Closing):
    """A role's place in the network, and the only one that makes its sockets.

    Several roles may share a context (and so libzmq's threads); each has a node of its own, as
    what belongs to one role, such as its keys, cannot live in a context.

    Args:
        context: where the sockets live, left open at the end; None for one of the node's own.
    """

    def __init__(self, context: Context | None = None) -> None:
        self._owned = Context() if context is None else None
        self._context = context or self._owned

    def socket(self, kind: int) -> zmq.Socket[Any]:
        """Make a socket of a ZeroMQ kind; the links below are made of such."""
        assert self._context is not None
        return self._context.socket(kind)

    def client(self, address: Address) -> Client:
        """Connect to a server, one request at a time."""
        return Client(self, address)

    def pipelined_client(self, address: Address) -> PipelinedClient:
        """Connect to a server, several requests on their way."""
        return PipelinedClient(self, address)

    def sender(
        self, address: Address, *, high_water_mark: int, buffer_bytes: int
    ) -> TransitionSender:
        """Connect to where a memory takes transitions.

        Args:
            address: of the memory's transitions.
            high_water_mark: blocks that may wait at this end.
            buffer_bytes: of the kernel, for what has left this process.
        """
        return TransitionSender(
            self, address, high_water_mark=high_water_mark, buffer_bytes=buffer_bytes
        )

    def subscriber(self, address: Address) -> WeightSubscriber:
        """Connect to where a learner publishes its weights."""
        return WeightSubscriber(self, address)

    def server(self, address: Address) -> Server:
        """Bind a REQ/REP server.

        Raises:
            AddressInUseError: when another process holds the address.
            ConfigError: when it cannot be bound on this machine.
        """
        return Server(self, address)

    def receiver(
        self,
        address: Address,
        *,
        high_water_mark: int,
        buffer_bytes: int,
        closed: bool = False,
    ) -> TransitionReceiver:
        """Bind where a memory takes transitions; raises as `server` does.

        Args:
            address: of the transitions.
            high_water_mark: blocks of one collector that may wait at this end.
            buffer_bytes: of the kernel, for what has not reached this process.
            closed: let nobody in until `TransitionReceiver.open`.
        """
        return TransitionReceiver(
            self,
            address,
            high_water_mark=high_water_mark,
            buffer_bytes=buffer_bytes,
            closed=closed,
        )

    def publisher(self, address: Address) -> WeightPublisher:
        """Bind where a learner publishes its weights; raises as `server` does."""
        return WeightPublisher(self, address)

    def server_and(
        self, data: Callable[[Address], LinkT], address: Address
    ) -> tuple[Server, LinkT]:
        """Bind a server and its one-way socket side by side; see `bind_pair`.

        Args:
            data: binds the one-way socket: `receiver` or `publisher`.
            address: of the server; port 0 finds two free ports.

        Raises:
            AddressInUseError: when another process holds one of the addresses.
            ConfigError: when one cannot be bound on this machine.
        """
        return bind_pair(self.server, data, address)

    def close(self) -> None:
        """Close the context, if it is the node's own, and every socket in it."""
        if self._owned is not None:
            self._owned.close()
