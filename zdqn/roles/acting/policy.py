"""What chooses actions: a network of one's own, or the model server."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.rl.exploration import Choice, Exploration
from zdqn.roles.acting.local_policy import LocalPolicy
from zdqn.roles.acting.remote_policy import RemotePolicy
from zdqn.roles.building import NetworkFactory
from zdqn.wire.addresses import Address, parse_address
from zdqn.wire.node import Node
from zdqn.wire.protocol import Welcome


class Policy(Protocol):
    """Chooses actions for a collector.

    Attributes:
        environment_steps: of all collectors, the last that came with weights.
        stopping: training is over.
        asking_s: seconds spent waiting for somebody else's actions.
        asks: whether it waits for some now.
        weight_version: packed version of the weights that chose last; -1 before the first.
    """

    environment_steps: int
    stopping: bool
    asking_s: float
    asks: bool
    weight_version: int

    def refresh(self) -> None:
        """Take over newer weights, if there are any."""

    def choose(
        self,
        observations: NDArray[Any],
        exploration: Exploration,
        allowed: NDArray[np.bool_] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Choice | None:
        """Act in N environments; None if the run or the time ended first.

        Args:
            observations: shape (N, *stacked_shape).
            exploration: where to act at random instead; of the same `allowed`.
            allowed: which actions may be taken, shape (N, num_actions), bool, some in each row;
                None where the spec has no masks.
            timeout_s: how long to wait for somebody else's actions; None for as long as it takes.
        """

    def value(
        self, observations: NDArray[Any], allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32] | None:
        """Give max_a Q of observations, shape (N,), float32; None where it gives no estimates.

        Args:
            observations: shape (N, *stacked_shape).
            allowed: see `choose`.
        """

    def close(self) -> None:
        """Close what it holds."""


def make_policy(
    config: Config,
    *,
    node: Node,
    learner: Address,
    welcome: Welcome,
    spec: EnvironmentSpec,
    network: NetworkFactory | None,
    session: int,
    stop: threading.Event,
    rows: int,
    own_process: bool = True,
) -> Policy:
    """Make the policy that ``collector.policy`` names.

    Args:
        config: of the run.
        node: makes sockets.
        learner: its REQ/REP address.
        welcome: what it said when it was joined.
        spec: of the environment.
        network: makes the Q-network in place of ``network.kind``.
        session: of who acts.
        stop: ends waiting.
        rows: observations that are acted on at once.
        own_process: whether PyTorch's threads in this process are the policy's to set.

    Returns:
        A policy, to be closed. A local one has weights, unless the run ended first.

    Raises:
        ConfigError: when the network cannot be built for this environment.
        PeerUnavailableError: when the learner gives no weights in ``links.connect_timeout_s``.
        MismatchError: when it refuses, or its weights are of another network.
    """
    if config.collector.policy == "remote":
        return RemotePolicy(
            config, client=node.client(learner, "learner"), spec=spec, session=session, stop=stop
        )
    weights = parse_address(welcome.data_endpoint, parameter="the learner's weights address")
    subscriber = node.subscriber(weights.reached_through(learner))
    prioritized = config.replay.kind == "prioritized"
    with node.client(learner, "learner") as client:
        return LocalPolicy(
            config,
            client=client,
            subscriber=subscriber,
            spec=spec,
            network=network,
            estimate=prioritized and config.replay.initial_priority == "collector",
            rows=rows,
            own_process=own_process,
            stop=stop,
            run_id=welcome.run_id,
        )
