"""One maker of sockets for each role: whatever a socket needs besides its address is known here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from weakref import WeakSet

import zmq

from zdqn.closing import Closing
from zdqn.errors import AddressInUseError
from zdqn.wire.addresses import Address
from zdqn.wire.diagnosis import HINTS, Cause, diagnose, error_of
from zdqn.wire.keys.gatekeeper import Gatekeeper
from zdqn.wire.keys.permissions import LinkName
from zdqn.wire.keys.role_keys import RoleKeys
from zdqn.wire.protocol import ServerRole
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


@dataclass(frozen=True)
class _Maker:
    """Makes sockets, and puts on each what its link needs."""

    context: Context
    prepare: Callable[[zmq.Socket[bytes]], None]

    def socket(self, kind: int) -> zmq.Socket[bytes]:
        made = self.context.socket(kind)
        self.prepare(made)
        return made


class Node(Closing):
    """A role's place in the network, and the only one that makes its sockets.

    Several roles may share a context (and so libzmq's threads); each has a node of its own, as
    what belongs to one role, such as its keys, cannot live in a context.

    Args:
        context: where the sockets live, left open at the end; None for one of the node's own. With
            keys it is not used: ZeroMQ has one guard for all servers of a context.
        keys: of the role, put on every socket; None for links that anybody may join.
    """

    def __init__(self, context: Context | None = None, *, keys: RoleKeys | None = None) -> None:
        shared = context if keys is None else None
        self._owned = Context() if shared is None else None
        self._context = shared or self._owned
        self._keys = keys
        self._gate: Gatekeeper | None = None
        self._links: WeakSet[Link] = WeakSet()

    @property
    def has_keys(self) -> bool:
        """Whether only those with an allowed key take part."""
        return self._keys is not None

    def _to(self, server: ServerRole) -> _Maker:
        """Give what makes sockets that connect to a server."""

        def prepare(socket: zmq.Socket[bytes]) -> None:
            if self._keys is not None:
                socket.curve_publickey = self._keys.own.pair.public
                socket.curve_secretkey = self._keys.own.pair.secret
                socket.curve_serverkey = self._keys.servers[server]

        assert self._context is not None
        return _Maker(self._context, prepare)

    def _at(self, link: LinkName) -> _Maker:
        """Give what makes sockets that are bound."""
        assert self._context is not None
        if self._keys is not None and self._gate is None:
            self._gate = Gatekeeper(self._context, self._keys)
        gate = self._gate
        return _Maker(self._context, lambda socket: gate.guard(socket, link) if gate else None)

    def client(self, address: Address, server: ServerRole) -> Client:
        """Connect to a server, one request at a time.

        Args:
            address: of the server.
            server: which one is there.
        """
        explain = partial(self._explain, address, server)
        return Client(self._to(server), address, explain=explain, has_keys=self.has_keys)

    def look(self, address: Address, server: ServerRole) -> tuple[Cause, bytes]:
        """Find out why a server does not answer; see `zdqn.wire.diagnosis`."""
        return diagnose(self._to(server), address, has_keys=self.has_keys)

    def _explain(self, address: Address, server: ServerRole, name: str) -> str:
        cause, said = self.look(address, server)
        if cause in HINTS:
            return HINTS[cause]
        key = str(self._keys.own) if self._keys is not None else ""
        raise error_of(cause, said, server=name, address=address, key=key)

    def pipelined_client(self, address: Address, server: ServerRole) -> PipelinedClient:
        """Connect to a server, several requests on their way; see `client`."""
        made = PipelinedClient(self._to(server), address, has_keys=self.has_keys)
        return self._connected(made)

    def _connected(self, link: LinkT) -> LinkT:
        self._links.add(link)
        return link

    def sender(
        self,
        address: Address,
        *,
        high_water_mark: int,
        buffer_bytes: int,
        watched: bool = False,
    ) -> TransitionSender:
        """Connect to where a memory takes transitions.

        Args:
            address: of the memory's transitions.
            high_water_mark: blocks that may wait at this end.
            buffer_bytes: of the kernel, for what has left this process.
            watched: whether to be told of connections that end; see `TransitionSender.broke`.
        """
        return self._connected(
            TransitionSender(
                self._to("memory"),
                address,
                high_water_mark=high_water_mark,
                buffer_bytes=buffer_bytes,
                watched=watched,
                has_keys=self.has_keys,
            )
        )

    def subscriber(self, address: Address) -> WeightSubscriber:
        """Connect to where a learner publishes its weights."""
        made = WeightSubscriber(self._to("learner"), address, has_keys=self.has_keys)
        return self._connected(made)

    def server(self, address: Address, role: ServerRole) -> Server:
        """Bind a REQ/REP server.

        Args:
            address: where.
            role: which server it is.

        Raises:
            AddressInUseError: when another process holds the address.
            ConfigError: when it cannot be bound on this machine.
        """
        maker = self._at("samples" if role == "memory" else "model")
        identify = self._gate.identify if self._gate is not None else None
        return self._guarded(Server(maker, address, identify=identify))

    def _guarded(self, link: LinkT) -> LinkT:
        if self._gate is not None:
            self._gate.take_over(link)
        return link

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
        return self._guarded(
            TransitionReceiver(
                self._at("transitions"),
                address,
                high_water_mark=high_water_mark,
                buffer_bytes=buffer_bytes,
                closed=closed,
            )
        )

    def publisher(self, address: Address) -> WeightPublisher:
        """Bind where a learner publishes its weights; raises as `server` does."""
        return self._guarded(WeightPublisher(self._at("weights"), address))

    def server_and(
        self, data: Callable[[Address], LinkT], address: Address, role: ServerRole
    ) -> tuple[Server, LinkT]:
        """Bind a server and its one-way socket side by side; see `bind_pair`.

        Args:
            data: binds the one-way socket: `receiver` or `publisher`.
            address: of the server; port 0 finds two free ports.
            role: which server it is.

        Raises:
            AddressInUseError: when another process holds one of the addresses.
            ConfigError: when one cannot be bound on this machine.
        """
        return bind_pair(lambda where: self.server(where, role), data, address)

    def read_keys_again(self) -> None:
        """Have a server read now who is let in; see `Gatekeeper`."""
        if self._gate is not None:
            self._gate.read_again()

    def close(self) -> None:
        """Close the context, if it is the node's own, and every socket in it."""
        if self._gate is not None:
            self._gate.close()
            self._gate = None
        for link in self._links:
            link.look_no_more()
        if self._owned is not None:
            self._owned.close()
