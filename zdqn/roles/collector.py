"""The collector: steps environments, explores, and sends what happens to the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.rl.exploration import explore
from zdqn.roles.acting.block_stream import BlockSource, BlockStream
from zdqn.roles.acting.policy import Policy
from zdqn.roles.building import build_environments, build_rollout
from zdqn.roles.collecting_client import CollectingClient
from zdqn.wire.compression import check_compression

if TYPE_CHECKING:
    from zdqn.core.rollout import Rollout


class Collector(CollectingClient):
    """The collector role.

    Args:
        config: of the run; None takes the learner's.
        learner: REQ/REP address of the learner.
        memory: REQ/REP address of the memory; None takes the one that the learner uses.
        environment: makes an environment in place of ``environment.id``.
        network: makes the Q-network in place of ``network.kind``.
        name: what others call it; by default host and process number.
        keys: folder of keys instead of ``security.keys``.
        allow_code: modules that a configuration from the learner may name code of.
        context: where sockets live; by default one of its own.
        stop: set it to end `run`.
        on_episode: told of each episode that ends, in the thread of `run`, which waits for it. What
            it raises ends the role, and so does what the next one raises.
        on_weights: told of each version of the weights that is taken over, likewise.

    Raises:
        ConfigError: for a malformed address, or an environment that cannot be made.
        NotAllowedError: when a key is missing, or others can read it.
    """

    _rollout: Rollout | None = None

    def _make_environments(self, config: Config) -> tuple[Any, EnvironmentSpec]:
        section = config.collector
        check_compression(section.compression)
        return build_environments(
            config, self._factory, count=section.environments, vectorization=section.vectorization
        )

    def _make_source(self, config: Config, seed: int) -> BlockSource:
        assert self._spec is not None
        self._rollout = build_rollout(
            config, self._environments, self._spec, seed=seed, label=self._name
        )
        return self._rollout

    def _play(self, policy: Policy, stream: BlockStream, rng: np.random.Generator) -> None:
        assert self._config is not None
        assert self._spec is not None
        assert self._rollout is not None
        rollout = self._rollout
        count, actions = self._config.collector.environments, self._spec.num_actions
        while not self._is_over():
            epsilon = self._look_up_epsilon()
            allowed = rollout.allowed
            exploration = explore(count, actions, epsilon, rng, allowed)
            choice = policy.choose(rollout.observations, exploration, allowed)
            if choice is None:
                break
            rollout.step(*choice)
            for episode in rollout.take_episodes():
                self.note_episode(episode)
            stream.send_if_due(self._is_over)
