"""A client's stay with a server: hello, signs of life, goodbye."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from zdqn.errors import (
    FencedError,
    MismatchError,
    PeerUnavailableError,
    ProtocolError,
    ZdqnError,
)
from zdqn.wire import codec, protocol
from zdqn.wire.addresses import Address
from zdqn.wire.protocol import (
    Acknowledged,
    ErrorReply,
    Goodbye,
    Header,
    Hello,
    Ping,
    Pong,
    Welcome,
)
from zdqn.wire.sockets import Client, Context

logger = logging.getLogger("zdqn")

Statistics = protocol.Statistics

PASSING_REFUSALS = ("not_serving", "stopping")
"""Codes of refusals that say something of the moment, not of the client."""

_REQUEST_TIMEOUT_S = 1.0
_SAY_EVERY_S = 10.0
_GOODBYE_TIMEOUT_S = 1.0


def new_session() -> int:
    """Draw the random number of a start of a process: 63 bits, never 0."""
    return secrets.randbits(62) + 1


def raise_refusal(reply: ErrorReply, server: str, address: Address) -> None:
    """Turn a refusal into the error that it stands for.

    Raises:
        FencedError: a newer learner has taken over.
        MismatchError: for every other reason.
    """
    kind = FencedError if reply.code == "fenced" else MismatchError
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
    *,
    server: str,
    timeout_s: float,
    stop: threading.Event | None = None,
) -> Reply | None:
    """Ask a server and decode its answer.

    Returns:
        The answer, or None if none came in time.

    Raises:
        MismatchError: when it refused, or answered what zdqn does not understand.
    """
    body = client.request(codec.encode(header), timeout_s=timeout_s, stop=stop)
    if body is None:
        return None
    try:
        message = codec.decode(body)
    except ProtocolError as error:
        raise MismatchError(f"The {server} at {client.address} answered: {error}") from error
    if isinstance(message.header, ErrorReply) and message.header.code not in PASSING_REFUSALS:
        raise_refusal(message.header, server, client.address)
    return Reply(message.header, message)


def wait_for(
    attempt: Callable[[], Reply | None],
    *,
    what: str,
    connect_timeout_s: float,
    stop: threading.Event,
) -> Reply | None:
    """Try until an answer comes, saying what is waited for.

    Args:
        attempt: asks once; takes about a second when nothing answers.
        what: such as "the memory at tcp://127.0.0.1:5556".
        connect_timeout_s: when to give up; 0 waits for ever.
        stop: gives up quietly when set.

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
                f"Nothing answered at {what} for {waited_s:.0f} s (links.connect_timeout_s). Is "
                f"it running, and is the address right? It prints its address when it starts."
            )
        if not said_s or waited_s - said_s > _SAY_EVERY_S:
            said_s = max(waited_s, 0.001)
            logger.info("waiting for %s (%.0f s)", what, waited_s)
    return None


class Membership:
    """Says hello to a server, and then tells it now and then that this client lives.

    After `join` a thread of its own pings, so that a slow environment or a long update does not
    look like death. When the server was restarted it says hello again.

    Args:
        context: where sockets live.
        address: of the server's REQ/REP socket.
        server: "memory" or "learner", for messages.
        hello: makes the hello; called again when the server was restarted.
        statistics: gives this client's numbers for a ping.
        stop: set from outside to end; set from here when the server is done or refuses.
        ping_period_s: between two pings.
        connect_timeout_s: how long to wait for the server; 0 is for ever.

    Attributes:
        pong: the last answer to a ping, or None.
        index: this client's place among the living of its role, as of the last welcome.
        failure: why the server refused to go on, or None.
        stopping: the server said that the run is over.
        silent_s: how long the server has not answered.
        address: of the server.
    """

    def __init__(
        self,
        context: Context,
        address: Address,
        *,
        server: str,
        hello: Callable[[], Hello],
        statistics: Callable[[], Statistics],
        stop: threading.Event,
        ping_period_s: float,
        connect_timeout_s: float,
    ) -> None:
        self._context = context
        self.address = address
        self._server = server
        self._hello = hello
        self._statistics = statistics
        self._stop = stop
        self._ping_period_s = ping_period_s
        self._connect_timeout_s = connect_timeout_s
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None
        self._answered_s = time.monotonic()
        self._silent = False
        self.index = 0
        self.pong: Pong | None = None
        self.failure: ZdqnError | None = None
        self.stopping = False

    @property
    def silent_s(self) -> float:
        """Seconds since the server last answered."""
        return time.monotonic() - self._answered_s

    def join(self) -> Welcome | None:
        """Say hello, waiting for the server, and start to ping.

        Returns:
            The welcome, or None if `stop` was set first.

        Raises:
            PeerUnavailableError: when nothing answered in time.
            MismatchError: when the server refused.
            FencedError: when a newer learner has taken over.
        """
        welcome = self.introduce()
        if welcome is None:
            return None
        self._answered_s = time.monotonic()
        self._thread = threading.Thread(
            target=self._ping_until_left, name=f"zdqn-ping-{self._server}", daemon=True
        )
        self._thread.start()
        return welcome

    def introduce(self) -> Welcome | None:
        """Say hello once more, with what the client has learned since, such as its spec.

        Returns:
            The welcome, or None if `stop` was set first, or the run is over (`stopping`).

        Raises:
            PeerUnavailableError: when nothing answered in time.
            MismatchError: when the server refused.
        """
        with Client(self._context, self.address) as client:
            reply = wait_for(
                lambda: self._say_hello(client, self._stop),
                what=f"the {self._server} at {self.address}",
                connect_timeout_s=self._connect_timeout_s,
                stop=self._stop,
            )
        if reply is None:
            return None
        if isinstance(reply.header, ErrorReply):
            self.stopping = True
            self._stop.set()
            return None
        return codec.expect(reply.message, Welcome)

    def _say_hello(self, client: Client, stop: threading.Event) -> Reply | None:
        reply = ask(
            client, self._hello(), server=self._server, timeout_s=_REQUEST_TIMEOUT_S, stop=stop
        )
        if reply is not None and isinstance(reply.header, Welcome):
            self.index = reply.header.index
        return reply

    def _ping_until_left(self) -> None:
        with Client(self._context, self.address) as client:
            while not self._leaving.wait(self._ping_period_s):
                try:
                    answered = self._ping(client)
                except ZdqnError as error:
                    self.failure = error
                    self._stop.set()
                    return
                if answered and self._silent:
                    logger.info("the %s at %s answers again", self._server, self.address)
                elif not answered and not self._silent:
                    logger.warning(
                        "the %s at %s does not answer; waiting for it",
                        self._server,
                        self.address,
                    )
                self._silent = not answered

    def _ping(self, client: Client) -> bool:
        ping = Ping(session=self._session, statistics=self._statistics())
        reply = ask(
            client, ping, server=self._server, timeout_s=_REQUEST_TIMEOUT_S, stop=self._leaving
        )
        if reply is None:
            return self._leaving.is_set()
        pong = codec.expect(reply.message, Pong)
        self._answered_s = time.monotonic()
        self.pong = pong
        if pong.stopping:
            self.stopping = True
            self._stop.set()
        elif not pong.known:
            logger.info("the %s does not know us (any more); saying hello again", self._server)
            self._say_hello(client, self._leaving)
        return True

    @property
    def _session(self) -> int:
        return self._hello().session

    def leave(self) -> None:
        """Say goodbye with the last numbers, and stop to ping. Only the first call does anything.

        A server that has not answered of late is not waited for.
        """
        self._leaving.set()
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        if self.failure is not None or self._silent:
            return
        with Client(self._context, self.address) as client:
            goodbye = Goodbye(session=self._session, statistics=self._statistics())
            try:
                reply = ask(client, goodbye, server=self._server, timeout_s=_GOODBYE_TIMEOUT_S)
            except ZdqnError:
                return  # it is not our server any more; there is nothing to tell it
            if reply is not None:
                codec.expect(reply.message, Acknowledged)

    def raise_failure(self) -> None:
        """Raise what made the server refuse to go on, if anything did."""
        if self.failure is not None:
            raise self.failure
