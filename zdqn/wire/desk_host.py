"""The server that a desk stands in: what the desk asks of it, and what it tells clients of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from zdqn.data import EnvironmentSpec
from zdqn.wire.client_config import ClientConfig
from zdqn.wire.field_types import Statistics
from zdqn.wire.peers import Peer
from zdqn.wire.protocol import Hello


@dataclass(frozen=True)
class Particulars:
    """What one server tells in a welcome, and another not.

    Attributes:
        data_endpoint: where the link's one-way socket is bound.
        spec: the environment's spec, if it is known.
        seed: the run's seed.
        settings: what every client must know of the configuration.
        capabilities: of the server.
        config: the whole configuration as nested maps, for who wants it.
        memory: address of the memory's REQ/REP socket.
    """

    data_endpoint: str
    spec: EnvironmentSpec | None
    seed: int
    settings: ClientConfig
    capabilities: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    memory: str = ""


class Host(Protocol):
    """The server that a desk stands in."""

    def admit(self, hello: Hello) -> None:
        """Agree with a client on what both act on.

        Raises:
            ZdqnError: when there can be no agreement; the client is refused with its text.
        """

    def particulars(self) -> Particulars:
        """Give what a client is told when it is welcome."""

    def is_over_for(self, role: str) -> bool:
        """Whether clients of a role should finish; "" is an unknown client."""

    def environment_steps(self) -> int:
        """Give the environment steps of all collectors, as far as is known."""

    def statistics(self, session: int) -> Statistics:
        """Give the numbers that go with a pong to this client."""

    def status(self) -> dict[str, Any]:
        """Answer a status request."""

    def stop(self, reason: str) -> None:
        """End, as somebody asks for it."""

    def departed(self, peer: Peer, *, died: bool) -> None:
        """Take note that a client said goodbye, or fell silent for too long."""
