"""What all share who send transitions: a memory, a policy, exploration, and what they tell."""

from __future__ import annotations

import logging
import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.data import EpisodeStatistics, WeightVersion
from zdqn.records.callbacks import call
from zdqn.roles.acting.block_link import BlockLink, open_block_link
from zdqn.roles.acting.block_stream import BlockSource, BlockStream
from zdqn.roles.acting.epsilon import EpsilonSource, StepsOfAll
from zdqn.roles.acting.policy import Policy, make_policy
from zdqn.roles.acting.refusal_watch import RefusalWatch
from zdqn.roles.building import EnvironmentFactory, NetworkFactory
from zdqn.roles.learner_client import LearnerClient
from zdqn.wire.addresses import Address, check_resolves, parse_address
from zdqn.wire.field_types import Statistics
from zdqn.wire.membership import Membership
from zdqn.wire.protocol import Welcome
from zdqn.wire.sockets import Context
from zdqn.wire.status import CollectorStatistics

logger = logging.getLogger("zdqn.collector")

_RECENT_EPISODES = 20


@dataclass(frozen=True)
class CollectorResult:
    """What a collector did in its life.

    Attributes:
        environment_steps: taken.
        episodes: finished.
        blocks_sent: handed to the link.
        transitions_sent: in them.
        transitions_unsent: complete, but kept back because the run ended.
    """

    environment_steps: int
    episodes: int
    blocks_sent: int
    transitions_sent: int
    transitions_unsent: int


class CollectingClient(LearnerClient):
    """A role that counts as a collector, whoever steps the environments.

    The arguments are those of `zdqn.roles.collector.Collector`.
    """

    _role = "collector"
    _own_process = True
    """Whether settings of this process, such as PyTorch's threads, are this role's."""
    _rows = 0
    """Observations that are acted on at once; 0: one of each environment."""

    def __init__(
        self,
        config: Config | None,
        *,
        learner: str,
        memory: str | None = None,
        environment: EnvironmentFactory | None = None,
        network: NetworkFactory | None = None,
        name: str | None = None,
        keys: str | Path | None = None,
        allow_code: Collection[str] = (),
        context: Context | None = None,
        stop: threading.Event | None = None,
        on_episode: Callable[[EpisodeStatistics], object] | None = None,
        on_weights: Callable[[WeightVersion], object] | None = None,
    ) -> None:
        self._on_episode = on_episode
        self._on_weights = on_weights
        self._version_seen = -1
        self._version_came_s = 0.0
        self._memory = None if memory is None else parse_address(memory, parameter="--memory")
        if self._memory is not None:
            check_resolves(self._memory, parameter="--memory")
        self._source: BlockSource | None = None
        self._policy: Policy | None = None
        self._returns: deque[float] = deque(maxlen=_RECENT_EPISODES)
        self._stream: BlockStream | None = None
        self._link: BlockLink | None = None
        self._at_learner: Membership | None = None
        self._at_memory: Membership | None = None
        self._epsilons: EpsilonSource | None = None
        self._steps_of_all = StepsOfAll()
        self._refusals = RefusalWatch()
        self._epsilon: float | None = None
        self._began_s = 0.0
        super().__init__(
            config,
            learner=learner,
            environment=environment,
            network=network,
            name=name,
            keys=keys,
            allow_code=allow_code,
            context=context,
            stop=stop,
        )

    @abstractmethod
    def _make_source(self, config: Config, seed: int) -> BlockSource:
        """Make what transitions are gathered in; `seed` is for the environments."""

    @abstractmethod
    def _play(self, policy: Policy, stream: BlockStream, rng: np.random.Generator) -> None:
        """Act, and send what is due, until the run is over; `rng` is for exploration."""

    # --- life -------------------------------------------------------------------------------------

    def run(self) -> CollectorResult:
        """Collect until the learner is done or `stop` is set.

        Returns:
            What it did.

        Raises:
            EnvironmentFailedError: when the environment raises or misbehaves.
            CallbackFailedError: when a function raises that was given to be told.
            MismatchError: when learner or memory refuse.
            PeerUnavailableError: when one does not answer in ``links.connect_timeout_s``.
        """
        with ExitStack() as stack:
            membership, welcome = self._join()
            stack.callback(membership.leave)
            if welcome is not None:
                self._collect(stack, membership, welcome)
            membership.raise_failure()
        result = self._result()
        logger.info(
            "collected %d environment steps and %d episodes; sent %d blocks with %d transitions; "
            "%d were complete, and not sent any more",
            result.environment_steps,
            result.episodes,
            result.blocks_sent,
            result.transitions_sent,
            result.transitions_unsent,
        )
        return result

    def _collect(self, stack: ExitStack, learner: Membership, welcome: Welcome) -> None:
        config, spec = self._config, self._spec
        assert config is not None
        assert spec is not None
        self._at_learner = learner
        memory = self._at_memory = self._membership(
            self._memory_address(welcome), "memory", on_delivery=self._refusals.look
        )
        stack.callback(memory.leave)
        memory_welcome = memory.join()
        if memory_welcome is None:
            return
        policy = make_policy(
            config,
            node=self._node,
            learner=self._learner,
            welcome=welcome,
            spec=spec,
            network=self._network,
            session=self._session,
            stop=self._stop,
            rows=self._rows or config.collector.environments,
            own_process=self._own_process,
        )
        stack.callback(policy.close)
        link = self._link = open_block_link(
            config, self._node, memory.address, memory_welcome, session=self._session
        )
        stack.callback(lambda: link.close(0 if learner.stopping or policy.stopping else None))
        logger.info("collecting as collector %d of run %s", welcome.index, welcome.run_id)
        seeds = np.random.SeedSequence((welcome.seed, 0, welcome.index)).spawn(2)
        source = self._make_source(config, int(seeds[0].generate_state(1)[0]))
        self._epsilons = EpsilonSource(config)
        self._began_s = time.monotonic()
        self._source, self._policy = source, policy
        stream = self._stream = BlockStream(
            source,
            link.sender,
            session=self._session,
            origin=spec.origin(welcome.run_id),
            compression=config.collector.compression,
            block_age_s=config.collector.block_age_s,
            window=link.window,
            acked=link.acked is not None,
        )
        self._play(policy, stream, np.random.default_rng(seeds[1]))
        # if the run is not over, it goes on without this collector
        stream.finish(self._is_over, wanted=not (learner.stopping or policy.stopping))
        link.drain(lambda: learner.stopping or policy.stopping)
        memory.raise_failure()

    def _is_over(self) -> bool:
        """Look for new weights, and whether there is anything left to do."""
        assert self._policy is not None
        self._look_for_weights(self._policy)
        return self._stop.is_set() or self._policy.stopping

    def _look_for_weights(self, policy: Policy) -> None:
        policy.refresh()
        if policy.weight_version > self._version_seen:
            self._version_seen = policy.weight_version
            self._version_came_s = time.monotonic()
            call("on_weights", self._on_weights, WeightVersion.unpack(policy.weight_version))

    def note_episode(self, episode: EpisodeStatistics) -> None:
        """Take note of how an episode went."""
        self._returns.append(episode.total_reward)
        call("on_episode", self._on_episode, episode)

    def _memory_address(self, welcome: Welcome) -> Address:
        """Give the memory's address; one on the learner's loopback is on the learner's host."""
        if self._memory is not None:
            return self._memory
        address = parse_address(welcome.memory, parameter="the memory's address from the learner")
        return address.reached_through(self._learner) if address.is_loopback else address

    # --- what is known ----------------------------------------------------------------------------

    def _counts(self) -> tuple[int, int]:
        """Give environment steps and episodes so far."""
        source = self._source
        return (source.environment_steps, source.episodes) if source is not None else (0, 0)

    def _look_up_epsilon(self) -> float | NDArray[np.float64]:
        """Give epsilon now: one number, or one for each environment, shape (N,)."""
        learner, policy, epsilons = self._at_learner, self._policy, self._epsilons
        assert learner is not None
        assert policy is not None
        assert epsilons is not None
        pong = learner.pong
        collectors = pong.collectors if pong is not None else 1
        steps = self._steps_of_all.guess(
            heard=max(policy.environment_steps, pong.environment_steps if pong is not None else 0),
            own=self._counts()[0],
            collectors=collectors,
            ahead=self._stream.steps_ahead if self._stream is not None else 0,
        )
        epsilon = epsilons.at(steps, collectors, learner.index)
        self._epsilon = float(np.mean(epsilon))
        return epsilon

    def _statistics(self) -> Statistics:
        stream, policy = self._stream, self._policy
        acked = self._link.acked if self._link is not None else None
        returns = tuple(self._returns)
        waits = stream is None or policy is None or stream.waits or policy.asks
        steps, episodes = self._counts()
        statistics = CollectorStatistics(
            environment_steps=steps,
            episodes=episodes,
            blocks_sent=stream.blocks_sent if stream is not None else 0,
            transitions_sent=stream.transitions_sent if stream is not None else 0,
            blocks_refused=self._refusals.refused,
            epsilon=round(self._epsilon, 4) if self._epsilon is not None else None,
            blocked_s=round(stream.blocked_s, 3) if stream is not None else 0.0,
            asking_s=round(policy.asking_s, 3) if policy is not None else 0.0,
            collecting_s=round(time.monotonic() - self._began_s, 3) if self._began_s else 0.0,
            idle_s=round(self._standstill.look(steps, waits=waits), 1),
            steps_ahead=stream.steps_ahead if stream is not None else None,
            unacknowledged=acked.unacknowledged if acked is not None else None,
            resent=acked.resent if acked is not None else None,
            acknowledging_s=round(acked.waits_s, 1) if acked is not None else None,
            episode_return_mean=round(sum(returns) / len(returns), 3) if returns else None,
        )
        return statistics.to_wire()

    def _result(self) -> CollectorResult:
        stream = self._stream
        steps, episodes = self._counts()
        return CollectorResult(
            environment_steps=steps,
            episodes=episodes,
            blocks_sent=stream.blocks_sent if stream is not None else 0,
            transitions_sent=stream.transitions_sent if stream is not None else 0,
            transitions_unsent=stream.transitions_unsent if stream is not None else 0,
        )
