"""The link of an agent to its run: it joins, sends and hears in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.core.accumulator import Accumulator
from zdqn.core.host_episodes import Look
from zdqn.data import EnvironmentSpec, EpisodeStatistics, WeightVersion
from zdqn.errors import CallbackFailedError, RoleFailedError, ZdqnError
from zdqn.rl.exploration import Choice, Exploration, explore
from zdqn.roles.acting.block_stream import BlockSource, BlockStream
from zdqn.roles.acting.policy import Policy
from zdqn.roles.agent.agent_status import AgentStatus
from zdqn.roles.agent.recording import RecordedBlocks, Recording
from zdqn.roles.building import NetworkFactory
from zdqn.roles.collecting_client import CollectingClient
from zdqn.wire.compression import check_compression
from zdqn.wire.sockets import Context

logger = logging.getLogger("zdqn.agent")

_LOOK_S = 0.01
"""How often the link looks for weights and old blocks while a program does nothing."""


class AgentLink(CollectingClient):
    """Counts as a collector, and carries what a program's threads record.

    `run` belongs to the link's own thread; `choose`, `value` and what tells of it may be called by
    any. Sockets of the policy are used by one thread at a time.

    Args:
        config: of the run; None takes the learner's.
        learner: REQ/REP address of the learner.
        memory: REQ/REP address of the memory; None takes the one that the learner uses.
        recording: what is to be sent.
        spec: makes the environment's spec for a frame stack, and with masks or without.
        episodes: that may go on at once.
        policy: "local" or "remote"; None as configured.
        network: makes the Q-network in place of ``network.kind``.
        name: what others call it.
        keys: folder of keys instead of ``security.keys``.
        allow_code: modules that a configuration from the learner may name code of.
        context: where sockets live; None for one of its own.
        on_episode: told of each recorded episode.
        on_weights: told of each version of the weights, in whatever thread finds it.
    """

    _own_process = False
    _rows = 1

    def __init__(
        self,
        config: Config | None,
        *,
        learner: str,
        memory: str | None,
        recording: Recording,
        spec: Callable[[int, bool], EnvironmentSpec],
        episodes: int,
        policy: str | None,
        network: NetworkFactory | None,
        name: str | None,
        keys: str | Path | None,
        allow_code: Collection[str],
        context: Context | None,
        on_episode: Callable[[EpisodeStatistics], object] | None,
        on_weights: Callable[[WeightVersion], object] | None,
    ) -> None:
        self._recording = recording
        self._spec_of = spec
        self._most = episodes
        self._policy_kind = policy
        self._lock = threading.RLock()  # of policy and random numbers
        self._settled = threading.Event()  # there is something to act with, or never will be
        self._leaving = threading.Event()
        self._leave_until_s = float("inf")
        self._acting = False
        self._ended = False
        self._rng = np.random.default_rng()
        self.failure: ZdqnError | None = None
        self.away_actions = 0
        self._at_random = False
        super().__init__(
            config,
            learner=learner,
            memory=memory,
            environment=None,
            network=network,
            name=name,
            keys=keys,
            allow_code=allow_code,
            context=context,
            stop=None,
            on_episode=on_episode,
            on_weights=on_weights,
        )

    # --- its own thread ---------------------------------------------------------------------------

    def live(self) -> None:
        """Run, and keep what it fails with for those who act."""
        try:
            self.run()
        except ZdqnError as error:
            self.failure = error
            logger.error("the agent %s goes on without the run: %s", self._name, error)
        except Exception as error:
            self.failure = RoleFailedError(f"The agent's link broke: {error!r}. This is a bug.")
            logger.exception("the link of the agent %s broke", self._name)
        finally:
            self._ended = True
            self._recording.close()
            self._settled.set()
            self.close()

    def _build(self, config: Config) -> None:
        own: dict[str, Any] = {"collector.environments": self._most}
        if self._policy_kind is not None:
            own["collector.policy"] = self._policy_kind
        super()._build(config.replace(own))

    def _make_environments(self, config: Config) -> tuple[None, EnvironmentSpec]:
        check_compression(config.collector.compression)
        section = config.environment
        return None, self._spec_of(section.frame_stack, section.action_masks)

    def _replaced_keys(self) -> Collection[str]:
        return [*super()._replaced_keys(), "environment.id", "environment.wrappers"]

    def _make_source(self, config: Config, seed: int) -> BlockSource:
        assert self._spec is not None
        accumulator = Accumulator(
            self._spec,
            environments=self._most,
            n_step=config.algorithm.n_step,
            discount=config.algorithm.discount,
            block_transitions=config.collector.block_transitions,
            reward_clip=config.algorithm.reward_clip,
        )
        self._recording.open(accumulator, self._spec, config.collector.block_transitions)
        return RecordedBlocks(self._recording)

    def _play(self, policy: Policy, stream: BlockStream, rng: np.random.Generator) -> None:
        with self._lock:
            self._rng, self._acting = rng, True
        self._settled.set()
        while not (self._leaving.is_set() or self._is_over()):
            self._recording.wait_until_full(_LOOK_S)
            stream.send_if_due(self._is_over)
        with self._lock:
            self._acting = False
        self._recording.close()

    def _is_over(self) -> bool:
        assert self._policy is not None
        if self._lock.acquire(blocking=False):  # or else somebody acts, and looks by themselves
            try:
                self._look_for_weights(self._policy)
            finally:
                self._lock.release()
        late = time.monotonic() > self._leave_until_s
        return self._stop.is_set() or self._policy.stopping or late

    def _counts(self) -> tuple[int, int]:
        return self._recording.environment_steps, self._recording.episodes

    def leave(self, grace_s: float) -> None:
        """End `run`; what is complete may take `grace_s` to leave. Any thread may call it."""
        self._leave_until_s = time.monotonic() + grace_s
        self._recording.close()
        self._leaving.set()
        with self._lock:
            if not self._acting:
                self._stop.set()

    # --- who acts ---------------------------------------------------------------------------------

    def wait_until_settled(self, timeout_s: float | None) -> bool:
        """Wait until there is something to act with.

        Returns:
            Whether there is.

        Raises:
            ZdqnError: what the link failed with.
        """
        self._settled.wait(timeout_s)
        if self.failure is not None:
            raise self.failure
        return self.has_joined

    def choose(self, look: Look, *, greedily: bool, timeout_s: float | None) -> Choice | None:
        """Choose an action by policy and exploration, as a collector does.

        Args:
            look: what to act on.
            greedily: without exploration.
            timeout_s: how long to wait for somebody else; None for as long as it takes.

        Returns:
            The action; None if none came in time, or none ever will.
        """
        policy, spec = self._policy, self._spec
        assert policy is not None
        assert spec is not None
        # with weights of its own nobody holds the lock for longer than an action takes
        wait_s = -1 if timeout_s is None or self.has_weights else timeout_s
        if not self._lock.acquire(timeout=wait_s):
            return None
        try:
            if self._acting:
                self._look_for_weights(policy)
            elif not self.has_weights:
                return None
            exploration = Exploration(np.zeros(1, np.bool_), np.zeros(1, np.int64))
            if not greedily:
                epsilons = self._look_up_epsilon()
                exploration = _explore(look, spec.num_actions, epsilons, self._rng)
            choice = policy.choose(
                look.observations, exploration, look.allowed, timeout_s=timeout_s
            )
            if choice is not None and self._at_random:
                self._at_random = False
                logger.info("acting by the policy again; %d actions were random", self.away_actions)
            return choice
        except CallbackFailedError as error:
            self.failure = error
            self._stop.set()
            raise
        finally:
            self._lock.release()

    def choose_at_random(self, look: Look) -> Choice:
        """Choose without anybody's help, what is allowed."""
        with self._lock:
            if not (self._at_random or self.is_over):
                logger.warning("nobody answers: actions are random from now on, and counted")
            self._at_random = not self.is_over
            spec = self._spec or self._spec_of(1, False)
            self.away_actions += 1
            version = self._policy.weight_version if self._policy is not None else 0
            actions = explore(1, spec.num_actions, 1.0, self._rng, look.allowed).actions
            return Choice(actions, max(version, 0))

    def value(
        self, observations: NDArray[Any], allowed: NDArray[np.bool_] | None
    ) -> NDArray[np.float32] | None:
        """Give max_a Q of observations, where priorities are estimated here."""
        with self._lock:
            policy = self._policy
            return policy.value(observations, allowed) if policy is not None else None

    # --- what is known ----------------------------------------------------------------------------

    @property
    def has_joined(self) -> bool:
        """Whether a run was joined, and there is, or was, something to act with."""
        return self._settled.is_set() and self._policy is not None

    @property
    def has_weights(self) -> bool:
        """Whether it can act though nobody answers."""
        config = self._config
        remote = config is not None and config.collector.policy == "remote"
        return self._policy is not None and not remote

    @property
    def is_silent(self) -> bool:
        """Whether the learner is known not to answer."""
        return self._at_learner is not None and self._at_learner.silent

    @property
    def weight_version(self) -> int:
        """Packed version of the newest weights that acted here; 0 before the first."""
        return max(self._policy.weight_version, 0) if self._policy is not None else 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is recorded any more."""
        told = self._policy is not None and self._policy.stopping
        return self._ended or told or self._stop.is_set()

    def tell(self, acting_waited_s: float) -> AgentStatus:
        """Put together what is known now."""
        stream = self._stream
        window = self._link.window if self._link is not None else None
        joined = stream is not None
        learner, memory = (
            joined and member is not None and not member.silent
            for member in (self._at_learner, self._at_memory)
        )
        version = self._policy.weight_version if self._policy is not None else -1
        sent = stream.blocks_sent if stream is not None else 0
        steps, episodes = self._counts()
        return AgentStatus(
            connected=learner and memory and not self.is_over,
            learner_answers=learner,
            memory_answers=memory,
            over=self.is_over,
            failure=self.failure,
            weight_version=WeightVersion.unpack(version) if version >= 0 else None,
            weights_age_s=time.monotonic() - self._version_came_s if version >= 0 else None,
            epsilon=self._epsilon,
            environment_steps=steps,
            episodes=episodes,
            steps_dropped=self._recording.steps_dropped,
            away_actions=self.away_actions,
            blocks_sent=sent,
            blocks_in_flight=max(sent - window.heard, 0) if window is not None else None,
            blocks_refused=self._refusals.refused,
            transitions_sent=stream.transitions_sent if stream is not None else 0,
            transitions_unsent=stream.transitions_unsent if stream is not None else 0,
            acting_waited_s=acting_waited_s + (self._policy.asking_s if self._policy else 0.0),
            observing_waited_s=self._recording.waited_s,
        )


def _explore(
    look: Look,
    num_actions: int,
    epsilons: float | NDArray[np.float64],
    rng: np.random.Generator,
) -> Exploration:
    """Draw for one episode what a collector draws for one environment."""
    epsilon = float(epsilons[look.place]) if isinstance(epsilons, np.ndarray) else epsilons
    if look.again:  # a collector draws too while it resets an environment: both stay in step
        explore(1, num_actions, epsilon, rng)
    return explore(1, num_actions, epsilon, rng, look.allowed)
