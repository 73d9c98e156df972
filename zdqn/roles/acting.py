"""Where a collector's greedy actions come from: its own network, or the model server."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError, ProtocolError
from zdqn.rl.exploration import Choice, Exploration
from zdqn.rl.schedules import LinearSchedule, ladder_epsilons
from zdqn.roles.building import NetworkFactory, build_policy
from zdqn.wire import codec
from zdqn.wire.addresses import Address
from zdqn.wire.protocol import ActionRequest, Actions, ErrorReply, Weights, WeightsRequest
from zdqn.wire.session import Reply, ask, raise_refusal, wait_for
from zdqn.wire.sockets import Client, Context, WeightSubscriber

logger = logging.getLogger("zdqn.collector")

_LOOK_S = 0.005
_LOOK_STEPS = 10
_LOOK_AT_LAST_S = 0.1
"""A collector looks for new weights every 10 steps, but no sooner and no later than this: to take
them over costs as much as a few steps."""
_REQUEST_TIMEOUT_S = 1.0
_RETRY_S = 0.05


class Policy(Protocol):
    """Chooses actions for a collector.

    Attributes:
        environment_steps: of all collectors, the last that came with weights.
        stopping: training is over.
        asking_s: seconds spent waiting for somebody else's actions.
    """

    environment_steps: int
    stopping: bool
    asking_s: float

    def refresh(self) -> None:
        """Take over newer weights, if there are any."""

    def choose(self, observations: NDArray[Any], exploration: Exploration) -> Choice | None:
        """Act in N environments; None if the run ended first.

        Args:
            observations: shape (N, *stacked_shape).
            exploration: where to act at random instead.
        """

    def close(self) -> None:
        """Close what it holds."""


class LocalPolicy:
    """Holds the newest published weights itself.

    Args:
        config: of the run.
        context: where sockets live.
        spec: of the environment.
        model: REQ/REP address of the learner.
        weights: address where it publishes.
        network: makes the Q-network in place of ``network.kind``.
        estimate: whether to give Q values with every choice, for priorities.
        stop: ends waiting.
    """

    def __init__(
        self,
        config: Config,
        *,
        context: Context,
        spec: EnvironmentSpec,
        model: Address,
        weights: Address,
        network: NetworkFactory | None,
        estimate: bool,
        stop: threading.Event,
    ) -> None:
        self._policy = build_policy(config, network, spec, config.collector.environments)
        self._estimate = estimate
        self._subscriber = WeightSubscriber(context, weights)
        self._version = -1
        self._looked_s = 0.0
        self._steps = 0
        self.environment_steps = 0
        self.stopping = False
        self.asking_s = 0.0
        with Client(context, model) as client:
            reply = wait_for(
                lambda: self._fetch(client, stop),
                what=f"the first weights of the learner at {model}",
                connect_timeout_s=config.links.connect_timeout_s,
                stop=stop,
            )
        if reply is not None:
            self._take(reply.message)

    def _fetch(self, client: Client, stop: threading.Event) -> Reply | None:
        """Ask once for the current weights: a late joiner would wait for the next broadcast."""
        reply = ask(
            client, WeightsRequest(), server="learner", timeout_s=_REQUEST_TIMEOUT_S, stop=stop
        )
        if reply is not None and isinstance(reply.header, ErrorReply):
            if reply.header.code == "stopping":
                stop.set()
            stop.wait(_RETRY_S)
            return None
        return reply

    def refresh(self) -> None:
        """Take over the newest weights since the last look, if it is time for another."""
        self._steps += 1
        now_s = time.monotonic()
        since_s = now_s - self._looked_s
        if since_s < (_LOOK_S if self._steps >= _LOOK_STEPS else _LOOK_AT_LAST_S):
            return
        self._looked_s, self._steps = now_s, 0
        message = self._subscriber.latest()
        if message is None:
            return
        try:
            self._take(codec.decode(message))
        except MismatchError as error:
            logger.warning("ignored weights: %s", error)

    def _take(self, message: codec.Message) -> None:
        header = codec.expect(message, Weights)
        self.stopping = self.stopping or header.stopping
        self.environment_steps = max(self.environment_steps, header.environment_steps)
        if header.weight_version <= self._version:  # never back, and nothing to do if equal
            return
        self._policy.load(codec.read_weights(message, header))
        self._version = header.weight_version

    def choose(self, observations: NDArray[Any], exploration: Exploration) -> Choice:
        """Act by the network where not exploring."""
        return self._policy.choose(
            observations, exploration, self._version, estimate=self._estimate
        )

    def close(self) -> None:
        """Unsubscribe."""
        self._subscriber.close()


class RemotePolicy:
    """Asks the model server for every greedy action; needs no network and no torch.

    Args:
        config: of the run.
        context: where sockets live.
        spec: of the environment.
        model: REQ/REP address of the learner.
        session: of the collector.
        stop: ends waiting.
    """

    def __init__(
        self,
        config: Config,
        *,
        context: Context,
        spec: EnvironmentSpec,
        model: Address,
        session: int,
        stop: threading.Event,
    ) -> None:
        self._client = Client(context, model)
        self._connect_timeout_s = config.links.connect_timeout_s
        self._spec = spec
        self._model = model
        self._session = session
        self._stop = stop
        self._version = -1
        self._starts: dict[int, bytes] = {}  # of messages, by how many observations they hold
        self.environment_steps = 0
        self.stopping = False
        self.asking_s = 0.0

    def refresh(self) -> None:
        """Do nothing: every action is asked for."""

    def choose(self, observations: NDArray[Any], exploration: Exploration) -> Choice | None:
        """Ask for the actions of those environments that do not explore."""
        exploring = np.count_nonzero(exploration.exploring)
        if exploring == len(observations):
            return Choice(exploration.actions, max(self._version, 0))
        started_s = time.monotonic()
        asking = ~exploration.exploring
        greedy = self._ask(observations[asking] if exploring else observations)
        self.asking_s += time.monotonic() - started_s
        if greedy is None:
            return None
        if not exploring:
            return Choice(greedy, self._version)
        actions = exploration.actions.copy()
        actions[asking] = greedy
        return Choice(actions, self._version)

    def _ask(self, observations: NDArray[Any]) -> NDArray[np.int64] | None:
        count = len(observations)
        start = self._starts.get(count)
        if start is None:
            header = ActionRequest(
                session=self._session, spec_digest=self._spec.digest, count=count
            )
            start = self._starts[count] = codec.encode_start(header)
        question = start + observations.tobytes()
        reply = self._request(question)
        if reply is None:  # slow or starting: wait for it, aloud
            reply = wait_for(
                lambda: self._request(question),
                what=f"actions from the learner at {self._model}",
                connect_timeout_s=self._connect_timeout_s,
                stop=self._stop,
            )
        if reply is None:
            return None
        answer = codec.expect(reply.message, Actions)
        (actions,) = codec.read_arrays(reply.message, codec.actions_layout(answer.count))
        if len(actions) != count:
            raise ProtocolError(
                f"the learner answered {len(actions)} actions to {count} observations"
            )
        self._version = answer.weight_version
        return actions

    def _request(self, question: bytes) -> Reply | None:
        body = self._client.request(question, timeout_s=_REQUEST_TIMEOUT_S, stop=self._stop)
        if body is None:
            return None
        message = codec.decode(body)
        if isinstance(message.header, ErrorReply):
            if message.header.code == "stopping":
                self.stopping = True
                self._stop.set()
            elif message.header.code != "not_serving":
                raise_refusal(message.header, "learner", self._model)
            self._stop.wait(_RETRY_S)
            return None
        return Reply(message.header, message)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class EpsilonSource:
    """The epsilon of each of a collector's environments.

    Args:
        config: its ``exploration`` section is used.
    """

    def __init__(self, config: Config) -> None:
        section = config.exploration
        self._section = section
        self._index = -1
        self._environments = config.collector.environments
        self._planned = config.launch.collectors
        self._linear = LinearSchedule(
            section.epsilon_initial,
            section.epsilon_final,
            section.epsilon_decay_environment_steps,
        )
        self._collectors = 0
        self._rungs: NDArray[np.float64] | None = None

    def at(
        self, environment_steps: int, collectors: int, index: int
    ) -> float | NDArray[np.float64]:
        """Give epsilon now.

        Args:
            environment_steps: of all collectors.
            collectors: living ones, as far as is known.
            index: of this one among them, from 0.

        Returns:
            One number, or one for each environment, shape (N,).
        """
        if self._section.kind == "linear":
            return self._linear(environment_steps)
        collectors = max(collectors, self._planned, index + 1)
        if self._rungs is None or (collectors, index) != (self._collectors, self._index):
            self._collectors, self._index = collectors, index
            ladder = ladder_epsilons(
                collectors * self._environments,
                base=self._section.ladder_base,
                exponent=self._section.ladder_exponent,
            )
            start = self._index * self._environments
            self._rungs = ladder[start : start + self._environments]
        return self._rungs
