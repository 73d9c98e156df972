"""What anybody may ask a running server: how it does, how quick the way is, and to stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from zdqn.errors import PeerUnavailableError
from zdqn.wire import codec
from zdqn.wire.addresses import Address, check_resolves, parse_address
from zdqn.wire.asking import Reply, ask
from zdqn.wire.diagnosis import Cause
from zdqn.wire.keys.role_keys import RoleKeys
from zdqn.wire.model_messages import Configuration, ConfigurationRequest
from zdqn.wire.node import Node
from zdqn.wire.protocol import (
    MOST_ECHO_BYTES,
    Acknowledged,
    Echo,
    Header,
    ServerRole,
    Status,
    StatusRequest,
    Stop,
)
from zdqn.wire.request_sockets import Client

_ROUND_TRIPS = 50
_LARGE_ROUND_TRIPS = 8
"""Of `MOST_ECHO_BYTES` there and back."""


class LinkSpeed(NamedTuple):
    """How quick the way to a server and back is, its answering thread included.

    Attributes:
        round_trips_s: of messages without a payload, in ascending order.
        bytes_per_s: of large ones, those there and those back added.
    """

    round_trips_s: tuple[float, ...]
    bytes_per_s: float


def fetch_status(
    address: str,
    timeout_s: float,
    keys: RoleKeys | None = None,
    server: ServerRole | None = None,
    busy_s: float = 0.0,
) -> dict[str, Any]:
    """Ask a memory or learner what it is doing.

    Args:
        address: of its REQ/REP socket.
        timeout_s: how long to wait.
        keys: an operator's, where servers have keys.
        server: which one it is, if that is known.
        busy_s: how long to wait besides for one that takes connections, and has not answered.

    Returns:
        Nested maps of numbers and words; ``role`` says which server it is.

    Raises:
        PeerUnavailableError: when nothing answered.
        MismatchError: when what answered is no zdqn of this protocol version.
        NotAllowedError: when it wants a key, or does not allow this one.
        ConfigError: when the address is malformed.
    """
    reply = _ask_once(address, StatusRequest(), timeout_s, keys, server, busy_s)
    status = codec.expect(reply.message, Status)
    return {"role": status.role, **status.values}


def fetch_configuration(
    address: str, timeout_s: float, keys: RoleKeys | None = None
) -> dict[str, Any]:
    """Ask a learner for the configuration of its run.

    Args:
        address: of its REQ/REP socket.
        timeout_s: how long to wait.
        keys: an operator's, where servers have keys.

    Returns:
        Nested maps, section to key to value. It came by the network: code that it names must not be
        run for that alone.

    Raises:
        PeerUnavailableError: when nothing answered.
        MismatchError: when what answered does not tell it: no learner, or an older one.
        NotAllowedError: when it wants a key, or does not allow this one.
        ConfigError: when the address is malformed.
    """
    reply = _ask_once(address, ConfigurationRequest(), timeout_s, keys, "learner", 0.0)
    return codec.expect(reply.message, Configuration).values


def request_stop(
    address: str,
    reason: str,
    timeout_s: float,
    keys: RoleKeys | None = None,
    server: ServerRole | None = None,
    busy_s: float = 0.0,
) -> None:
    """Ask a server to end cleanly; a learner ends the whole run.

    Args:
        address: of its REQ/REP socket.
        reason: who asks, for its log.
        timeout_s: how long to wait for its word.
        keys: an operator's, where servers have keys.
        server: which one it is, if that is known.
        busy_s: how long to wait besides for one that takes connections, and has not answered.

    Raises:
        PeerUnavailableError: when nothing answered.
        MismatchError: when what answered is no zdqn of this protocol version.
        NotAllowedError: when it wants a key, or does not allow this one.
        ConfigError: when the address is malformed.
    """
    reply = _ask_once(address, Stop(reason=reason), timeout_s, keys, server, busy_s)
    codec.expect(reply.message, Acknowledged)


def measure_link(
    address: str,
    timeout_s: float,
    keys: RoleKeys | None = None,
    server: ServerRole | None = None,
) -> LinkSpeed:
    """Send messages there and back for a moment.

    Args:
        address: of a server's REQ/REP socket.
        timeout_s: how long to wait for each answer; no other large one is sent after so long.
        keys: an operator's, where servers have keys.
        server: which one it is, if that is known.

    Raises:
        PeerUnavailableError: when an answer did not come.
        MismatchError: when what answered is no zdqn of this protocol version.
        NotAllowedError: when it wants a key, or does not allow this one.
        ConfigError: when the address is malformed.
    """
    with _client(address, keys, server) as client:

        def round_trip_s(nbytes: int) -> float:
            payload = [np.zeros(nbytes, np.uint8)]
            started_s = time.perf_counter()
            echo, name = Echo(nbytes=nbytes), server or "server"
            reply = ask(client, echo, payload, server=name, timeout_s=timeout_s)
            if reply is None:
                raise _no_answer(client, timeout_s)
            codec.expect(reply.message, Echo)
            return time.perf_counter() - started_s

        round_trip_s(0)  # it connects
        small = sorted(round_trip_s(0) for _ in range(_ROUND_TRIPS))
        large_s = [round_trip_s(MOST_ECHO_BYTES)]
        while len(large_s) < _LARGE_ROUND_TRIPS and sum(large_s) < timeout_s:
            large_s.append(round_trip_s(MOST_ECHO_BYTES))
    return LinkSpeed(tuple(small), 2 * MOST_ECHO_BYTES * len(large_s) / sum(large_s))


def _ask_once(
    text: str,
    header: Header,
    timeout_s: float,
    keys: RoleKeys | None,
    server: ServerRole | None,
    busy_s: float,
) -> Reply:
    name = server or "server"
    with _client(text, keys, server) as client:
        reply = ask(client, header, server=name, timeout_s=timeout_s, busy_s=busy_s)
    if reply is None:
        raise _no_answer(client, timeout_s)
    return reply


@contextmanager
def _client(text: str, keys: RoleKeys | None, server: ServerRole | None) -> Iterator[Client]:
    address = parse_address(text, parameter="the address")
    check_resolves(address, parameter="the address")
    with Node(keys=keys) as node:
        known = server or _which_server(node, address)
        with node.client(address, known) as client:
            yield client


def _which_server(node: Node, address: Address) -> ServerRole:
    """Tell which server is at an address by whose key it has; any will do without keys."""
    if node.has_keys and node.look(address, "learner")[0] is Cause.OTHER_SERVER_KEY:
        return "memory"
    return "learner"


def _no_answer(client: Client, timeout_s: float) -> PeerUnavailableError:
    return PeerUnavailableError(
        f"Nothing answered at {client.address} within {timeout_s:g} s{client.hint}. Is the run "
        f"still going?"
    )
