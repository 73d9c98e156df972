"""The memory: stores transitions, deals out batches, holds both sides to their ratio."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zdqn.config import Config
from zdqn.core.peers import PeerTable
from zdqn.errors import FencedError, MismatchError, ProtocolError, ZdqnError
from zdqn.roles.replaying import build_broker
from zdqn.roles.role import Role
from zdqn.wire import codec
from zdqn.wire.addresses import check_bind, parse_address
from zdqn.wire.compression import check_compression
from zdqn.wire.protocol import (
    Acknowledged,
    ErrorReply,
    Goodbye,
    Header,
    Hello,
    NotReady,
    Ping,
    Pong,
    SampleRequest,
    Spec,
    Status,
    StatusRequest,
    Stop,
    Welcome,
)
from zdqn.wire.session import Statistics, new_session
from zdqn.wire.sockets import (
    COPY_RECEIVED_BELOW_BYTES,
    LINGER_MS,
    Context,
    Request,
    Server,
    TransitionReceiver,
    Waiter,
    bind_pair,
)

logger = logging.getLogger("zdqn.memory")

_WAIT_MS = 100
_BLOCKS_TOGETHER = 64
_ROUNDS_IN_A_ROW = 4
_SAY_EVERY_S = 10.0
_PEERS_EVERY_S = 0.5
_MOST_COMPLAINTS = 100


@dataclass(frozen=True)
class MemoryResult:
    """What a memory did in its life.

    Attributes:
        statistics: its last numbers, as in status.
        stop_reason: why it ended.
    """

    statistics: dict[str, Any]
    stop_reason: str


@dataclass(frozen=True)
class _Parked:
    """A sample request that may wait for data."""

    deadline_s: float
    request: Request
    header: SampleRequest


class Memory(Role):
    """The memory role. Its sockets are bound when it is made; `run` serves them.

    Args:
        config: of the run.
        bind: REQ/REP address instead of ``memory.bind``.
        insecure: allow an address that other machines can reach.
        on_bound: told the real endpoints, ``samples`` and ``transitions``.
        context: where sockets live; by default one of its own.
        stop: set it to end `run`.

    Raises:
        ConfigError: for an address that cannot be bound, or a compression that is not installed.
        AddressInUseError: when another process holds it.
    """

    def __init__(
        self,
        config: Config,
        *,
        bind: str | None = None,
        insecure: bool = False,
        on_bound: Callable[[dict[str, str]], None] | None = None,
        context: Context | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        check_compression(config.collector.compression)
        self._config = config
        self._stop = stop or threading.Event()
        self._session = new_session()
        self._broker = build_broker(config, session=self._session)
        self._peers = PeerTable(config.links.dead_after_s)
        self._run_id = ""
        self._parked: deque[_Parked] = deque()
        self._departed: deque[tuple[float, Goodbye]] = deque()
        self._stop_reason = ""
        self._complaints: dict[str, float] = {}
        self._next_look_s = 0.0
        self._held_since_s = time.monotonic()
        self._busy_s = {"inserting": 0.0, "sampling": 0.0, "holding_inserts_back": 0.0}

        parameter = "memory.bind" if bind is None else "--bind"
        bind = config.memory.bind if bind is None else bind
        address = parse_address(bind, parameter=parameter, bind=True)
        check_bind(address, parameter=parameter, insecure=insecure)
        self._owns_context = context is None
        self._context = context or Context()
        try:
            self._server, self._receiver = bind_pair(
                lambda free: Server(self._context, free),
                lambda free: TransitionReceiver(
                    self._context,
                    free,
                    high_water_mark=config.transition_high_water_mark,
                    buffer_bytes=config.transition_buffer_bytes,
                ),
                address,
            )
        except ZdqnError:
            self.close()
            raise
        self._waiter = Waiter([self._server, self._receiver])
        self._reading = True
        self.endpoints = {
            "samples": str(self._server.address.advertised()),
            "transitions": str(self._receiver.address.advertised()),
        }
        if on_bound is not None:
            on_bound(self.endpoints)

    # --- life -----------------------------------------------------------------------------------

    def run(self) -> MemoryResult:
        """Serve until stopped.

        Returns:
            What it did.
        """
        logger.info("serving samples at %s", self.endpoints["samples"])
        while not self._stop.is_set():
            self._read_when_wanted()
            self._waiter.wait(self._wait_ms())
            self._serve_requests()
            self._read_blocks()
            self._answer_parked()
            self._look_after_peers()
        return MemoryResult(self._statistics(), self._stop_reason or "stopped")

    def close(self) -> None:
        """Close the sockets."""
        for link in ("_server", "_receiver"):
            if hasattr(self, link):
                getattr(self, link).close()
        if self._owns_context:
            self._context.close()

    def _wait_ms(self) -> float:
        if not self._parked:
            return _WAIT_MS
        left_ms = (self._parked[0].deadline_s - time.monotonic()) * 1000
        return min(max(left_ms, 1), _WAIT_MS)

    # --- transitions ----------------------------------------------------------------------------

    def _read_when_wanted(self) -> None:
        """Stop reading when inserts are not wanted: queues fill, and collectors block."""
        wanted = self._broker.store.wants_inserts()
        if wanted == self._reading:
            return
        now_s = time.monotonic()
        if wanted:
            self._busy_s["holding_inserts_back"] += now_s - self._held_since_s
        else:
            self._held_since_s = now_s
        self._waiter.enable(self._receiver, wanted)
        self._reading = wanted

    def _read_blocks(self) -> None:
        if not self._reading:
            return
        started_s = time.monotonic()
        store, intake = self._broker.store, self._broker.intake
        copy = store.block_bytes < COPY_RECEIVED_BELOW_BYTES
        for _ in range(_ROUNDS_IN_A_ROW):
            messages = self._receive_blocks(store.wanted_blocks(_BLOCKS_TOGETHER), copy)
            for error in intake.insert_together(messages):
                self._complain(str(error))
            if len(messages) < _BLOCKS_TOGETHER:
                break
        self._busy_s["inserting"] += time.monotonic() - started_s

    def _receive_blocks(self, most: int, copy: bool) -> list[bytes | memoryview]:
        messages: list[bytes | memoryview] = []
        while len(messages) < most and (message := self._receiver.receive(copy=copy)) is not None:
            messages.append(message)
        return messages

    def _complain(self, text: str) -> None:
        """Log a peer's fault, the same one at most every 10 s."""
        now_s = time.monotonic()
        if now_s - self._complaints.get(text, -_SAY_EVERY_S) >= _SAY_EVERY_S:
            if len(self._complaints) >= _MOST_COMPLAINTS:
                self._complaints.clear()
            self._complaints[text] = now_s
            logger.warning("refused %s (%d refused so far)", text, self._broker.intake.refused)

    # --- requests -------------------------------------------------------------------------------

    def _serve_requests(self) -> None:
        while (request := self._server.receive()) is not None:
            answer: Header | None
            try:
                answer = self._answer(request, codec.decode(request.body))
            except ZdqnError as error:
                answer = _refusal(error)
            if answer is not None:
                self._server.reply(request, codec.encode(answer))

    def _answer(self, request: Request, message: codec.Message) -> Header | None:
        header = message.header
        if isinstance(header, SampleRequest):
            return self._take_sample_request(request, header, message)
        if isinstance(header, Ping):
            return self._pong(header)
        if isinstance(header, Hello):
            return self._welcome(header)
        if isinstance(header, Goodbye):
            return self._take_leave(header)
        if isinstance(header, StatusRequest):
            return Status(role="memory", values=self._status())
        if isinstance(header, Stop):
            self._stop_reason = header.reason
            logger.info("stopping: %s", header.reason)
            self._stop.set()
            return Acknowledged()
        raise ProtocolError(f"a memory does not answer {type(header).__name__}")

    def _take_sample_request(
        self, request: Request, header: SampleRequest, message: codec.Message
    ) -> NotReady | None:
        self._broker.take_priorities(header, message)
        deadline_s = time.monotonic() + header.wait_ms / 1000
        parked = _Parked(deadline_s, request, header)
        if self._parked and header.wait_ms:  # others wait longer already
            self._parked.append(parked)
            return None
        answer = self._try_to_sample(parked)
        if answer is None or not header.wait_ms:
            return answer
        self._parked.append(parked)
        return None

    def _try_to_sample(self, parked: _Parked) -> NotReady | None:
        """Answer with batches, or give the reason why not yet."""
        started_s = time.monotonic()
        self._broker.check_admitted(parked.header)
        result = self._broker.sample(parked.header)
        if isinstance(result, NotReady):
            return result
        self._server.reply(parked.request, result)
        self._busy_s["sampling"] += time.monotonic() - started_s
        return None

    def _answer_parked(self) -> None:
        now_s = time.monotonic()
        for _ in range(len(self._parked)):
            parked = self._parked.popleft()
            answer = self._answer_or_refuse(parked)
            if isinstance(answer, NotReady) and now_s < parked.deadline_s:
                self._parked.append(parked)
            elif answer is not None:
                self._server.reply(parked.request, codec.encode(answer))

    def _answer_or_refuse(self, parked: _Parked) -> Header | None:
        """Try to answer a parked request; what it asks for may have become impossible by now."""
        try:
            return self._try_to_sample(parked)
        except ZdqnError as error:
            return _refusal(error)

    def _welcome(self, hello: Hello) -> Welcome:
        if hello.run_id and self._run_id and hello.run_id != self._run_id:
            raise MismatchError(
                f"this memory serves run {self._run_id}, and {hello.name} belongs to run "
                f"{hello.run_id}. Start a memory for each run."
            )
        if hello.role == "learner":
            self._broker.admit_learner(hello.session, hello.learner_epoch)
            self._run_id = hello.run_id
        if hello.spec is not None:
            spec = codec.read_spec(hello.spec)
            first = self._broker.store.spec is None
            self._broker.agree(spec, _available_bytes())
            if first:
                self._held_since_s = time.monotonic()  # before, there was nothing to hold back
                logger.info(
                    "replay of %d transitions, %s: %.1f MB",
                    self._config.replay.capacity,
                    spec.describe(),
                    self._broker.statistics()["bytes"] / 1e6,
                )
        met = hello.session in self._peers.peers
        peer = self._peers.hello(hello.role, hello.name, hello.session, time.monotonic())
        if not met:
            logger.info("%s has joined", hello.name)
        agreed = self._broker.store.spec
        return Welcome(
            run_id=self._run_id,
            session=self._session,
            data_endpoint=self.endpoints["transitions"],
            spec=Spec.of(agreed) if agreed is not None else None,
            config={},
            memory="",
            index=peer.index,
            seed=self._config.run.seed,
            weight_version=-1,
        )

    def _take_leave(self, goodbye: Goodbye) -> Acknowledged:
        """Let a client go; what a collector had sent may still be on its way for a while."""
        now_s = time.monotonic()
        self._peers.goodbye(goodbye.session, goodbye.statistics, now_s)
        self._departed.append((now_s + LINGER_MS / 1000 + 1, goodbye))
        return Acknowledged()

    def _pong(self, ping: Ping) -> Pong:
        now_s = time.monotonic()
        known = self._peers.ping(ping.session, ping.statistics, now_s)
        return Pong(
            session=self._session,
            known=known,
            stopping=self._stop.is_set(),
            environment_steps=self._broker.intake.ledger.environment_steps,
            collectors=len(self._peers.living("collector", now_s)),
            statistics=self._statistics(),
        )

    # --- what is known --------------------------------------------------------------------------

    def _look_after_peers(self) -> None:
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _PEERS_EVERY_S
        for peer in self._peers.newly_dead(now_s):
            logger.warning(
                "%s has been silent for %.0f s: taken for dead",
                peer.name,
                now_s - peer.last_seen_s,
            )
            if peer.role == "collector":
                self._write_off(peer.session, peer.statistics)
        while self._departed and self._departed[0][0] < now_s:
            goodbye = self._departed.popleft()[1]
            self._write_off(goodbye.session, goodbye.statistics)

    def _write_off(self, session: int, statistics: Statistics) -> None:
        """Count what a gone collector sent and what never came."""
        name = self._peers.peers[session].name if session in self._peers.peers else "a collector"
        blocks_sent = statistics.get("blocks_sent", 0)
        if not isinstance(blocks_sent, int):  # a stranger's statistics may hold anything
            return
        lost = self._broker.intake.ledger.write_off(session, blocks_sent)
        if lost:
            logger.warning("%d blocks that %s had sent never came: lost", lost, name)

    def _statistics(self) -> dict[str, Any]:
        spent_s = dict(self._busy_s)
        if not self._reading:
            spent_s["holding_inserts_back"] += time.monotonic() - self._held_since_s
        busy = {f"{activity}_s": round(spent, 3) for activity, spent in spent_s.items()}
        return {**self._broker.statistics(), **busy, "reading": self._reading}

    def _status(self) -> dict[str, Any]:
        return {
            **self._statistics(),
            "endpoints": self.endpoints,
            "run_id": self._run_id,
            "waiting_requests": len(self._parked),
            "clients": self._peers.describe(time.monotonic()),
        }


def _refusal(error: ZdqnError) -> ErrorReply:
    """Tell a client why it is refused."""
    codes = {FencedError: "fenced", ProtocolError: "protocol"}
    return ErrorReply(code=codes.get(type(error), "mismatch"), message=str(error))


def _available_bytes() -> int:
    """Give the memory that this machine can still hand out, in bytes."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
