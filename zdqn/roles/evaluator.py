"""The evaluator: takes frozen snapshots from the learner and plays them."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.data import EnvironmentSpec, EvaluationScores
from zdqn.rl.exploration import epsilon_greedy
from zdqn.roles.building import build_evaluation_environments, build_network, use_threads
from zdqn.roles.learner_client import LearnerClient
from zdqn.wire import codec, payloads
from zdqn.wire.asking import ask
from zdqn.wire.field_types import Statistics
from zdqn.wire.model_messages import Claim, EvaluationResult, NothingToEvaluate, Snapshot
from zdqn.wire.protocol import Acknowledged, ErrorReply
from zdqn.wire.request_sockets import Client
from zdqn.wire.status import EvaluatorStatistics

if TYPE_CHECKING:
    from zdqn.rl.torch_policy import TorchPolicy

logger = logging.getLogger("zdqn.evaluator")

_CLAIM_WAIT_MS = 5_000
_CLAIM_TIMEOUT_S = 7.0
_RESULT_TIMEOUT_S = 2.0
_RETRY_S = 0.1


@dataclass(frozen=True)
class EvaluatorResult:
    """What an evaluator did in its life.

    Attributes:
        evaluations: snapshots that it scored.
        episodes: played for them.
    """

    evaluations: int
    episodes: int


class Evaluator(LearnerClient):
    """The evaluator role. It waits in the learner's queue, and uses no processor meanwhile.

    Args:
        config: of the run; None takes the learner's.
        learner: REQ/REP address of the learner.
        environment: makes an environment in place of ``environment.id``.
        network: makes the Q-network in place of ``network.kind``.
        name: what others call it; by default host and process number.
        keys: folder of keys instead of ``security.keys``.
        allow_code: modules that a configuration from the learner may name code of.
        context: where sockets live; by default one of its own.
        stop: set it to end `run`.

    Raises:
        ConfigError: for a malformed address, or an environment that cannot be made.
        NotAllowedError: when a key is missing, or others can read it.
    """

    _role = "evaluator"
    _evaluations = 0
    _episodes = 0
    _steps = 0
    _waits = True
    _doing = ("", 0.0)
    """What it does, and since when."""

    def _make_environments(self, config: Config) -> tuple[Any, EnvironmentSpec]:
        return build_evaluation_environments(
            config, self._factory, episodes=config.evaluator.episodes
        )

    def run(self) -> EvaluatorResult:
        """Score snapshots until the learner has no more or `stop` is set.

        Returns:
            What it did.

        Raises:
            EnvironmentFailedError: when the environment raises or misbehaves.
            MismatchError: when the learner refuses.
            PeerUnavailableError: when it does not answer in ``links.connect_timeout_s``.
        """
        self._begin("starting")
        with ExitStack() as stack:
            membership, welcome = self._join()
            stack.callback(membership.leave)
            if welcome is not None:
                logger.info("evaluating as evaluator %d of run %s", welcome.index, welcome.run_id)
                client = stack.enter_context(self._node.client(self._learner, "learner"))
                self._serve(client)
            membership.raise_failure()
        return EvaluatorResult(self._evaluations, self._episodes)

    def _serve(self, client: Client) -> None:
        from zdqn.rl.torch_policy import TorchPolicy

        assert self._config is not None
        assert self._spec is not None
        use_threads(1)
        policy = TorchPolicy(build_network(self._config, self._network, self._spec))
        while not self._stop.is_set():
            self._begin("waiting for a snapshot")
            claim = Claim(session=self._session, wait_ms=_CLAIM_WAIT_MS)
            reply = ask(
                client, claim, server="learner", timeout_s=_CLAIM_TIMEOUT_S, stop=self._stop
            )
            if reply is None or isinstance(reply.header, ErrorReply):
                self._stop.wait(_RETRY_S)
                continue
            if isinstance(reply.header, NothingToEvaluate):
                if reply.header.stopping:
                    return
                continue
            snapshot = codec.expect(reply.message, Snapshot)
            policy.load(payloads.read_weights(reply.message, snapshot.weights))
            self._score(client, policy, snapshot)

    def _score(self, client: Client, policy: TorchPolicy, snapshot: Snapshot) -> None:
        self._begin(f"evaluating snapshot {snapshot.snapshot}")
        started_s = time.monotonic()
        self._waits = False
        scores = self._play(policy, snapshot)
        self._waits = True
        if scores is None:  # stopped: the learner gives it to somebody else
            return
        header = EvaluationResult(
            session=self._session,
            snapshot=snapshot.snapshot,
            episodes=len(scores.returns),
            cut=scores.cut,
            duration_s=time.monotonic() - started_s,
        )
        arrays = (np.array(scores.returns, np.float64), np.array(scores.lengths, np.int64))
        self._deliver(client, codec.encode(header, arrays))
        self._evaluations += 1
        self._episodes += len(scores.returns)

    def _play(self, policy: TorchPolicy, snapshot: Snapshot) -> EvaluationScores | None:
        from zdqn.core.evaluation import evaluate

        assert self._spec is not None
        spec = self._spec
        rng = np.random.default_rng(snapshot.seed)

        def choose(
            observations: NDArray[Any], allowed: NDArray[np.bool_] | None
        ) -> NDArray[np.int64]:
            self._steps += len(observations)
            greedy = policy.greedy_actions(observations, allowed)
            return epsilon_greedy(greedy, spec.num_actions, snapshot.epsilon, rng, allowed)

        return evaluate(
            self._environments,
            spec,
            choose,
            episodes=snapshot.episodes,
            seed=snapshot.seed,
            label=self._name,
            stop=self._stop.is_set,
        )

    def _deliver(self, client: Client, result: bytes) -> None:
        """Hand in a result until the learner says that it has it."""
        while not self._stop.is_set():
            body = client.request(result, timeout_s=_RESULT_TIMEOUT_S, stop=self._stop)
            if body is not None:
                codec.expect(codec.decode(body), Acknowledged)
                return

    def _begin(self, doing: str) -> None:
        """Take note of what is done now, and since when."""
        if doing != self._doing[0]:
            self._doing = (doing, time.monotonic())

    def _statistics(self) -> Statistics:
        doing, since_s = self._doing
        statistics = EvaluatorStatistics(
            evaluations=self._evaluations,
            episodes=self._episodes,
            doing=doing,
            environment_steps=self._steps,
            doing_s=round(time.monotonic() - since_s, 1),
            idle_s=round(self._standstill.look(self._steps, waits=self._waits), 1),
        )
        return statistics.to_wire()
