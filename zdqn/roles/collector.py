"""The collector: steps environments, explores, and sends what happens to the memory."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError
from zdqn.rl.exploration import explore
from zdqn.roles.acting import EpsilonSource, LocalPolicy, Policy, RemotePolicy
from zdqn.roles.building import EnvironmentFactory, NetworkFactory, build_environments
from zdqn.roles.learner_client import LearnerClient
from zdqn.wire import codec
from zdqn.wire.addresses import Address, check_resolves, parse_address
from zdqn.wire.compression import check_compression
from zdqn.wire.protocol import BlockHeader, Welcome
from zdqn.wire.session import Membership, Statistics
from zdqn.wire.sockets import Context, TransitionSender

if TYPE_CHECKING:
    from zdqn.core.rollout import Rollout

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


class Collector(LearnerClient):
    """The collector role.

    Args:
        config: of the run; None takes the learner's.
        learner: REQ/REP address of the learner.
        memory: REQ/REP address of the memory; None takes the one that the learner uses.
        environment: makes an environment in place of ``environment.id``.
        network: makes the Q-network in place of ``network.kind``.
        name: what others call it; by default host and process number.
        context: where sockets live; by default one of its own.
        stop: set it to end `run`.

    Raises:
        ConfigError: for a malformed address, or an environment that cannot be made.
    """

    def __init__(
        self,
        config: Config | None,
        *,
        learner: str,
        memory: str | None = None,
        environment: EnvironmentFactory | None = None,
        network: NetworkFactory | None = None,
        name: str | None = None,
        context: Context | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._memory = None if memory is None else parse_address(memory, parameter="--memory")
        if self._memory is not None:
            check_resolves(self._memory, parameter="--memory")
        self._rollout: Rollout | None = None
        self._policy: Policy | None = None
        self._returns: deque[float] = deque(maxlen=_RECENT_EPISODES)
        self._epsilon: float = 1.0
        self._blocks_sent = 0
        self._transitions_sent = 0
        self._transitions_unsent = 0
        self._blocked_s = 0.0
        self._began_s = 0.0
        self._heard_steps = 0
        self._own_steps_then = 0
        super().__init__(
            "collector",
            config,
            learner=learner,
            environment=environment,
            network=network,
            name=name,
            context=context,
            stop=stop,
        )

    def _make_environments(self, config: Config) -> tuple[Any, EnvironmentSpec]:
        section = config.collector
        check_compression(section.compression)
        return build_environments(
            config, self._factory, count=section.environments, vectorization=section.vectorization
        )

    # --- life -------------------------------------------------------------------------------------

    def run(self) -> CollectorResult:
        """Collect until the learner is done or `stop` is set.

        Returns:
            What it did.

        Raises:
            EnvironmentFailedError: when the environment raises or misbehaves.
            MismatchError: when learner or memory refuse.
            PeerUnavailableError: when one does not answer in ``links.connect_timeout_s``.
        """
        with ExitStack() as stack:
            membership = self._membership(self._learner, "learner")
            stack.callback(membership.leave)
            welcome = self._join(membership)
            if welcome is not None:
                self._collect(stack, membership, welcome)
            membership.raise_failure()
        return self._result()

    def _collect(self, stack: ExitStack, learner: Membership, welcome: Welcome) -> None:
        assert self._config is not None
        config = self._config
        memory = self._membership(self._memory_address(welcome), "memory")
        stack.callback(memory.leave)
        memory_welcome = memory.join()
        if memory_welcome is None:
            return
        if memory_welcome.memory:  # it would take no transitions, and never say so
            raise MismatchError(
                f"What answers at {memory.address} is a learner, not a memory. Give --memory the "
                f'address that the memory prints as "memory samples" when it starts.'
            )
        policy = self._make_policy(config, welcome)
        stack.callback(policy.close)
        sender = self._make_sender(config, memory, memory_welcome)
        stack.callback(lambda: sender.close(0 if learner.stopping or policy.stopping else None))
        logger.info("collecting as collector %d of run %s", welcome.index, welcome.run_id)
        self._roll(config, welcome, learner, policy, sender)
        memory.raise_failure()

    def _memory_address(self, welcome: Welcome) -> Address:
        """Give the memory's address; one on the learner's loopback is on the learner's host."""
        if self._memory is not None:
            return self._memory
        address = parse_address(welcome.memory, parameter="the memory's address from the learner")
        return address.reached_through(self._learner) if address.is_loopback else address

    def _make_sender(
        self, config: Config, memory: Membership, welcome: Welcome
    ) -> TransitionSender:
        endpoint = parse_address(
            welcome.data_endpoint, parameter="the memory's transitions address"
        )
        return TransitionSender(
            self._context,
            endpoint.reached_through(memory.address),
            high_water_mark=config.transition_high_water_mark,
            buffer_bytes=config.transition_buffer_bytes,
        )

    def _make_policy(self, config: Config, welcome: Welcome) -> Policy:
        assert self._spec is not None
        if config.collector.policy == "remote":
            return RemotePolicy(
                config,
                context=self._context,
                spec=self._spec,
                model=self._learner,
                session=self._session,
                stop=self._stop,
            )
        weights = parse_address(welcome.data_endpoint, parameter="the learner's weights address")
        return LocalPolicy(
            config,
            context=self._context,
            spec=self._spec,
            model=self._learner,
            weights=weights.reached_through(self._learner),
            network=self._network,
            estimate=config.replay.initial_priority == "collector"
            and config.replay.kind == "prioritized",
            stop=self._stop,
        )

    # --- the loop ---------------------------------------------------------------------------------

    def _roll(
        self,
        config: Config,
        welcome: Welcome,
        learner: Membership,
        policy: Policy,
        sender: TransitionSender,
    ) -> None:
        from zdqn.core.rollout import Rollout

        assert self._spec is not None
        seeds = np.random.SeedSequence((welcome.seed, 0, welcome.index)).spawn(2)
        rollout = self._rollout = Rollout(
            self._environments,
            self._spec,
            n_step=config.algorithm.n_step,
            discount=config.algorithm.discount,
            block_transitions=config.collector.block_transitions,
            seed=int(seeds[0].generate_state(1)[0]),
            label=self._name,
        )
        rng = np.random.default_rng(seeds[1])
        epsilons = EpsilonSource(config)
        count, actions = config.collector.environments, self._spec.num_actions
        flushed_s = self._began_s = time.monotonic()
        self._policy = policy

        def over() -> bool:
            policy.refresh()
            return self._stop.is_set() or policy.stopping

        while not over():
            epsilon = self._look_up_epsilon(epsilons, policy, learner)
            choice = policy.choose(rollout.observations, explore(count, actions, epsilon, rng))
            if choice is None:
                break
            rollout.step(*choice)
            if rollout.full or (
                time.monotonic() - flushed_s > config.collector.block_age_s and rollout.pending
            ):
                self._send(rollout, sender, over)
                flushed_s = time.monotonic()
        if not (learner.stopping or policy.stopping):  # the run goes on without this collector
            self._send(rollout, sender, over)
        self._transitions_unsent += rollout.pending

    def _look_up_epsilon(self, epsilons: EpsilonSource, policy: Policy, learner: Membership) -> Any:
        """Give epsilon for the global step count: what was last heard, and our share since."""
        rollout = self._rollout
        assert rollout is not None
        pong = learner.pong
        heard = max(policy.environment_steps, pong.environment_steps if pong is not None else 0)
        if heard > self._heard_steps:
            self._heard_steps, self._own_steps_then = heard, rollout.environment_steps
        collectors = pong.collectors if pong is not None else 1
        since = (rollout.environment_steps - self._own_steps_then) * max(collectors, 1)
        epsilon = epsilons.at(self._heard_steps + since, collectors, learner.index)
        self._epsilon = float(np.mean(epsilon))
        return epsilon

    def _send(self, rollout: Rollout, sender: TransitionSender, over: Callable[[], bool]) -> None:
        """Send what is complete; blocks while the memory does not want inserts."""
        assert self._config is not None
        assert self._spec is not None
        block = rollout.take_block()
        if block is None:
            return
        for episode in rollout.take_episodes():
            self._returns.append(episode.total_reward)
        header = BlockHeader(
            session=self._session,
            sequence=self._blocks_sent,
            spec_digest=self._spec.digest,
            frames=len(block.frames),
            transitions=len(block.records),
            environment_steps=rollout.environment_steps,
            episodes=rollout.episodes,
            compression=self._config.collector.compression,
        )
        started_s = time.monotonic()
        sent = sender.send(codec.encode_block(header, block), over)
        self._blocked_s += time.monotonic() - started_s
        if sent:
            self._blocks_sent += 1
            self._transitions_sent += len(block.records)
        else:
            self._transitions_unsent += len(block.records)

    # --- what is known ----------------------------------------------------------------------------

    def _statistics(self) -> Statistics:
        rollout = self._rollout
        statistics: Statistics = {
            "environment_steps": rollout.environment_steps if rollout is not None else 0,
            "episodes": rollout.episodes if rollout is not None else 0,
            "blocks_sent": self._blocks_sent,
            "transitions_sent": self._transitions_sent,
            "epsilon": round(self._epsilon, 4),
            "blocked_s": round(self._blocked_s, 3),
            "asking_s": round(self._policy.asking_s, 3) if self._policy is not None else 0.0,
            "collecting_s": round(time.monotonic() - self._began_s, 3) if self._began_s else 0.0,
        }
        returns = tuple(self._returns)
        if returns:
            statistics["episode_return_mean"] = round(sum(returns) / len(returns), 3)
        return statistics

    def _result(self) -> CollectorResult:
        rollout = self._rollout
        return CollectorResult(
            environment_steps=rollout.environment_steps if rollout is not None else 0,
            episodes=rollout.episodes if rollout is not None else 0,
            blocks_sent=self._blocks_sent,
            transitions_sent=self._transitions_sent,
            transitions_unsent=self._transitions_unsent,
        )
