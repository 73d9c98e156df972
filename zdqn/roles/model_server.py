"""The learner's other face: answers clients in a thread of its own while the learner trains.

It hands out configuration, weights, greedy actions and snapshots, and knows who is there. Because
it has a thread and a copy of the network, neither a long update nor compiling makes anybody wait.

Two busy threads of one interpreter hand its lock back and forth, a context switch each: with many
requests for actions a small network's updates take five times as long. While updates are short the
training thread therefore answers in between them, and this one only watches that it does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config, describe_difference, shared_values, to_dict
from zdqn.core.peers import PeerTable
from zdqn.core.snapshots import Evaluation, EvaluationQueue, FrozenSnapshot
from zdqn.data import EnvironmentSpec, EvaluationScores
from zdqn.errors import MismatchError, ProtocolError, ZdqnError
from zdqn.roles.building import evaluation_seed
from zdqn.wire import codec
from zdqn.wire.protocol import (
    Acknowledged,
    ActionRequest,
    Actions,
    Claim,
    ErrorReply,
    EvaluationResult,
    Goodbye,
    Header,
    Hello,
    NothingToEvaluate,
    Ping,
    Pong,
    Snapshot,
    Spec,
    Status,
    StatusRequest,
    Stop,
    Weights,
    WeightsRequest,
    Welcome,
)
from zdqn.wire.sockets import Request, Server

if TYPE_CHECKING:
    from zdqn.rl.greedy import Greedy

logger = logging.getLogger("zdqn.learner")

_WAIT_MS = 100
_SHORT_WAIT_MS = 20
"""How soon an evaluator that waits is given a snapshot that the training thread has offered."""
_MOST_REQUESTS = 256
_MOST_PASSES = 8
"""In one round; clients that ask without end keep nobody else from being looked after."""
_PEERS_EVERY_S = 0.5
_SHORT_S = 0.002
"""Longest time between two updates in which clients may wait for the training thread."""
_ROUND_S = 0.0014
"""Time between two rounds of such answers: eight clients share one, and updates get the rest."""
_WATCH_S = 0.01
_ASKED_LATELY_S = 1.0


@dataclass(frozen=True)
class Published:
    """Weights as they were last published.

    Attributes:
        weight_version: packed version.
        arrays: by name; never changed.
        message: the encoded `Weights`, sent to whoever asks.
    """

    weight_version: int
    arrays: dict[str, NDArray[Any]]
    message: bytes


@dataclass
class Report:
    """What the learner tells about itself; replaced, never changed, by the training thread.

    Attributes:
        environment_steps: of all collectors.
        status: nested maps of numbers and words.
    """

    environment_steps: int = 0
    status: dict[str, Any] = field(default_factory=dict)


class ModelServer:
    """Serves the model link in a thread.

    Args:
        server: the bound socket; used by one thread at a time from `start` on.
        config: of the run, given to clients that come without.
        run_id: of the run.
        session: of this learner.
        memory: the memory's address, as the learner dials it.
        weights_endpoint: where weights are published.
        on_stop: called with the reason when somebody asks to stop.

    Attributes:
        report: set by the training thread.
        collectors_done: training is over; collectors should finish.
        evaluators_done: nothing more will be evaluated; evaluators should finish.
        spec: of the environment, once a collector or evaluator has told it.
        spec_known: set with it.
        failure: why the thread ended, if it broke.
    """

    def __init__(
        self,
        server: Server,
        *,
        config: Config,
        run_id: str,
        session: int,
        memory: str,
        weights_endpoint: str,
        on_stop: Callable[[str], None],
    ) -> None:
        self._server = server
        self._config = config
        self._shared = shared_values(config)
        self._run_id = run_id
        self._session = session
        self._memory = memory
        self._weights_endpoint = weights_endpoint
        self._on_stop = on_stop
        self._lock = threading.Lock()
        self._peers = PeerTable(config.links.dead_after_s)
        self._queue = EvaluationQueue()
        self._parked: deque[tuple[float, Request, Claim]] = deque()
        self._evaluations: deque[Evaluation] = deque()
        self._published: Published | None = None
        self._policy: Greedy | None = None
        self._policy_version = -1
        self._tried_version = -1
        self._may_host = True
        self._closing = threading.Event()
        self._thread_serves = threading.Event()
        self._thread_serves.set()
        self._between_s = 0.0
        self._asked_s = 0.0
        self._next_round_s = 0.0
        self._thread = threading.Thread(target=self._serve, name="zdqn-model-server", daemon=True)
        self._next_look_s = 0.0
        self.report = Report()
        self.collectors_done = False
        self.evaluators_done = False
        self.spec: EnvironmentSpec | None = None
        self.spec_known = threading.Event()
        self.failure: BaseException | None = None
        self.actions_served = 0

    # --- for the training thread ------------------------------------------------------------------

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and close the socket."""
        self._closing.set()
        self._thread_serves.set()
        if self._thread.is_alive():
            self._thread.join()
        self._server.close()

    def publish(self, published: Published) -> None:
        """Take over the newest weights, for late joiners and remote policies."""
        self._published = published

    def act_with(self, policy: Greedy, *, between_updates: bool = True) -> None:
        """Serve greedy actions.

        Args:
            policy: nobody else may touch its network.
            between_updates: whether the training thread may act; on a GPU it would wait there.
        """
        self._policy = policy
        self._may_host = between_updates

    def serve_between_updates(self) -> None:
        """Answer what has come, in place of the thread, if that saves time; cheap if not."""
        now_s = time.monotonic()
        short = now_s - self._between_s < _SHORT_S
        self._between_s = now_s
        if not (self._may_host and short and now_s - self._asked_s < _ASKED_LATELY_S):
            self.serve_alone()
            return
        self._thread_serves.clear()
        if now_s >= self._next_round_s:
            self._next_round_s = max(self._next_round_s + _ROUND_S, now_s)
            self._serve_round(1)
            self._between_s = time.monotonic()  # a round is no update

    def serve_alone(self) -> None:
        """Leave answering to the thread: there will be no short update for a while."""
        if self._thread_serves.is_set():
            return
        self._serve_round(_MOST_PASSES)  # the thread may be waiting already, and see no signal
        self._thread_serves.set()

    def offer(self, snapshot: FrozenSnapshot) -> None:
        """Have a snapshot evaluated."""
        with self._lock:
            self._queue.offer(snapshot)

    def take_evaluations(self) -> list[Evaluation]:
        """Give the evaluations that came in since the last call."""
        evaluations = []
        while self._evaluations:
            evaluations.append(self._evaluations.popleft())
        return evaluations

    @property
    def unevaluated(self) -> int:
        """Snapshots that have no result yet."""
        with self._lock:
            return len(self._queue)

    def living(self, role: str) -> int:
        """Count the living clients of a role."""
        with self._lock:
            return len(self._peers.living(role, time.monotonic()))

    def statistics_of(self, role: str) -> list[dict[str, int | float | str | bool]]:
        """Give the last statistics of the living clients of a role."""
        with self._lock:
            return [peer.statistics for peer in self._peers.living(role, time.monotonic())]

    # --- the thread -------------------------------------------------------------------------------

    def _serve(self) -> None:
        again = False
        while not self._closing.is_set() and self.failure is None:
            if not self._thread_serves.wait(_WATCH_S):
                again = True
                if time.monotonic() - self._between_s > _SHORT_S:  # a long update
                    self._thread_serves.set()
                continue
            if not again:  # the server signals no request twice
                waits = self._parked or time.monotonic() - self._asked_s < _ASKED_LATELY_S
                self._server.wait(_SHORT_WAIT_MS if waits else _WAIT_MS)
            if self._thread_serves.is_set():
                again = self._serve_round(_MOST_PASSES)

    # --- in either thread, under the lock ---------------------------------------------------------

    def _serve_round(self, passes: int) -> bool:
        """Answer what has come, and what comes meanwhile; whether more may have come at the end."""
        busy = False
        try:
            with self._lock:
                for _ in range(passes):
                    busy = self._serve_requests()
                    busy |= self._answer_claims()
                    if not busy:
                        break
                self._look_after_peers()
        except Exception as error:  # noqa: BLE001 - the training thread raises it again
            self.failure = error
            self._on_stop("the model server broke")
        return busy

    def _serve_requests(self) -> bool:
        requests = 0
        actions: list[tuple[Request, ActionRequest, codec.Message]] = []
        while requests < _MOST_REQUESTS and (request := self._server.receive()) is not None:
            requests += 1
            try:
                message = codec.decode(request.body)
                if isinstance(message.header, ActionRequest):
                    actions.append((request, message.header, message))
                    continue
                if isinstance(message.header, WeightsRequest):
                    self._send_weights(request)
                    continue
                answer = self._answer(request, message)
            except ProtocolError as error:
                answer = ErrorReply(code="protocol", message=str(error))
            except ZdqnError as error:
                answer = ErrorReply(code="mismatch", message=str(error))
            if answer is not None:
                self._reply(request, answer)
        if actions:
            self._asked_s = time.monotonic()
            self._answer_actions(actions)
        return requests > 0

    def _reply(self, request: Request, header: Header) -> None:
        self._server.reply(request, codec.encode(header))

    def _answer(self, request: Request, message: codec.Message) -> Header | None:
        header = message.header
        now_s = time.monotonic()
        if isinstance(header, Ping):
            return self._pong(header, now_s)
        if isinstance(header, Claim):
            if header.session not in self._peers.peers:  # nobody would notice if it died
                return ErrorReply(code="not_serving", message="say hello before you claim")
            self._parked.append((now_s + header.wait_ms / 1000, request, header))
            return None
        if isinstance(header, EvaluationResult):
            return self._take_result(header, message)
        if isinstance(header, Hello):
            return self._welcome(header, now_s)
        if isinstance(header, Goodbye):
            self._queue.release(header.session)
            self._peers.goodbye(header.session, header.statistics, now_s)
            return Acknowledged()
        if isinstance(header, StatusRequest):
            return Status(role="learner", values=self._status(now_s))
        if isinstance(header, Stop):
            self._on_stop(header.reason)
            return Acknowledged()
        raise ProtocolError(f"a learner does not answer {type(header).__name__}")

    # --- membership -------------------------------------------------------------------------------

    def _welcome(self, hello: Hello, now_s: float) -> Welcome | ErrorReply:
        if self._is_over_for(hello.role):
            return ErrorReply(code="stopping", message="this run is over")
        if hello.run_id and hello.run_id != self._run_id:
            raise MismatchError(
                f"this learner belongs to run {self._run_id}, and {hello.name} to run "
                f"{hello.run_id}. Restart {hello.name} to join this run."
            )
        if hello.shared is not None:
            difference = describe_difference(self._shared, hello.shared)
            if difference:
                raise MismatchError(
                    f"another configuration; all roles of a run must agree in these values, "
                    f"with the learner here and {hello.name} there:\n  "
                    + "\n  ".join(difference)
                    + f"\nStart {hello.name} with this run's configuration, or with none: then it "
                    f"takes the learner's."
                )
        if hello.spec is not None:
            self._agree(codec.read_spec(hello.spec), hello.name)
        met = hello.session in self._peers.peers
        peer = self._peers.hello(hello.role, hello.name, hello.session, now_s)
        if not met:
            logger.info("%s has joined as %s %d", hello.name, hello.role, peer.index)
        published = self._published
        return Welcome(
            run_id=self._run_id,
            session=self._session,
            data_endpoint=self._weights_endpoint,
            spec=Spec.of(self.spec) if self.spec is not None else None,
            config=to_dict(self._config),
            memory=self._memory,
            index=peer.index,
            seed=self._config.run.seed,
            weight_version=published.weight_version if published is not None else -1,
        )

    def _agree(self, spec: EnvironmentSpec, name: str) -> None:
        if self.spec is None:
            self.spec = spec
            self.spec_known.set()
        elif spec != self.spec:
            raise MismatchError(
                f"another environment: this run's is {self.spec.describe()}; that of {name} is "
                f"{spec.describe()}. Start it with this run's configuration."
            )

    def agree(self, spec: EnvironmentSpec, name: str) -> None:
        """Take over the environment's spec from elsewhere than a client (a checkpoint).

        Raises:
            MismatchError: when a client has told another one.
        """
        with self._lock:
            self._agree(spec, name)

    def _pong(self, ping: Ping, now_s: float) -> Pong:
        known = self._peers.ping(ping.session, ping.statistics, now_s)
        role = self._peers.peers[ping.session].role if known else ""
        return Pong(
            session=self._session,
            known=known,
            stopping=self._is_over_for(role),
            environment_steps=self.report.environment_steps,
            collectors=len(self._peers.living("collector", now_s)),
            statistics={},
        )

    def _is_over_for(self, role: str) -> bool:
        return self.evaluators_done if role == "evaluator" else self.collectors_done

    def _look_after_peers(self) -> None:
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _PEERS_EVERY_S
        for peer in self._peers.newly_dead(now_s):
            logger.warning(
                "%s has been silent for %.0f s: taken for dead", peer.name, now_s - peer.last_seen_s
            )
            self._queue.release(peer.session)

    def _status(self, now_s: float) -> dict[str, Any]:
        return {
            **self.report.status,
            "actions_served": self.actions_served,
            "clients": self._peers.describe(now_s),
        }

    # --- weights and actions ----------------------------------------------------------------------

    def _send_weights(self, request: Request) -> None:
        published = self._published
        if published is None:
            self._reply(request, ErrorReply(code="not_serving", message="no weights yet"))
        else:
            self._server.reply(request, published.message)

    def _answer_actions(self, requests: list[tuple[Request, ActionRequest, codec.Message]]) -> None:
        """Answer all waiting requests with one forward pass."""
        published, policy, spec = self._published, self._policy, self.spec
        if self.collectors_done or published is None or policy is None or spec is None:
            code = "stopping" if self.collectors_done else "not_serving"
            for request, _, _ in requests:
                self._reply(request, ErrorReply(code=code, message="no actions now"))
            return
        self._take_over(policy, published)
        accepted = []
        observations = []
        for request, asked, message in requests:
            try:
                observations.append(self._read_observations(asked, message, spec))
            except ProtocolError as error:
                self._reply(request, ErrorReply(code="protocol", message=str(error)))
            else:
                accepted.append((request, asked.count))
        if not accepted:
            return
        stacked = observations[0] if len(observations) == 1 else np.concatenate(observations)
        actions = policy.greedy_actions(stacked)
        self.actions_served += len(actions)
        start = 0
        written: dict[bytes, bytes] = {}  # answers by their actions: most are alike
        for request, count in accepted:
            chosen = actions[start : start + count]
            start += count
            answer = written.get(chosen.tobytes())
            if answer is None:
                header = Actions(count=count, weight_version=self._policy_version)
                answer = written[chosen.tobytes()] = codec.encode(header, (chosen,))
            self._server.reply(request, answer)

    def _take_over(self, policy: Greedy, published: Published) -> None:
        if published.weight_version == self._tried_version:
            return
        self._tried_version = published.weight_version
        try:
            policy.load(published.arrays)
        except MismatchError as error:  # diverged: the training thread will notice
            logger.warning("act on with older weights: %s", error)
        else:
            self._policy_version = published.weight_version

    @staticmethod
    def _read_observations(
        header: ActionRequest, message: codec.Message, spec: EnvironmentSpec
    ) -> NDArray[Any]:
        if header.spec_digest != spec.digest or header.count < 1:
            raise ProtocolError(
                f"an action request for another environment than {spec.describe()}, or of "
                f"{header.count} observations"
            )
        return codec.read_arrays(message, codec.action_request_layout(header, spec))[0]

    # --- evaluations ------------------------------------------------------------------------------

    def _answer_claims(self) -> bool:
        """Answer those evaluators that can be given something, or have waited long enough."""
        now_s = time.monotonic()
        parked = len(self._parked)
        for _ in range(parked):
            deadline_s, request, claim = self._parked.popleft()
            snapshot = None if self.evaluators_done else self._queue.claim(claim.session)
            if snapshot is not None:
                self._send_snapshot(request, snapshot)
            elif self.evaluators_done or now_s >= deadline_s:
                self._reply(request, NothingToEvaluate(stopping=self.evaluators_done))
            else:
                self._parked.append((deadline_s, request, claim))
        return len(self._parked) < parked

    def _send_snapshot(self, request: Request, snapshot: FrozenSnapshot) -> None:
        evaluator = self._config.evaluator
        weights = Weights(
            run_id=self._run_id,
            weight_version=snapshot.weight_version,
            environment_steps=snapshot.environment_steps,
            updates=snapshot.updates,
            stopping=False,
            tensors=codec.describe_tensors(snapshot.arrays),
        )
        header = Snapshot(
            snapshot=snapshot.number,
            weights=weights,
            episodes=evaluator.episodes,
            epsilon=evaluator.epsilon,
            seed=evaluation_seed(self._config.run.seed, snapshot.number),
        )
        message = codec.encode(header, tuple(snapshot.arrays.values()))
        self._server.reply(request, message)

    def _take_result(self, header: EvaluationResult, message: codec.Message) -> Acknowledged:
        if header.episodes < 1:
            raise ProtocolError("an evaluation of no episodes")
        returns, lengths = codec.read_arrays(message, codec.scores_layout(header.episodes))
        if not np.isfinite(returns).all():
            raise ProtocolError("an evaluation holds a return that is not finite")
        snapshot = self._queue.complete(header.session, header.snapshot)
        if snapshot is None:
            logger.info("dropped a second result for snapshot %d", header.snapshot)
            return Acknowledged()
        peer = self._peers.peers.get(header.session)
        scores = EvaluationScores(tuple(returns.tolist()), tuple(lengths.tolist()))
        name = peer.name if peer is not None else f"{header.session:016x}"
        self._evaluations.append(Evaluation(snapshot, scores, name, header.duration_s))
        return Acknowledged()
