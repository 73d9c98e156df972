"""Actions of the model server, asked for one observation at a time or several."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.errors import ProtocolError
from zdqn.rl.action_masks import pack_masks
from zdqn.rl.exploration import Choice, Exploration
from zdqn.wire import codec, payloads
from zdqn.wire.asking import Reply, raise_refusal, wait_for
from zdqn.wire.model_messages import ActionRequest, Actions
from zdqn.wire.protocol import ErrorReply, Refusal
from zdqn.wire.request_sockets import Client

_REQUEST_TIMEOUT_S = 1.0
_RETRY_S = 0.05


class RemotePolicy:
    """Asks the model server for every greedy action; needs no network and no torch.

    Args:
        config: of the run.
        client: of the learner; closed with this policy.
        spec: of the environment.
        session: of the collector.
        stop: ends waiting.
    """

    def __init__(
        self,
        config: Config,
        *,
        client: Client,
        spec: EnvironmentSpec,
        session: int,
        stop: threading.Event,
    ) -> None:
        self._client = client
        self._connect_timeout_s = config.links.connect_timeout_s
        self._spec = spec
        self._session = session
        self._stop = stop
        self.weight_version = -1
        self._starts: dict[int, bytes] = {}  # of messages, by how many observations they hold
        self.environment_steps = 0
        self.stopping = False
        self.asking_s = 0.0
        self.asks = False

    def refresh(self) -> None:
        """Do nothing: every action is asked for."""

    def choose(
        self,
        observations: NDArray[Any],
        exploration: Exploration,
        allowed: NDArray[np.bool_] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Choice | None:
        """Ask for the actions of those environments that do not explore."""
        exploring = np.count_nonzero(exploration.exploring)
        if exploring == len(observations):
            return Choice(exploration.actions, max(self.weight_version, 0))
        started_s = time.monotonic()
        asking = ~exploration.exploring
        self.asks = True
        if exploring:
            observations = observations[asking]
            allowed = None if allowed is None else allowed[asking]
        greedy = self._ask(observations, allowed, timeout_s)
        self.asks = False
        self.asking_s += time.monotonic() - started_s
        if greedy is None:
            return None
        if not exploring:
            return Choice(greedy, self.weight_version)
        actions = exploration.actions.copy()
        actions[asking] = greedy
        return Choice(actions, self.weight_version)

    def _ask(
        self,
        observations: NDArray[Any],
        allowed: NDArray[np.bool_] | None,
        timeout_s: float | None,
    ) -> NDArray[np.int64] | None:
        count = len(observations)
        question = self._write(observations, allowed)
        reply = self._request_within(question, timeout_s)
        if reply is None and timeout_s is None:  # slow or starting: wait for it, aloud
            reply = wait_for(
                lambda: self._request(question),
                what=f"actions from the learner at {self._client.address}",
                connect_timeout_s=self._connect_timeout_s,
                stop=self._stop,
            )
        if reply is None:
            return None
        answer = codec.expect(reply.message, Actions)
        (actions,) = codec.read_arrays(reply.message, payloads.actions_layout(answer.count))
        if len(actions) != count:
            raise ProtocolError(
                f"the learner answered {len(actions)} actions to {count} observations"
            )
        if allowed is not None:
            _check_allowed(actions, allowed)
        self.weight_version = answer.weight_version
        return actions

    def _write(self, observations: NDArray[Any], allowed: NDArray[np.bool_] | None) -> bytes:
        count = len(observations)
        start = self._starts.get(count)
        if start is None or allowed is not None:
            header = ActionRequest(
                session=self._session, spec_digest=self._spec.digest, count=count
            )
            if allowed is not None:
                return codec.encode(header, (observations, pack_masks(allowed)))
            start = self._starts[count] = codec.encode_start(header)
        return start + observations.tobytes()

    def _request_within(self, question: bytes, timeout_s: float | None) -> Reply | None:
        """Ask once, or again and again until there is no time left."""
        reply = None
        end_s = time.monotonic() + (_REQUEST_TIMEOUT_S if timeout_s is None else timeout_s)
        while reply is None and not self._stop.is_set():
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                break
            reply = self._request(question, min(left_s, _REQUEST_TIMEOUT_S))
            if timeout_s is None:
                break
        return reply

    def _request(self, question: bytes, timeout_s: float = _REQUEST_TIMEOUT_S) -> Reply | None:
        body = self._client.request(question, timeout_s=timeout_s, stop=self._stop)
        if body is None:
            return None
        message = codec.decode(body)
        if isinstance(message.header, ErrorReply):
            if message.header.code is Refusal.STOPPING:
                self.stopping = True
                self._stop.set()
            elif not message.header.code.passes:
                raise_refusal(message.header, "learner", self._client.address)
            self._stop.wait(min(_RETRY_S, timeout_s))
            return None
        return Reply(message.header, message)

    def value(self, observations: NDArray[Any], allowed: NDArray[np.bool_] | None = None) -> None:
        """Give nothing: it has no values."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _check_allowed(actions: NDArray[np.int64], allowed: NDArray[np.bool_]) -> None:
    known = (actions >= 0) & (actions < allowed.shape[1])
    if not (known.all() and allowed[np.arange(len(actions)), actions].all()):
        raise ProtocolError(
            f"the learner answered the actions {actions.tolist()}, not all of which are allowed"
        )
