"""A client's stay with a server: hello, signs of life, goodbye; its desk is `zdqn.wire.desk`."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable

import msgspec

from zdqn.errors import ZdqnError
from zdqn.wire import codec
from zdqn.wire.addresses import Address
from zdqn.wire.asking import Reply, ask, wait_for
from zdqn.wire.field_types import Statistics
from zdqn.wire.node import Node
from zdqn.wire.protocol import (
    Acknowledged,
    Delivery,
    ErrorReply,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Refusal,
    ServerRole,
    Welcome,
)
from zdqn.wire.releases import describe_difference, release_of, tell_release
from zdqn.wire.request_sockets import Client

logger = logging.getLogger("zdqn")

_REQUEST_TIMEOUT_S = 1.0
_GOODBYE_TIMEOUT_S = 1.0


def new_session() -> int:
    """Draw the random number of a start of a process: 53 bits, never 0."""
    return secrets.randbits(52) + 1


class Membership:
    """Says hello to a server, and then tells it now and then that this client lives.

    After `join` a thread of its own pings, so that a slow environment or a long update does not
    look like death. When the server was restarted it says hello again.

    Args:
        node: makes sockets.
        address: of the server's REQ/REP socket.
        server: which one is to be there.
        hello: makes the hello; called again when the server was restarted.
        statistics: gives this client's numbers for a ping.
        stop: set from outside to end; set from here when the server is done or refuses.
        ping_period_s: between two pings.
        connect_timeout_s: how long to wait for the server; 0 is for ever.
        after_ping: called in the thread that pings after each answer, to ask for more.
        on_delivery: told there, too, what the answer says of this client's blocks; raises where
            there is no use in going on.

    Attributes:
        pong: the last answer to a ping, or None.
        pong_s: when it came, by `time.monotonic`; None before the first.
        index: this client's place among the living of its role, as of the last welcome.
        failure: why the server refused to go on, or None.
        stopping: the server said that the run is over.
        address: of the server.
        silent: the server did not answer the last ping.
        server_sessions: of each start of the server that has answered, in order.
        release: of the zdqn that the server says it is of; "" before it has.
    """

    def __init__(
        self,
        node: Node,
        address: Address,
        *,
        server: ServerRole,
        hello: Callable[[], Hello],
        statistics: Callable[[], Statistics],
        stop: threading.Event,
        ping_period_s: float,
        connect_timeout_s: float,
        after_ping: Callable[[Client], None] | None = None,
        on_delivery: Callable[[Delivery | None], None] | None = None,
    ) -> None:
        self._node = node
        self._after_ping = after_ping
        self._on_delivery = on_delivery
        self.address = address
        self._server = server
        self._hello = hello
        self._statistics = statistics
        self._stop = stop
        self._ping_period_s = ping_period_s
        self._connect_timeout_s = connect_timeout_s
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None
        self.silent = False
        self.index = 0
        self.pong: Pong | None = None
        self.pong_s: float | None = None
        self.failure: ZdqnError | None = None
        self.stopping = False
        self.server_sessions: tuple[int, ...] = ()
        self.release = ""

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
        with self._node.client(self.address, self._server) as client:
            reply = wait_for(
                lambda: self._say_hello(client, self._stop),
                what=f"the {self._server} at {self.address}",
                connect_timeout_s=self._connect_timeout_s,
                stop=self._stop,
                hint=lambda: client.hint,
            )
        if reply is None:
            return None
        if isinstance(reply.header, ErrorReply):
            self._take_end()
            return None
        welcome = codec.expect(reply.message, Welcome)
        self._look_at_release(welcome)
        return welcome

    def _say_hello(self, client: Client, stop: threading.Event) -> Reply | None:
        said = self._hello()
        capabilities = (*said.capabilities, *tell_release())
        hello = msgspec.structs.replace(said, to=self._server, capabilities=capabilities)
        reply = ask(client, hello, server=self._server, timeout_s=_REQUEST_TIMEOUT_S, stop=stop)
        if reply is not None and isinstance(reply.header, ErrorReply):
            if reply.header.code is Refusal.STOPPING:
                return reply
            logger.warning("the %s cannot take us now: %s", self._server, reply.header.message)
            stop.wait(_REQUEST_TIMEOUT_S)
            return None  # as good as no answer: it is asked again
        if reply is not None and isinstance(reply.header, Welcome):
            self.index = reply.header.index
            self._met(reply.header.session)
        return reply

    def _met(self, session: int) -> None:
        if session not in self.server_sessions:
            self.server_sessions += (session,)

    def _look_at_release(self, welcome: Welcome) -> None:
        """Say of which zdqn the server is, if it is another; once for each."""
        before, self.release = self.release, release_of(welcome.capabilities)
        if self.release != before:
            server = f"the {self._server} at {self.address}"
            if difference := describe_difference(server, self.release, self._hello().role):
                logger.warning("%s", difference)

    def _ping_until_left(self) -> None:
        with self._node.client(self.address, self._server) as client:
            while not self._leaving.wait(self._ping_period_s):
                try:
                    answered = self._ping(client)
                except ZdqnError as error:
                    self.failure = error
                    self._stop.set()
                    return
                if not answered and not self.silent:
                    logger.warning(
                        "the %s at %s does not answer; waiting for it%s",
                        self._server,
                        self.address,
                        client.hint,
                    )
                self.silent = not answered

    def _ping(self, client: Client) -> bool:
        ping = Ping(session=self._session, statistics=self._statistics())
        reply = ask(
            client, ping, server=self._server, timeout_s=_REQUEST_TIMEOUT_S, stop=self._leaving
        )
        if reply is None:
            return self._leaving.is_set()
        pong = codec.expect(reply.message, Pong)
        if self.silent:
            logger.info("the %s at %s answers again", self._server, self.address)
        self.pong, self.pong_s = pong, time.monotonic()
        is_new = pong.session not in self.server_sessions
        self._met(pong.session)
        if self._after_ping is not None:
            self._after_ping(client)
        if self._on_delivery is not None and not pong.stopping:
            self._on_delivery(pong.delivery)
        if pong.stopping:
            self._take_end()
        elif not pong.known:
            self._join_again(client, "was started anew" if is_new else "had forgotten this one")
        return True

    def _join_again(self, client: Client, why: str) -> None:
        """Say hello to a server that does not know this client, and say so when it does."""
        reply = self._say_hello(client, self._leaving)
        if reply is not None and isinstance(reply.header, Welcome):
            self._look_at_release(reply.header)
            role = self._hello().role
            logger.info("the %s %s; joined it again as %s %d", self._server, why, role, self.index)

    def _take_end(self) -> None:
        if not self.stopping:
            logger.info("the %s at %s says that the run is over", self._server, self.address)
        self.stopping = True
        self._stop.set()

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
        if self.failure is not None or self.silent:
            return
        with self._node.client(self.address, self._server) as client:
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
