"""Questions that anybody may ask a running server: how it does, and whether it would stop."""

from __future__ import annotations

from typing import Any

from zdqn.errors import PeerUnavailableError
from zdqn.wire import codec
from zdqn.wire.addresses import check_resolves, parse_address
from zdqn.wire.asking import Reply, ask
from zdqn.wire.node import Node
from zdqn.wire.protocol import Acknowledged, Header, Status, StatusRequest, Stop


def fetch_status(address: str, timeout_s: float) -> dict[str, Any]:
    """Ask a memory or learner what it is doing.

    Args:
        address: of its REQ/REP socket.
        timeout_s: how long to wait.

    Returns:
        Nested maps of numbers and words; ``role`` says which server it is.

    Raises:
        PeerUnavailableError: when nothing answered.
        MismatchError: when what answered is no zdqn of this protocol version.
        ConfigError: when the address is malformed.
    """
    reply = _ask_once(address, StatusRequest(), timeout_s)
    status = codec.expect(reply.message, Status)
    return {"role": status.role, **status.values}


def request_stop(address: str, reason: str, timeout_s: float) -> None:
    """Ask a server to end cleanly; a learner ends the whole run.

    Args:
        address: of its REQ/REP socket.
        reason: who asks, for its log.
        timeout_s: how long to wait for its word.

    Raises:
        PeerUnavailableError: when nothing answered.
        MismatchError: when what answered is no zdqn of this protocol version.
        ConfigError: when the address is malformed.
    """
    codec.expect(_ask_once(address, Stop(reason=reason), timeout_s).message, Acknowledged)


def _ask_once(text: str, header: Header, timeout_s: float) -> Reply:
    address = parse_address(text, parameter="the address")
    check_resolves(address, parameter="the address")
    with Node() as node, node.client(address) as client:
        reply = ask(client, header, server="server", timeout_s=timeout_s)
    if reply is None:
        raise PeerUnavailableError(
            f"Nothing answered at {address} within {timeout_s:g} s. Is the run still going?"
        )
    return reply
