"""Evaluators that wait for a snapshot, and the scores that they bring back."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.data import MAX_REWARD, EvaluationScores
from zdqn.errors import ProtocolError
from zdqn.records.snapshots import Evaluation, EvaluationQueue, FrozenSnapshot
from zdqn.roles.building import evaluation_seed
from zdqn.wire import codec, payloads
from zdqn.wire.desk import RefusedError
from zdqn.wire.model_messages import (
    Claim,
    EvaluationResult,
    NetworkLayer,
    NothingToEvaluate,
    Snapshot,
    Weights,
)
from zdqn.wire.peers import Peer
from zdqn.wire.protocol import Acknowledged, Refusal
from zdqn.wire.quiet_log import QuietLog
from zdqn.wire.request_sockets import Request, Sendable

logger = logging.getLogger("zdqn.learner")

_MOST_LENGTH = 2**48 - 1
"""Environment steps of an episode, as many as a client may count of anything."""


class EvaluationClaims:
    """Gives each snapshot to one evaluator, and takes its scores.

    Used by one thread at a time, but for `take`, which any thread may call.

    Args:
        config: of the run.
        run_id: of the run.
        reply: sends an answer.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        config: Config,
        run_id: str,
        reply: Callable[[Request, Sendable], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._run_id = run_id
        self._reply = reply
        self._clock = clock
        self._log = QuietLog(logger, clock=clock)
        self._queue = EvaluationQueue(config.evaluator.waiting_snapshots)
        self._network: tuple[NetworkLayer, ...] = ()
        self._waiting: dict[int, tuple[float, Request]] = {}  # by session, oldest first
        self._evaluations: deque[Evaluation] = deque()

    def offer(self, snapshot: FrozenSnapshot, *, first: bool = False) -> int:
        """Have a snapshot evaluated.

        Args:
            snapshot: what to score.
            first: whether before all that wait.

        Returns:
            How many were dropped so far, as more waited than ``evaluator.waiting_snapshots``.
        """
        if first:
            self._queue.offer_first(snapshot)
        else:
            self._queue.offer(snapshot)
        return self._queue.dropped

    def describe(self, network: tuple[NetworkLayer, ...]) -> None:
        """Tell evaluators how action values follow from weights."""
        self._network = network

    def release(self, peer: Peer) -> None:
        """Give what an evaluator that has gone held to another."""
        self._waiting.pop(peer.session, None)
        for number in self._queue.release(peer.session):
            logger.info("snapshot %d, which %s was scoring, is given out again", number, peer.name)

    @property
    def unevaluated(self) -> int:
        """Snapshots that have no result yet."""
        return len(self._queue)

    @property
    def waits(self) -> bool:
        """Whether an evaluator waits for a snapshot."""
        return bool(self._waiting)

    def take(self) -> list[Evaluation]:
        """Give the evaluations that came in since the last call."""
        evaluations = []
        while self._evaluations:
            evaluations.append(self._evaluations.popleft())
        return evaluations

    def claim(self, request: Request, header: Claim, clients: Mapping[int, Peer]) -> None:
        """Let an evaluator wait for a snapshot; an earlier claim of its own waits no longer.

        Raises:
            RefusedError: when it has not said hello: nobody would notice if it died.
        """
        if header.session not in clients:
            raise RefusedError(Refusal.UNKNOWN_SESSION, "say hello before you claim")
        earlier = self._waiting.pop(header.session, None)
        if earlier is not None:
            self._reply(earlier[1], codec.encode(NothingToEvaluate(stopping=False)))
        deadline_s = self._clock() + header.wait_ms / 1000
        self._waiting[header.session] = deadline_s, request

    def advance(self, *, over: bool) -> bool:
        """Answer those that can be given something, or have waited long enough.

        Args:
            over: whether nothing more will be evaluated.

        Returns:
            Whether anybody was answered.
        """
        now_s = self._clock()
        waited = len(self._waiting)
        for session, (deadline_s, request) in list(self._waiting.items()):
            snapshot = None if over else self._queue.claim(session)
            if snapshot is not None:
                self._send(request, snapshot)
            elif over or now_s >= deadline_s:
                self._reply(request, codec.encode(NothingToEvaluate(stopping=over)))
            else:
                continue
            del self._waiting[session]
        return len(self._waiting) < waited

    def _send(self, request: Request, snapshot: FrozenSnapshot) -> None:
        evaluator = self._config.evaluator
        weights = Weights(
            run_id=self._run_id,
            weight_version=snapshot.weight_version,
            environment_steps=snapshot.environment_steps,
            updates=snapshot.updates,
            stopping=False,
            tensors=payloads.describe_tensors(snapshot.arrays),
            network=self._network,
        )
        header = Snapshot(
            snapshot=snapshot.number,
            weights=weights,
            episodes=evaluator.episodes,
            epsilon=evaluator.epsilon,
            seed=evaluation_seed(self._config.run.seed, snapshot.number),
        )
        self._reply(request, codec.encode(header, tuple(snapshot.arrays.values())))

    def take_result(
        self, header: EvaluationResult, message: codec.Message, clients: Mapping[int, Peer]
    ) -> Acknowledged:
        """Take the scores of a snapshot; a second result for it is dropped.

        Raises:
            ProtocolError: when they are none.
        """
        if header.episodes < 1:
            raise ProtocolError("an evaluation of no episodes")
        if header.cut > header.episodes:
            raise ProtocolError(f"{header.cut} episodes cut off, of {header.episodes}")
        most = self._config.evaluator.episodes
        if header.episodes > most:
            raise ProtocolError(f"{header.episodes} episodes, where {most} were to be played")
        returns, lengths = codec.read_arrays(message, payloads.scores_layout(header.episodes))
        _check_scores(returns, lengths)
        snapshot = self._queue.complete(header.session, header.snapshot)
        if snapshot is None:
            text = "dropped a second result for snapshot %d"
            self._log.say(logging.INFO, "second result", text, header.snapshot)
            return Acknowledged()
        peer = clients.get(header.session)
        name = peer.name if peer is not None else f"{header.session:016x}"
        scores = EvaluationScores(tuple(returns.tolist()), tuple(lengths.tolist()), header.cut)
        self._evaluations.append(Evaluation(snapshot, scores, name, header.duration_s))
        return Acknowledged()


def _check_scores(returns: NDArray[np.float64], lengths: NDArray[np.int64]) -> None:
    """Refuse scores that no episode can have: one may end a run for everybody."""
    if not np.isfinite(returns).all():
        raise ProtocolError("an evaluation holds a return that is not finite")
    wrong = lengths[(lengths < 1) | (lengths > _MOST_LENGTH)]
    if len(wrong):
        raise ProtocolError(
            f"an evaluation holds an episode of {wrong[0]} environment steps; 1 to {_MOST_LENGTH} "
            f"are allowed"
        )
    beyond = np.flatnonzero(np.abs(returns) > MAX_REWARD * lengths)
    if len(beyond):
        index = beyond[0]
        raise ProtocolError(
            f"an evaluation holds the return {returns[index]:g} of {lengths[index]} environment "
            f"steps; a reward is within {MAX_REWARD:g}"
        )
