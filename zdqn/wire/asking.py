"""Asking a server: one question, its answer decoded, a refusal turned into its error."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from zdqn.errors import (
    FencedError,
    MismatchError,
    NotAllowedError,
    PeerUnavailableError,
    ProtocolError,
    ZdqnError,
)
from zdqn.wire import codec
from zdqn.wire.addresses import Address
from zdqn.wire.diagnosis import HINTS, Cause
from zdqn.wire.protocol import ErrorReply, Header, Refusal
from zdqn.wire.request_sockets import Client

logger = logging.getLogger("zdqn")

_SAY_EVERY_S = 10.0
_ERROR_OF: dict[Refusal, type[ZdqnError]] = {
    Refusal.FENCED: FencedError,
    Refusal.NOT_ALLOWED: NotAllowedError,
}


def raise_refusal(reply: ErrorReply, server: str, address: Address) -> None:
    """Turn a refusal into the error that it stands for.

    Raises:
        FencedError: a newer learner has taken over.
        NotAllowedError: this client's key does not allow it.
        MismatchError: for every other reason.
    """
    kind = _ERROR_OF.get(reply.code, MismatchError)
    raise kind(f"The {server} at {address} refused: {reply.message}")


@dataclass(frozen=True)
class Reply:
    """A decoded answer with its header.

    Attributes:
        header: the typed header.
        message: with the payload.
    """

    header: Header
    message: codec.Message


def ask(
    client: Client,
    header: Header,
    arrays: Sequence[NDArray[Any]] = (),
    *,
    server: str,
    timeout_s: float,
    stop: threading.Event | None = None,
    busy_s: float = 0.0,
) -> Reply | None:
    """Ask a server and decode its answer.

    Args:
        client: connected to it.
        header: of the question.
        arrays: its payload.
        server: what to call it in messages.
        timeout_s: how long to wait.
        stop: gives up quietly when set.
        busy_s: how long to wait besides for one that takes connections, and has not answered.

    Returns:
        The answer, or None if none came in time.

    Raises:
        MismatchError: when it refused, or answered what zdqn does not understand, or is no zdqn.
        NotAllowedError: when it wants a key, or does not allow this client's.
    """
    body = client.request(codec.encode(header, arrays), timeout_s=timeout_s, stop=stop)
    if body is None:
        if stop is None or not stop.is_set():
            client.find_out(server)
            if busy_s and client.hint == HINTS[Cause.CONNECTS]:
                return ask(client, header, arrays, server=server, timeout_s=busy_s, stop=stop)
        return None
    try:
        message = codec.decode(body)
    except ProtocolError as error:
        raise MismatchError(f"The {server} at {client.address} answered: {error}") from error
    if isinstance(message.header, ErrorReply) and not message.header.code.passes:
        raise_refusal(message.header, server, client.address)
    return Reply(message.header, message)


def wait_for(
    attempt: Callable[[], Reply | None],
    *,
    what: str,
    connect_timeout_s: float,
    stop: threading.Event,
    hint: Callable[[], str] = lambda: "",
) -> Reply | None:
    """Try until an answer comes, saying what is waited for.

    Args:
        attempt: asks once; takes about a second when nothing answers.
        what: such as "the memory at tcp://127.0.0.1:5556".
        connect_timeout_s: when to give up; 0 waits for ever.
        stop: gives up quietly when set.
        hint: says why nothing answers, to follow a sentence that says so; or "".

    Returns:
        The answer, or None if `stop` was set.

    Raises:
        PeerUnavailableError: after `connect_timeout_s`.
    """
    started_s = time.monotonic()
    said_s = 0.0
    while not stop.is_set():
        reply = attempt()
        waited_s = time.monotonic() - started_s
        if reply is not None:
            if said_s:
                logger.info("found %s after %.0f s", what, waited_s)
            return reply
        if connect_timeout_s and waited_s > connect_timeout_s:
            raise PeerUnavailableError(
                f"Nothing answered at {what} for {waited_s:.0f} s (links.connect_timeout_s)"
                f"{hint()}. Is it running, and is the address right? It prints its address when "
                f"it starts."
            )
        if not said_s or waited_s - said_s > _SAY_EVERY_S:
            said_s = max(waited_s, 0.001)
            logger.info("waiting for %s (%.0f s)%s", what, waited_s, hint())
    return None
