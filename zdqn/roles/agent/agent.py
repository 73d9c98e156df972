"""The agent: what a program calls that steps its environments itself."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Collection, Hashable
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from numpy.typing import ArrayLike

from zdqn.closing import Closing
from zdqn.config import Config, as_config
from zdqn.core.host_episodes import HostEpisodes, Look
from zdqn.data import EpisodeStatistics, WeightVersion
from zdqn.envs.spaces import check_spaces, spec_of_spaces
from zdqn.errors import PeerUnavailableError, UsageError, ZdqnError, did_you_mean
from zdqn.rl.exploration import Choice
from zdqn.roles.agent.agent_link import AgentLink
from zdqn.roles.agent.agent_status import AgentStatus
from zdqn.roles.agent.recording import Recording
from zdqn.roles.building import NetworkFactory
from zdqn.wire.sockets import Context, borrow

logger = logging.getLogger("zdqn.agent")

PolicyKind = Literal["local", "remote"]
WhenAway = Literal["act_on_old_weights", "act_randomly", "raise"]
WhenFull = Literal["wait", "drop"]

_SLICE_S = 0.5
_GRACE_S = 5.0
_END_S = 10.0


class Agent(Closing):
    """A collector for a program that steps its environments itself: a simulator, a game, a robot.

    ::

        with zdqn.Agent(
            None, learner="tcp://b:5558",
            observation_space=world.observation_space, action_space=world.action_space,
        ) as agent:
            while not agent.over:
                observation, over = world.reset(), False
                while not over:
                    action = agent.act(observation)
                    observation, reward, terminated, truncated = world.step(action)
                    agent.observe(reward, observation, terminated, truncated)
                    over = terminated or truncated

    Exploration, n-step returns, frame stacks, blocks and what is told of them are a collector's,
    and learner and memory count it as one. A thread of its own joins the run, waits for who is away
    and sends; `act` and `observe` may be called from any thread, but of one episode from one at a
    time. Nothing of the program's is touched: no signal handler, event loop, logging or random
    state.

    Args:
        config: of the run, as `zdqn.run` takes it; None takes the learner's. The environment in it
            is not made.
        learner: REQ/REP address of the learner.
        memory: REQ/REP address of the memory; None takes the one that the learner uses.
        observation_space: of one observation (one frame): a `gymnasium.spaces.Box`.
        action_space: a `gymnasium.spaces.Discrete`.
        policy: "local" holds the weights here, "remote" asks the learner for every action; None as
            configured in ``collector.policy``.
        episodes: how many may go on at once, >= 1.
        timeout_s: the longest that `act` and `observe` wait; None for as long as it takes.
        when_away: what `act` does while the learner does not answer: "act_on_old_weights" (there
            are none before the first and with a remote policy; then it waits for `timeout_s` and
            raises), "act_randomly" or "raise".
        when_full: what `observe` does while the memory takes no transitions: "wait" for `timeout_s`
            and then drop the step, or "drop" it at once (within 20 ms, in which a full block is
            taken). What is dropped is counted and logged.
        network: makes the Q-network in place of ``network.kind``.
        name: what others call it; by default host and process number.
        keys: folder of keys instead of ``security.keys``.
        allow_code: modules that a configuration from the learner may name code of.
        context: a `zmq.Context` of the program's for its sockets; None for a private one. With keys
            it is not used.
        on_episode: told of each episode that was recorded to its end, in the thread that observed
            it. What it raises is raised there, by `observe`.
        on_weights: told of each version of the weights that is taken over, in a thread that acts or
            the agent's own. What it raises ends the agent's part in the run, and is its failure.

    Raises:
        UsageError: for an argument out of its range.
        ConfigError: for a malformed address, or spaces that DQN cannot work with.
        NotAllowedError: when a key is missing, or others can read it.
    """

    def __init__(
        self,
        config: Config | str | Path | dict[str, Any] | None,
        *,
        learner: str,
        memory: str | None = None,
        observation_space: Any,
        action_space: Any,
        policy: PolicyKind | None = None,
        episodes: int = 1,
        timeout_s: float | None = None,
        when_away: WhenAway = "act_on_old_weights",
        when_full: WhenFull = "wait",
        network: NetworkFactory | None = None,
        name: str | None = None,
        keys: str | Path | None = None,
        allow_code: Collection[str] = (),
        context: Any = None,
        on_episode: Callable[[EpisodeStatistics], object] | None = None,
        on_weights: Callable[[WeightVersion], object] | None = None,
    ) -> None:
        _check_choice("policy", policy, (None, *get_args(PolicyKind)))
        _check_choice("when_away", when_away, get_args(WhenAway))
        _check_choice("when_full", when_full, get_args(WhenFull))
        if timeout_s is not None and not (0 <= timeout_s < math.inf):
            raise UsageError(
                f"timeout_s is {timeout_s!r}, but must be seconds, 0 or more; None waits for as "
                "long as it takes."
            )
        if episodes < 1:
            raise UsageError(f"episodes is {episodes!r}, but must be 1 or more.")
        check_spaces(
            observation_space,
            action_space,
            numbered_from_0=False,
            way_out="gymnasium.spaces.flatten_space() and flatten() make one of many others.",
        )
        self._process = os.getpid()
        self._timeout_s = timeout_s
        self._when_away = when_away
        self._first_action = int(action_space.start)
        self._closed = False
        self._waited_s = 0.0
        spec = partial(spec_of_spaces, observation_space, action_space)
        self._recording = Recording(HostEpisodes(spec(1), episodes), drops=when_full == "drop")
        self._link = AgentLink(
            None if config is None else as_config(config, source="zdqn.Agent"),
            learner=learner,
            memory=memory,
            recording=self._recording,
            spec=spec,
            episodes=episodes,
            policy=policy,
            network=network,
            name=name,
            keys=keys,
            allow_code=allow_code,
            context=_as_context(context),
            on_episode=on_episode,
            on_weights=on_weights,
        )
        self._thread = threading.Thread(target=self._link.live, name="zdqn-agent", daemon=True)
        self._thread.start()

    # --- playing ----------------------------------------------------------------------------------

    def act(
        self,
        observation: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        episode: Hashable = 0,
        explore: bool = True,
    ) -> int:
        """Choose an action.

        Args:
            observation: what is observed now: of the shape and dtype of the observation space, one
                frame whatever the frame stack; within an episode what `observe` was given last.
            mask: which actions may be taken now, shape (n,), bool or 0 and 1, in the order of the
                action space; of a run with ``environment.action_masks``, always, and of no other.
                Within an episode the `next_mask` that `observe` was given last.
            episode: name of the episode, such as a number; one that does not go on begins.
            explore: choose at random now and then, as a collector does. False is greedy, and what
                comes of the action is not learned from: for evaluating.

        Returns:
            The action, of the action space and allowed.

        Raises:
            UsageError: if observation or mask do not fit, if that allows nothing, or if `observe`
                has not been called since.
            PeerUnavailableError: when the learner does not answer, as `when_away` says.
            ZdqnError: what learner or memory refused to go on for; it does not heal.
        """
        self._check_usable()
        link, began_s = self._link, time.monotonic()
        joined = link.has_joined
        look = self._recording.look(episode, observation, mask)  # what is wrong is said at once
        if not joined and link.wait_until_settled(self._timeout_s):
            look = self._recording.look(episode, observation, mask)  # frames are stacked now
        if not joined:
            self._waited_s += time.monotonic() - began_s
        choice = self._choose(look, greedily=not explore, began_s=began_s)
        self._recording.decide(episode, choice, keep=explore)
        return int(choice.actions[0]) + self._first_action

    def observe(
        self,
        reward: ArrayLike,
        next_observation: ArrayLike,
        terminated: ArrayLike = False,
        truncated: ArrayLike = False,
        next_mask: ArrayLike | None = None,
        *,
        episode: Hashable = 0,
    ) -> bool:
        """Tell what the last action brought.

        Args:
            reward: finite.
            next_observation: what is observed now, the last of an episode included; see `act`.
            terminated: whether the episode ended for good: nothing is expected after.
            truncated: whether it was cut short, as by a time limit.
            next_mask: which actions may be taken at `next_observation`, as for `act`; needed unless
                the episode terminated.
            episode: name of the episode.

        Returns:
            Whether it was recorded, to be learned from.

        Raises:
            UsageError: if an argument does not fit, or there was no action.
            ZdqnError: what learner or memory refused to go on for; it does not heal.
        """
        self._check_usable()
        observed = self._recording.observe(
            episode,
            reward,
            next_observation,
            terminated,
            truncated,
            next_mask,
            wait_s=self._timeout_s,
            value=self._link.value,
        )
        if observed.recorded and observed.ended is not None:
            self._link.note_episode(observed.ended)
        return observed.recorded

    def log(
        self,
        observation: ArrayLike,
        action: ArrayLike,
        reward: ArrayLike,
        next_observation: ArrayLike,
        terminated: ArrayLike = False,
        truncated: ArrayLike = False,
        mask: ArrayLike | None = None,
        next_mask: ArrayLike | None = None,
        *,
        episode: Hashable = "log",
    ) -> bool:
        """Record a step that somebody else has made; step by step, each episode to its end.

        The learner takes its action for one of the newest weights.

        Args:
            observation: what was acted on; within an episode the `next_observation` before.
            action: of the action space.
            reward: see `observe`, as what follows.
            next_observation: observed then.
            terminated: whether the episode ended for good.
            truncated: whether it was cut short.
            mask: of `observation`, see `act`.
            next_mask: of `next_observation`, see `observe`.
            episode: name of the episode.

        Returns:
            Whether it was recorded.

        Raises:
            UsageError: if an argument does not fit, or the mask does not allow the action.
            ZdqnError: what learner or memory refused to go on for; it does not heal.
        """
        self._check_usable()
        number = self._recording.read_action(action, self._first_action, mask)
        self._link.wait_until_settled(self._timeout_s)
        self._recording.look(episode, observation, mask)
        self._recording.decide(episode, Choice(number, self._link.weight_version), keep=True)
        try:
            return self.observe(
                reward, next_observation, terminated, truncated, next_mask, episode=episode
            )
        except UsageError:
            self._recording.take_back(episode)
            raise

    def cut(self, episode: Hashable = 0) -> None:
        """Leave an episode after its last step, as if truncated by it.

        For a world that is left, or lost, within an episode.

        Raises:
            UsageError: if it does not go on.
        """
        self._check_usable()
        self._recording.cut(episode)

    # --- the run ----------------------------------------------------------------------------------

    def wait_until_ready(self, timeout_s: float | None = None) -> bool:
        """Wait until the run is joined and there is something to act with.

        Args:
            timeout_s: how long; None for as long as it takes.

        Returns:
            Whether it is so.

        Raises:
            ZdqnError: what learner or memory refused for.
        """
        self._check_usable()
        return self._link.wait_until_settled(timeout_s)

    @property
    def over(self) -> bool:
        """Whether the run is over, or the agent closed: nothing is recorded any more.

        `act` goes on with the last weights, or at random where there are none.
        """
        return self._closed or self._link.is_over

    @property
    def status(self) -> AgentStatus:
        """What is known of agent and run now."""
        return self._link.tell(self._waited_s)

    def close(self) -> None:
        """Leave the run: what is complete gets 5 seconds to leave. Only the first call does it."""
        if self._closed or os.getpid() != self._process:
            return
        self._closed = True
        self._link.leave(_GRACE_S)
        self._thread.join(_GRACE_S + _END_S)
        if self._thread.is_alive():
            logger.warning("the agent's link has not ended; its thread is left alone")

    # --- parts ------------------------------------------------------------------------------------

    def _check_usable(self) -> None:
        if os.getpid() != self._process:
            raise UsageError(
                f"This agent was made in process {self._process}, of which process {os.getpid()} "
                "is a fork: its thread and sockets were not copied. Make an agent after the fork."
            )
        if self._closed:
            raise UsageError("The agent is closed. Make another one.")
        if self._link.failure is not None:
            raise self._link.failure

    def _choose(self, look: Look, *, greedily: bool, began_s: float) -> Choice:
        link, in_time = self._link, True
        while link.has_joined and in_time and not self._is_left_alone():
            slice_s = _SLICE_S
            if self._timeout_s is not None:
                left_s = self._timeout_s - (time.monotonic() - began_s)
                slice_s, in_time = min(max(left_s, 0.0), _SLICE_S), left_s > _SLICE_S
            choice = link.choose(look, greedily=greedily, timeout_s=slice_s)
            if choice is not None:
                return choice
            self._check_usable()
        if self._when_away == "act_randomly" or link.is_over:
            return link.choose_at_random(look)
        raise self._unavailable()

    def _is_left_alone(self) -> bool:
        """Whether it is known that nothing is to be waited for."""
        if self._link.is_over:
            return not self._link.has_weights
        return self._link.is_silent and self._when_away != "act_on_old_weights"

    def _unavailable(self) -> ZdqnError:
        what = "does not answer" if self._link.is_silent else "gave nothing to act with in time"
        return PeerUnavailableError(
            f"The learner {what} (timeout_s = {self._timeout_s}, when_away = "
            f'"{self._when_away}"). Wait for it by wait_until_ready(), give it more time, or make '
            f'the agent with when_away = "act_randomly".'
        )


def _as_context(context: Any) -> Context | None:
    return context if context is None or isinstance(context, Context) else borrow(context)


def _check_choice(name: str, value: object, known: tuple[str | None, ...]) -> None:
    if value not in known:
        words = [word for word in known if word is not None]
        raise UsageError(f"{name} is {value!r}. {did_you_mean(str(value), words)}")
