"""A learner and its memory: membership, what the memory tells, and its last word."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from zdqn.closing import Closing
from zdqn.config import Config, shared_values
from zdqn.data import EnvironmentSpec
from zdqn.errors import ZdqnError
from zdqn.records.block_accounts import Told
from zdqn.roles.farewell import RUN_IS_OVER
from zdqn.wire.addresses import Address
from zdqn.wire.asking import ask
from zdqn.wire.field_types import Statistics
from zdqn.wire.membership import Membership
from zdqn.wire.memory_messages import AccountsRequest
from zdqn.wire.node import Node
from zdqn.wire.payloads import read_accounts
from zdqn.wire.protocol import Hello, Spec, Status, StatusRequest, Stop
from zdqn.wire.request_sockets import Client
from zdqn.wire.status import MemoryStatistics

logger = logging.getLogger("zdqn.learner")

_LAST_WORD_S = 2.0
_BUSY_S = 10.0
"""How long the last word of a memory is waited for besides, if it takes connections."""


class MemoryLink(Closing):
    """The learner as a client of its memory.

    Args:
        node: makes sockets.
        address: REQ/REP address of the memory.
        config: of the run.
        session: of this learner.
        run_id: of the run.
        learner_epoch: of this start.
        spec: gives the environment's, as soon as it is known.
        statistics: gives the learner's numbers for a ping.
        stop: set from outside to end; set from here when the memory is done or refuses.

    Attributes:
        address: of the memory.
    """

    def __init__(
        self,
        node: Node,
        address: Address,
        *,
        config: Config,
        session: int,
        run_id: str,
        learner_epoch: int,
        spec: Callable[[], EnvironmentSpec | None],
        statistics: Callable[[], Statistics],
        stop: threading.Event,
    ) -> None:
        self.address = address
        self._node = node
        self._config = config
        self._session = session
        self._run_id = run_id
        self._learner_epoch = learner_epoch
        self._spec = spec
        self._accounts: dict[int, Told] = {}
        self._lock = threading.Lock()
        self._membership = Membership(
            node,
            address,
            server="memory",
            hello=self._hello,
            statistics=statistics,
            stop=stop,
            ping_period_s=config.links.ping_period_s,
            connect_timeout_s=config.links.connect_timeout_s,
            after_ping=self._ask_for_accounts,
        )

    def _hello(self) -> Hello:
        spec = self._spec()
        return Hello(
            role="learner",
            name="learner",
            session=self._session,
            spec=Spec.of(spec) if spec is not None else None,
            shared=shared_values(self._config, "learner", "memory"),
            run_id=self._run_id,
            learner_epoch=self._learner_epoch,
        )

    def join(self) -> None:
        """Say hello, waiting for the memory.

        Raises:
            PeerUnavailableError: when nothing answered in time.
            MismatchError: when it refused.
            FencedError: when a newer learner has taken over.
        """
        self._membership.join()

    def introduce(self) -> None:
        """Say hello again, with the environment's spec; raises as `join` does."""
        self._membership.introduce()

    def raise_failure(self) -> None:
        """Raise what made the memory refuse to go on, if anything did."""
        self._membership.raise_failure()

    @property
    def statistics(self) -> MemoryStatistics:
        """The memory's numbers as of its last answer to a ping."""
        pong = self._membership.pong
        return MemoryStatistics() if pong is None else MemoryStatistics.read(pong.statistics)

    @property
    def silent_s(self) -> float:
        """Seconds since the memory answered a ping last; 0 before it did."""
        since_s = self._membership.pong_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    @property
    def first_session(self) -> int | None:
        """Session of the start of the memory that answered first; None before one did."""
        return next(iter(self._membership.server_sessions), None)

    def came_back(self, session: int) -> MemoryStatistics | None:
        """Give what a start of the memory tells, with what it began; None if it has not told.

        Args:
            session: of that start.
        """
        pong = self._membership.pong
        if pong is None or pong.session != session:
            return None
        return MemoryStatistics.read(pong.statistics)

    @property
    def said_over(self) -> str:
        """Why the run is over, if it is the memory that said so; else ""."""
        return "the memory was asked to stop" if self._membership.stopping else ""

    def take_accounts(self) -> dict[int, Told]:
        """Give what became of blocks, as each start of the memory told it since the last call.

        Returns:
            Session of a start to what it told, in the order of the starts; no rows for one that has
            not told any.
        """
        with self._lock:
            accounts, self._accounts = self._accounts, {}
        sessions = dict.fromkeys(self._membership.server_sessions)
        return {session: accounts.get(session, Told()) for session in (*sessions, *accounts)}

    def _ask_for_accounts(self, client: Client, busy_s: float = 0.0) -> None:
        accounts = AccountsRequest()
        reply = ask(client, accounts, server="memory", timeout_s=_LAST_WORD_S, busy_s=busy_s)
        if reply is None:
            return
        header, rows = read_accounts(reply.message)
        with self._lock:
            self._accounts[header.session] = Told(rows, header.continues)

    def stop(self) -> MemoryStatistics:
        """Ask the memory for its last numbers and accounts, and to end."""
        with self._node.client(self.address, "memory") as client:
            try:
                status = ask(
                    client,
                    StatusRequest(),
                    server="memory",
                    timeout_s=_LAST_WORD_S,
                    busy_s=_BUSY_S,
                )
                if status is not None:
                    self._ask_for_accounts(client, _BUSY_S)
                    stop = Stop(reason=RUN_IS_OVER)
                    ask(client, stop, server="memory", timeout_s=_LAST_WORD_S)
                if status is not None and isinstance(status.header, Status):
                    return MemoryStatistics.read(status.header.values)
            except ZdqnError as error:
                logger.warning("%s", error)
        logger.warning("the memory at %s gave no last numbers", self.address)
        return self.statistics

    def close(self) -> None:
        """Say goodbye; only the first call does anything."""
        self._membership.leave()
