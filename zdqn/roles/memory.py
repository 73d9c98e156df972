"""The memory: stores transitions, deals out batches, holds both sides to their ratio."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from zdqn.closing import Closing
from zdqn.config import Config, check_agreement
from zdqn.core.replay_room import most_block_bytes
from zdqn.errors import ZdqnError
from zdqn.roles.arrivals_queue import ArrivalsQueue
from zdqn.roles.building_replay import build_broker
from zdqn.roles.client_settings import tell_clients
from zdqn.roles.farewell import Farewell
from zdqn.roles.known_senders import KnownSenders
from zdqn.roles.replay_storage import keep_replay
from zdqn.roles.sample_queue import SampleQueue
from zdqn.roles.server_place import choose_place
from zdqn.roles.slot_writer import SlotWriter
from zdqn.stopping import reason_of
from zdqn.wire.compression import available, check_compression
from zdqn.wire.desk import Desk, RefusedError
from zdqn.wire.desk_host import Particulars
from zdqn.wire.field_types import Statistics
from zdqn.wire.membership import new_session
from zdqn.wire.memory_messages import AccountsRequest, ArrivalsRequest, SampleRequest
from zdqn.wire.node import Node
from zdqn.wire.payloads import encode_accounts
from zdqn.wire.peers import Peer
from zdqn.wire.protocol import Hello, Refusal
from zdqn.wire.request_sockets import Request
from zdqn.wire.sockets import Context, Waiter
from zdqn.wire.status import (
    MemoryStatistics,
    MemoryStatus,
)
from zdqn.wire.transition_sockets import COPY_RECEIVED_BELOW_BYTES

logger = logging.getLogger("zdqn.memory")

_WAIT_MS = 100
_BLOCKS_TOGETHER = 64
_ROUNDS_IN_A_ROW = 4
_MOST_REQUESTS = 256
"""In one round; clients that ask without end do not keep blocks from being read."""
_REQUESTS_S = 0.00025
"""Time for requests in a round when there was no block, and as much for those that wait."""


@dataclass(frozen=True)
class MemoryResult:
    """What a memory did in its life.

    Attributes:
        statistics: its last numbers, as in status.
        stop_reason: why it ended.
    """

    statistics: dict[str, Any]
    stop_reason: str


class Memory(Closing):
    """The memory role. Its sockets are bound when it is made; `run` serves them.

    Args:
        config: of the run.
        bind: REQ/REP address instead of ``memory.bind``.
        insecure: allow an address that other machines can reach, without keys.
        keys: folder of keys instead of ``security.keys``.
        run_directory: of the run, where its replay is kept unless ``replay.path`` says where.
        on_bound: told the real endpoints, ``samples`` and ``transitions``.
        context: where sockets live; by default one of its own.
        stop: set it to end `run`.

    Attributes:
        endpoints: its real addresses, by link.
        read_keys_again: reads now who is let in; a change of the lists is seen in a second anyway.

    Raises:
        ConfigError: for an address that cannot be bound, or a compression that is not installed.
        AddressInUseError: when another process holds it.
        RunDirectoryTakenError: when another memory has the folder of the replay.
        FileError: when what an earlier one has left there is damaged.
        NotAllowedError: when a key is missing, or others can read it.
    """

    def __init__(
        self,
        config: Config,
        *,
        bind: str | None = None,
        insecure: bool = False,
        keys: str | Path | None = None,
        run_directory: Path | None = None,
        on_bound: Callable[[dict[str, str]], None] | None = None,
        context: Context | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        check_compression(config.collector.compression)
        place = choose_place("memory", config, bind=bind, insecure=insecure, keys=keys)
        session = new_session()
        self._config = config
        self._settings = tell_clients(config)
        self._security = place.security
        self._stop = stop or threading.Event()
        self._farewell = Farewell(config.links.dead_after_s)
        self._reading = True
        self._held_since_s = time.monotonic()
        self._holding_s = 0.0
        self._inserting_s = 0.0
        self._failure: ZdqnError | None = None
        self._requests_s = _REQUESTS_S
        with ExitStack() as stack:
            self._keeping = stack.enter_context(keep_replay(config, run_directory))
            self._broker = build_broker(
                config,
                session=session,
                name_of=lambda session: self._senders.name_of(session),
                allocate=self._keeping.allocate,
                kept=self._keeping.kept,
            )
            run_id = self._keeping.open(self._broker)
            node = stack.enter_context(Node(context, keys=place.keys))
            self.read_keys_again = node.read_keys_again
            self._server, self._receiver = node.server_and(
                partial(
                    node.receiver,
                    high_water_mark=config.transition_high_water_mark,
                    buffer_bytes=config.transition_buffer_bytes,
                    closed=True,
                ),
                place.address,
                "memory",
            )
            stack.enter_context(self._server)
            stack.enter_context(self._receiver)
            self._open_receiver()
            self.endpoints = {
                "samples": str(self._server.address.advertised()),
                "transitions": str(self._receiver.address.advertised()),
            }
            if on_bound is not None:
                on_bound(self.endpoints)
            self._open = stack.pop_all()
        self._waiter = Waiter([self._server, self._receiver])
        self._slots = SlotWriter(allowed=config.links.shared_memory is not False)
        self._requests = SampleQueue(self._broker, self._server, self._slots)
        self._arrivals = ArrivalsQueue(self._broker.intake, session, self._server.reply)
        self._broker.intake.belong_to(run_id)

        def send_accounts(request: Request, *_: Any) -> None:
            broker = self._broker
            rows = broker.intake.sessions()
            message = encode_accounts(broker.session, rows, continues=broker.continues)
            self._server.reply(request, message)

        self._desk = Desk(
            "memory",
            self,
            session=session,
            run_id=run_id,
            anew=self._keeping.anew,
            dead_after_s=config.links.dead_after_s,
            logger=logger,
            handlers={
                SampleRequest: self._requests.take,
                ArrivalsRequest: self._arrivals.take,
                AccountsRequest: send_accounts,
            },
            delivery=lambda session: self._senders.delivery(session),
        )
        self._senders = KnownSenders(self._broker.intake, self._desk.peers)

    # --- life -----------------------------------------------------------------------------------

    def run(self) -> MemoryResult:
        """Serve until stopped.

        Clients learn that the run is over only if somebody asked for it, by a message: then it
        stays until they know. When its stop event is set it goes away, and they wait for it.

        Returns:
            What it did.

        Raises:
            AddressInUseError: when another process has taken the port of its transitions.
        """
        logger.info("serving samples at %s", self.endpoints["samples"])
        if self._broker.store.spec is None:
            logger.info("collectors wait with their blocks until a client tells the environment")
        while not (self._stop.is_set() or self._farewell.is_over(self._clients)):
            self._read_when_wanted()
            self._waiter.wait(self._requests.wait_ms(_WAIT_MS))
            self._serve_a_round()
            self._senders.note_signs_of_life()
            self._desk.look_after_peers()
            if self._reading:
                self._senders.write_off_departed()
            self._keeping.advance()
        statistics = self._statistics().to_wire()
        reason = self._farewell.reason or reason_of(self._stop) or "stopped"
        if not self._farewell.begun:
            logger.info("going away: %s; learner and collectors wait for the next memory", reason)
        return MemoryResult(statistics, reason)

    def _serve_a_round(self) -> None:
        """Look at requests and at blocks; neither gets more time than the other takes."""
        self._desk.serve(self._server, _MOST_REQUESTS, self._requests_s)
        if self._failure is not None:
            raise self._failure
        before_s = self._inserting_s
        self._requests_s = _REQUESTS_S
        if self._read_blocks():
            self._requests_s = self._inserting_s - before_s
        self._arrivals.advance()
        self._requests.advance(self._requests_s)

    def close(self) -> None:
        """Close the sockets, and leave the replay for the next start, if it is kept."""
        self._slots.forget()
        self._open.close()

    # --- transitions ----------------------------------------------------------------------------

    def _read_when_wanted(self) -> None:
        """Stop reading when inserts are not wanted: queues fill, and collectors block."""
        wanted = self._broker.store.wants_inserts()
        if wanted == self._reading:
            return
        now_s = time.monotonic()
        if wanted:
            self._holding_s += now_s - self._held_since_s
        else:
            self._held_since_s = now_s
        self._waiter.enable(self._receiver, wanted)
        self._arrivals.note_reading(wanted)
        self._reading = wanted

    def _read_blocks(self) -> bool:
        """Read what has come; whether that was anything."""
        if not self._reading:
            return False
        some = False
        started_s = time.monotonic()
        store, intake = self._broker.store, self._broker.intake
        copy = store.block_bytes < COPY_RECEIVED_BELOW_BYTES
        for _ in range(_ROUNDS_IN_A_ROW):
            messages = self._receiver.receive_some(store.wanted_blocks(_BLOCKS_TOGETHER), copy=copy)
            some |= bool(messages)
            self._senders.complain(intake.insert_together(messages))
            if len(messages) < _BLOCKS_TOGETHER:
                break
        self._inserting_s += time.monotonic() - started_s
        return some

    def _open_receiver(self) -> None:
        """Take blocks as large as those of the agreed environment, if there is one, can be."""
        store = self._broker.store
        if store.spec is None:
            return
        try:
            self._receiver.open(most_block_bytes(store.spec, store.block_transitions))
        except ZdqnError as error:  # another process was quicker than the socket
            self._failure = error
            raise RefusedError(Refusal.NOT_SERVING, f"the memory ends: {error}") from error

    # --- for the desk ---------------------------------------------------------------------------

    def admit(self, hello: Hello) -> None:
        """Agree with a client on configuration, learner, run and environment.

        Raises:
            FencedError: when a newer learner is known.
            MismatchError: when its configuration is another, or its environment another than the
                one agreed before.
            ConfigError: when the replay would not fit into memory.
        """
        check_agreement(self._config, hello.role, "memory", hello.name, hello.shared)
        is_learner = hello.role == "learner"
        if is_learner:
            self._broker.admit_learner(hello.session, hello.learner_epoch)
        if hello.run_id and (is_learner or not self._desk.run_id):
            self._desk.belong_to(hello.run_id, sure=is_learner)
            self._broker.intake.belong_to(hello.run_id)
            self._keeping.begin(hello.run_id)
        if hello.spec is None:
            return
        spec = hello.spec.read()
        available, where = self._keeping.available()
        room = self._broker.agree(spec, available, where=where)
        self._open_receiver()
        if room is not None:
            self._keeping.begin(self._desk.run_id)
            self._held_since_s = time.monotonic()  # before, there was nothing to hold back
            logger.info("%s: %s", spec.describe(), room.describe())

    def particulars(self) -> Particulars:
        """Give what a client is told when it is welcome."""
        return Particulars(
            data_endpoint=self.endpoints["transitions"],
            spec=self._broker.store.spec,
            seed=self._config.run.seed,
            settings=self._settings,
            capabilities=("acked", "arrivals", "imports", "masks", "slots", *available()),
        )

    def is_over_for(self, role: str) -> bool:
        """Whether clients should finish: only if somebody asked for it."""
        return self._farewell.begun

    def environment_steps(self) -> int:
        """Give the environment steps of all collectors that it heard of."""
        return self._broker.intake.ledger.environment_steps

    def statistics(self, session: int) -> Statistics:
        """Give the numbers that go with a pong."""
        return self._statistics().to_wire()

    def status(self) -> dict[str, Any]:
        """Answer a status request."""
        status = MemoryStatus(
            **msgspec.structs.asdict(self._statistics()),
            endpoints=self.endpoints,
            run_id=self._desk.run_id,
            security=self._security,
            waiting_requests=len(self._requests),
            clients=self._desk.describe_clients(),
        )
        return status.to_wire()

    def stop(self, reason: str) -> None:
        """End `run`, and the run for all clients, as somebody asks for it."""
        logger.info("stopping: %s", reason)
        self._farewell.begin(reason)

    def _clients(self) -> int:
        return len(self._desk.living("learner")) + len(self._desk.living("collector"))

    def departed(self, peer: Peer, *, died: bool) -> None:
        """Take note that a client has gone."""
        if peer.role == "learner":
            self._slots.forget()
        if peer.role == "collector":
            self._senders.departed(peer, died=died)

    def _statistics(self) -> MemoryStatistics:
        holding_s = self._holding_s
        if not self._reading:
            holding_s += time.monotonic() - self._held_since_s
        return MemoryStatistics(
            **self._broker.statistics(),
            inserting_s=round(self._inserting_s, 3),
            sampling_s=round(self._requests.sampling_s, 3),
            holding_inserts_back_s=round(holding_s, 3),
            reading=self._reading,
            sharing=self._slots.sharing,
            came_back_with=self._keeping.came_back_with,
            came_back_without=self._keeping.came_back_without,
        )
