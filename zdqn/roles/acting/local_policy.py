"""A collector's own network, kept as new as what the learner publishes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError
from zdqn.rl.action_masks import allowed_values
from zdqn.rl.exploration import Choice, Exploration
from zdqn.roles.building import NetworkFactory, acting_seed, build_policy
from zdqn.wire import codec, payloads
from zdqn.wire.asking import Reply, ask, wait_for
from zdqn.wire.model_messages import Weights, WeightsRequest
from zdqn.wire.protocol import ErrorReply, Refusal
from zdqn.wire.request_sockets import Client
from zdqn.wire.weight_sockets import WeightSubscriber

logger = logging.getLogger("zdqn.collector")

_LOOK_S = 0.001
"""A collector looks for new weights no sooner: to take them over costs as much as a step."""
_REQUEST_TIMEOUT_S = 1.0
_RETRY_S = 0.05


class LocalPolicy:
    """Holds the newest published weights itself.

    Args:
        config: of the run.
        client: of the learner, for the first weights; used by the constructor only.
        subscriber: to what the learner publishes; closed with this policy.
        spec: of the environment.
        network: makes the Q-network in place of ``network.kind``.
        estimate: whether to give Q values with every choice, for priorities.
        rows: observations that are acted on at once.
        own_process: whether PyTorch's threads in this process are this policy's to set.
        stop: ends waiting.
        run_id: of the run; weights of another are ignored.
        clock: gives seconds that only ever grow.

    Raises:
        PeerUnavailableError: if the learner gives no weights in ``links.connect_timeout_s``.
        MismatchError: if it refuses, or its weights are of another network.
    """

    def __init__(
        self,
        config: Config,
        *,
        client: Client,
        subscriber: WeightSubscriber,
        spec: EnvironmentSpec,
        network: NetworkFactory | None,
        estimate: bool,
        rows: int,
        own_process: bool = True,
        stop: threading.Event,
        run_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = build_policy(
            config, network, spec, rows, set_threads=own_process, noise_seed=acting_seed()
        )
        self._estimate = estimate
        self._subscriber = subscriber
        self._clock = clock
        self._run_id = run_id
        self.weight_version = -1
        self._looked_s = 0.0
        self.environment_steps = 0
        self.stopping = False
        self.asking_s = 0.0
        self.asks = False
        reply = wait_for(
            lambda: self._fetch(client, stop),
            what=f"the first weights of the learner at {client.address}",
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
            if reply.header.code is Refusal.STOPPING:
                stop.set()
            stop.wait(_RETRY_S)
            return None
        return reply

    def refresh(self) -> None:
        """Take over the newest weights since the last look, if it is time for another."""
        now_s = self._clock()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        message = self._subscriber.latest()
        if message is None:
            return
        try:
            self._take(codec.decode(message))
        except MismatchError as error:
            logger.warning("ignored weights: %s", error)

    def _take(self, message: codec.Message) -> None:
        header = codec.expect(message, Weights)
        if header.run_id != self._run_id:
            raise MismatchError(
                f"weights of run {header.run_id} came, and this collector belongs to run "
                f"{self._run_id}"
            )
        self.stopping = self.stopping or header.stopping
        self.environment_steps = max(self.environment_steps, header.environment_steps)
        if header.weight_version <= self.weight_version:  # never back, and nothing to do if equal
            return
        self._policy.load(payloads.read_weights(message, header))
        self.weight_version = header.weight_version

    def choose(
        self,
        observations: NDArray[Any],
        exploration: Exploration,
        allowed: NDArray[np.bool_] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Choice:
        """Act by the network where not exploring; nobody is waited for."""
        return self._policy.choose(
            observations,
            exploration,
            self.weight_version,
            estimate=self._estimate,
            allowed=allowed,
        )

    def value(
        self, observations: NDArray[Any], allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32] | None:
        """Give max_a Q, if it estimates."""
        if not self._estimate:
            return None
        best: NDArray[np.float32] = allowed_values(
            self._policy.q_values(observations), allowed
        ).max(1)
        return best

    def close(self) -> None:
        """Unsubscribe."""
        self._subscriber.close()
