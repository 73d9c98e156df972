"""Greedy actions for others: all requests that wait are answered with one forward pass."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError, ProtocolError
from zdqn.rl.action_masks import unpack_masks
from zdqn.wire import codec, payloads
from zdqn.wire.desk import RefusedError, refusal
from zdqn.wire.model_messages import ActionRequest, Actions
from zdqn.wire.protocol import Refusal
from zdqn.wire.request_sockets import Request, Sendable

if TYPE_CHECKING:
    from zdqn.rl.greedy import Greedy
    from zdqn.roles.learner.publications import Published

logger = logging.getLogger("zdqn.learner")


class _Asked(NamedTuple):
    request: Request
    observations: NDArray[Any]
    allowed: NDArray[np.bool_] | None


class ActionAnswers:
    """Collects requests for actions, and answers those of a round together.

    Args:
        reply: sends an answer.
        most_observations: of one request, >= 1; others wait while they are looked at.

    Attributes:
        served: actions computed so far.
        weight_version: of the weights that it acts with; -1 before the first.
    """

    def __init__(
        self, reply: Callable[[Request, Sendable], object], *, most_observations: int
    ) -> None:
        self._reply = reply
        self._most_observations = most_observations
        self._policy: Greedy | None = None
        self._tried_version = -1
        self._waiting: list[_Asked] = []
        self.served = 0
        self.weight_version = -1

    def act_with(self, policy: Greedy) -> None:
        """Serve this policy's actions; nobody else may touch its network."""
        self._policy = policy

    def take(
        self,
        request: Request,
        header: ActionRequest,
        message: codec.Message,
        spec: EnvironmentSpec | None,
    ) -> None:
        """Take a request, to be answered with the round's others.

        Raises:
            ProtocolError: when it does not fit the environment's spec.
            RefusedError: when the spec is not known yet.
        """
        if header.count > self._most_observations:
            raise ProtocolError(
                f"an action request with {header.count} observations; a collector has at most "
                f"{self._most_observations} environments (collector.block_transitions)"
            )
        if spec is None:
            raise RefusedError(Refusal.NOT_SERVING, "no actions before an environment is known")
        self._waiting.append(_Asked(request, *_read(header, message, spec)))

    def answer(self, published: Published | None) -> bool:
        """Answer what was taken.

        Args:
            published: the newest weights, or None.

        Returns:
            Whether there was anything to answer.
        """
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return False
        policy = self._policy
        if published is None or policy is None:
            answer = codec.encode(refusal(RefusedError(Refusal.NOT_SERVING, "no weights yet")))
            for asked in waiting:
                self._reply(asked.request, answer)
            return True
        self._take_over(policy, published)
        self._act(policy, waiting)
        return True

    def _act(self, policy: Greedy, waiting: list[_Asked]) -> None:
        observations = [asked.observations for asked in waiting]
        masks = [asked.allowed for asked in waiting if asked.allowed is not None]
        stacked = observations[0] if len(observations) == 1 else np.concatenate(observations)
        actions = policy.greedy_actions(stacked, np.concatenate(masks) if masks else None)
        self.served += len(actions)
        start = 0
        written: dict[bytes, bytes] = {}  # answers by their actions: most are alike
        for request, asked, _ in waiting:
            count = len(asked)
            chosen = actions[start : start + count]
            start += count
            answer = written.get(chosen.tobytes())
            if answer is None:
                header = Actions(count=count, weight_version=self.weight_version)
                answer = written[chosen.tobytes()] = codec.encode(header, (chosen,))
            self._reply(request, answer)

    def _take_over(self, policy: Greedy, published: Published) -> None:
        if published.weight_version == self._tried_version:
            return
        self._tried_version = published.weight_version
        try:
            policy.load(published.arrays)
        except MismatchError as error:  # diverged: the training thread will notice
            logger.warning("act on with older weights: %s", error)
        else:
            self.weight_version = published.weight_version


def _read(
    header: ActionRequest, message: codec.Message, spec: EnvironmentSpec
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Give observations and, where the spec has masks, what is allowed at each."""
    if header.spec_digest != spec.digest:
        raise ProtocolError(
            f"an action request for another environment than this run's, {spec.describe()}"
        )
    arrays = codec.read_arrays(message, payloads.action_request_layout(header, spec))
    if not spec.action_masks:
        return arrays[0], None
    allowed = unpack_masks(arrays[1], spec.num_actions)
    if not allowed.any(axis=1).all():
        raise ProtocolError("an action request with a mask that allows nothing")
    return arrays[0], allowed
