"""The desk of a server: what every server answers alike, and who its clients are.

Hello, ping, goodbye, status and stop, the run that it belongs to, dead peers and refusals: once,
for every server there is. What only one server answers is given as handlers. The client's side of
the same is `zdqn.wire.membership`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from zdqn.errors import FencedError, MismatchError, NotAllowedError, ProtocolError, ZdqnError
from zdqn.wire import codec
from zdqn.wire.descriptor_watch import DescriptorWatch
from zdqn.wire.desk_host import Host
from zdqn.wire.field_types import Statistics
from zdqn.wire.keys.allow_list import Caller
from zdqn.wire.keys.permissions import check_allowed
from zdqn.wire.peers import Peer, PeerTable
from zdqn.wire.protocol import (
    LOWEST_VERSION,
    PROTOCOL_VERSION,
    WANTS_CONFIGURATION,
    Acknowledged,
    Delivery,
    Echo,
    ErrorReply,
    Goodbye,
    Header,
    Hello,
    Ping,
    Pong,
    Refusal,
    ServerRole,
    Spec,
    Status,
    StatusRequest,
    Stop,
    Welcome,
)
from zdqn.wire.quiet_log import QuietLog
from zdqn.wire.releases import describe_difference, own_release, release_of, tell_release
from zdqn.wire.request_sockets import Request, Server
from zdqn.wire.status import OF_CLIENTS

_PEERS_EVERY_S = 0.5
_MOST_STATISTICS_BYTES = 2048
_MOST_TEXT = 12_000
"""Characters of a refusal's text, at most 4 bytes each: it must fit into a header."""
_LINKS = {"memory": "samples", "learner": "model"}
"""Server to the name of the link on which it answers."""

Handler: TypeAlias = Callable[[Request, Any, codec.Message], Header | bytes | None]
"""Takes a request, its typed header and the message. Gives the answer, written already if it has
arrays; None if it has answered, or will."""


class RefusedError(ZdqnError):
    """A server will not serve this request, for a reason other than a fault in it.

    Args:
        code: why.
        message: one paragraph for a person.
    """

    def __init__(self, code: Refusal, message: str) -> None:
        super().__init__(message)
        self.code = code


def refusal(error: ZdqnError) -> ErrorReply:
    """Tell a client why it is refused."""
    if isinstance(error, RefusedError):
        code = error.code
    elif isinstance(error, FencedError):
        code = Refusal.FENCED
    elif isinstance(error, NotAllowedError):
        code = Refusal.NOT_ALLOWED
    elif isinstance(error, ProtocolError):
        code = Refusal.PROTOCOL
    else:
        code = Refusal.MISMATCH
    return ErrorReply(code=code, message=str(error)[:_MOST_TEXT])


class Desk:
    """Answers a server's requests.

    Used by one thread at a time.

    Args:
        role: of the server.
        host: the server itself.
        session: random number of this start of the server.
        run_id: of the run; "" if the server does not know yet.
        anew: how a server gets rid of a run that is over.
        dead_after_s: silence after which a client counts as dead.
        logger: of the server.
        handlers: message kind to what answers it, for what only this server answers.
        delivery: session to what became of its blocks, where a server takes any.
        clock: seconds that never go back.

    Attributes:
        run_id: of the run that the server belongs to, or "".
        peers: its clients.
    """

    def __init__(
        self,
        role: ServerRole,
        host: Host,
        *,
        session: int,
        dead_after_s: float,
        logger: logging.Logger,
        handlers: Mapping[type[Header], Handler],
        run_id: str = "",
        anew: str = "must be started anew",
        delivery: Callable[[int], Delivery | None] = lambda _session: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._delivery = delivery
        self._role: ServerRole = role
        self._host = host
        self._session = session
        self._logger = logger
        self._quiet = QuietLog(logger, clock=clock)
        self._clock = clock
        self._next_look_s = 0.0
        self._descriptors = DescriptorWatch(role, logger)
        self._handlers: dict[type[Header], Handler] = {
            Hello: self._hello,
            Ping: self._ping,
            Goodbye: self._goodbye,
            StatusRequest: self._status,
            Echo: self._echo,
            Stop: self._stop,
            **handlers,
        }
        self.run_id = run_id
        self._anew = anew
        self._is_sure_of_run = bool(run_id)
        self.peers = PeerTable(dead_after_s)

    def serve(self, server: Server, most: int, most_s: float = math.inf) -> int:
        """Answer the requests that have come.

        Clients that ask without end keep nobody else waiting: one request of each comes in turn,
        and what else the server has to do is due after so many, or so long.

        Args:
            server: where they come.
            most: how many at most.
            most_s: no other is begun after so many seconds; one is answered in any case.

        Returns:
            How many were taken.
        """
        until_s = self._clock() + most_s
        for taken in range(most):
            if taken and self._clock() >= until_s:
                return taken
            request = server.receive()
            if request is None:
                return taken
            answer = self.answer(request)
            if answer is not None:
                written = answer if isinstance(answer, bytes) else codec.encode(answer)
                server.reply(request, written)
        return most

    def answer(self, request: Request) -> Header | bytes | None:
        """Answer one request; None if its handler has answered, or will."""
        message = None
        try:
            message = codec.decode(request.body)
            if request.caller is not None:
                self._check_caller(request.caller, message.header)
            handler = self._handlers.get(type(message.header))
            if handler is None:
                name = message.header.kind.name
                raise ProtocolError(f"a {self._role} does not answer {name}")
            return handler(request, message.header, message)
        except ZdqnError as error:
            told = refusal(error)
            if not told.code.passes and told.code is not Refusal.NOT_ALLOWED:  # which is said
                self._complain(message, told)
            return told

    def _complain(self, message: codec.Message | None, told: ErrorReply) -> None:
        """Log a refusal, and of whom."""
        header = message.header if message is not None else None
        session = getattr(header, "session", None)
        peer = self.peers.peers.get(session) if session is not None else None
        name = peer.name if peer is not None else getattr(header, "name", "somebody")
        asked = header.kind.name if header is not None else "a message"
        kind = ("refused", peer.session if peer is not None else None, told.code)
        self._quiet.say(logging.WARNING, kind, "refused %s of %s: %s", asked, name, told.message)

    def _check_caller(self, caller: Caller, header: Header) -> None:
        """Refuse, and log, what the key that a request came with does not allow."""
        try:
            check_allowed(caller, self._role, header)
        except NotAllowedError as error:
            kind = ("not allowed", caller.public, header.kind)
            self._quiet.say(logging.WARNING, kind, "refused: %s", error)
            raise

    def belong_to(self, run_id: str, *, sure: bool) -> None:
        """Take over the run of a client that was admitted; clients of another are forgotten.

        Args:
            run_id: of the run.
            sure: whether a learner said so. What a collector said holds until a learner comes: it
                may have outlived its run.
        """
        self.run_id = run_id
        self._is_sure_of_run = self._is_sure_of_run or sure
        for peer in self.peers.forget_other_runs(run_id):
            self._logger.warning(
                "%s belongs to run %s, not to %s: it is no client any more",
                peer.name,
                peer.run_id,
                run_id,
            )

    def look_after_peers(self) -> None:
        """Notice who has fallen silent, and that nobody can come; cheap, and to be called often."""
        now_s = self._clock()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _PEERS_EVERY_S
        self._descriptors.look()
        for peer in self.peers.newly_dead(now_s):
            dead = ("dead", peer.session)
            text = "%s has been silent for %.0f s: taken for dead%s"
            who, but = self._name_dead(peer)
            self._quiet.say(logging.WARNING, dead, text, who, now_s - peer.last_seen_s, but)
            self._host.departed(peer, died=True)

    def _name_dead(self, peer: Peer) -> tuple[str, str]:
        """Name who is dead, and who has its name and lives: most often it was started again."""
        namesakes = [other for other in self.living(peer.role) if other.name == peer.name]
        if not namesakes:
            return peer.name, ""
        now = namesakes[-1]
        named = f"{peer.name} ({peer.role} {peer.index})"
        who = f"the {peer.role}" if peer.name == peer.role else named
        return f"an earlier start of {who}", f"; {now.name} is here as {now.role} {now.index}"

    def living(self, role: str) -> list[Peer]:
        """Give the living clients of a role, by index."""
        return self.peers.living(role, self._clock())

    def describe_clients(self) -> list[Statistics]:
        """Give a row for each client, for status."""
        return self.peers.describe(self._clock())

    # --- handlers -------------------------------------------------------------------------------

    def _hello(self, request: Request, hello: Hello, _message: codec.Message) -> Welcome:
        if self._host.is_over_for(hello.role):
            raise RefusedError(Refusal.STOPPING, "this run is over")
        full = self.peers.why_full(hello.session, request.sender)
        if full:
            raise RefusedError(Refusal.NOT_SERVING, full)
        version = _agree_on_version(hello)
        self._check_addressee(hello)
        self._check_run(hello)
        self._host.admit(hello)
        met = hello.session in self.peers.peers
        peer = self.peers.hello(
            hello.role,
            hello.name,
            hello.session,
            self._clock(),
            hello.run_id,
            request.sender,
            request.host,
            release := release_of(hello.capabilities),
        )
        if not met:
            joined = ("joined", hello.session)
            text = "%s has joined as %s %d"
            self._quiet.say(logging.INFO, joined, text, hello.name, hello.role, peer.index)
            if difference := describe_difference(hello.name, release, self._role):
                self._quiet.say(logging.WARNING, ("release", hello.session), "%s", difference)
        told = self._host.particulars()
        return Welcome(
            run_id=self.run_id,
            session=self._session,
            data_endpoint=told.data_endpoint,
            spec=Spec.of(told.spec) if told.spec is not None else None,
            settings=told.settings,
            config=told.config if WANTS_CONFIGURATION in hello.capabilities else {},
            memory=told.memory,
            index=peer.index,
            seed=told.seed,
            version=version,
            capabilities=(*told.capabilities, *tell_release()),
        )

    def _check_addressee(self, hello: Hello) -> None:
        """Refuse who wants the other server: this one would never do what it waits for."""
        if hello.to not in ("", self._role):
            raise MismatchError(
                f"what answers there is a {self._role}, not a {hello.to}. Give --{hello.to} the "
                f'address that the {hello.to} prints as "{hello.to} {_LINKS[hello.to]}" when it '
                f"starts."
            )

    def _check_run(self, hello: Hello) -> None:
        if not hello.run_id or not self.run_id or hello.run_id == self.run_id:
            return
        if hello.role != "learner":
            raise FencedError(
                f"run {self.run_id} has taken the place of run {hello.run_id}, which {hello.name} "
                f"belongs to. Start {hello.name} again to join the new one."
            )
        if self._is_sure_of_run:
            raise MismatchError(
                f"this {self._role} belongs to run {self.run_id}, and {hello.name} to run "
                f"{hello.run_id}. Start a {self._role} for each run; one whose run is over "
                f"{self._anew}."
            )

    def _ping(self, _request: Request, ping: Ping, message: codec.Message) -> Pong:
        now_s = self._clock()
        self._check_statistics(ping.session, ping.statistics, message)
        known = self.peers.ping(ping.session, ping.statistics, now_s)
        return Pong(
            session=self._session,
            known=known,
            stopping=self._host.is_over_for(self.peers.peers[ping.session].role if known else ""),
            environment_steps=self._host.environment_steps(),
            collectors=len(self.peers.living("collector", now_s)),
            statistics=self._host.statistics(ping.session),
            delivery=self._delivery(ping.session),
        )

    def _goodbye(self, _request: Request, goodbye: Goodbye, message: codec.Message) -> Acknowledged:
        self._check_statistics(goodbye.session, goodbye.statistics, message)
        peer = self.peers.goodbye(goodbye.session, goodbye.statistics, self._clock())
        if peer is not None:
            self._host.departed(peer, died=False)
        return Acknowledged()

    def _check_statistics(
        self, session: int, statistics: Statistics, message: codec.Message
    ) -> None:
        """Refuse numbers of a client that are none, before anybody computes with them."""
        if message.payload > _MOST_STATISTICS_BYTES:  # all of it: it has no arrays
            raise ProtocolError(
                f"a message of {message.payload} bytes, where statistics with all around them "
                f"may take {_MOST_STATISTICS_BYTES}: they are kept for each client, for status"
            )
        peer = self.peers.peers.get(session)
        if peer is not None:
            OF_CLIENTS[peer.role].read(statistics)

    def _status(self, _request: Request, _header: StatusRequest, _message: codec.Message) -> Status:
        return Status(role=self._role, values={"zdqn": own_release(), **self._host.status()})

    def _echo(self, request: Request, header: Echo, message: codec.Message) -> bytes:
        codec.read_arrays(message, [(np.dtype(np.uint8), (header.nbytes,))])
        return bytes(request.body)

    def _stop(self, _request: Request, stop: Stop, _message: codec.Message) -> Acknowledged:
        self._host.stop(stop.reason)
        return Acknowledged()


def _agree_on_version(hello: Hello) -> int:
    """Give the highest version that both sides speak."""
    lowest, highest = hello.versions or (PROTOCOL_VERSION, PROTOCOL_VERSION)
    version = min(highest, PROTOCOL_VERSION)
    if version < max(lowest, LOWEST_VERSION):
        raise ProtocolError(
            f"{hello.name} speaks the protocol versions {lowest} to {highest}, this side "
            f"{LOWEST_VERSION} to {PROTOCOL_VERSION}. Install the same zdqn on both."
        )
    return version
