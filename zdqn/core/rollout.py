"""Rollout: N environments that step together, and an accumulator that takes in what happens."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from zdqn.core.accumulator import Accumulator
from zdqn.data import Block, EnvironmentSpec, EpisodeStatistics
from zdqn.envs.stepping import EnvironmentStepper


class Rollout:
    """Steps N environments together and turns what happens into blocks.

    ::

        while not stopped():
            rollout.step(policy(rollout.observations), weight_version)
            if rollout.full:
                send(rollout.take_block())

    Transitions leave in the order of the steps, all environments of a step together; see
    `Accumulator`.

    Attributes:
        episodes: that ended.
    """

    def __init__(
        self,
        environments: VectorEnv[Any, Any, Any],
        spec: EnvironmentSpec,
        *,
        n_step: int,
        discount: float,
        block_transitions: int,
        reward_clip: float = 0.0,
        seed: int,
        label: str,
    ) -> None:
        """Reset the environments and make room.

        Args:
            environments: N environments, from `zdqn.envs.make_environments`.
            spec: what `zdqn.envs.environment_spec` says of them.
            n_step: rewards in a return, >= 1.
            discount: gamma of one environment step, in [0, 1].
            block_transitions: most transitions in a block, >= N.
            reward_clip: largest magnitude that a step's reward counts in transitions, >= 0; 0 for
                no limit. Episodes have the environment's own.
            seed: seed of the environments, >= 0.
            label: who steps them, for messages, such as ``collector-3``.

        Raises:
            ConfigError: if a block has no room for one transition of each environment.
            EnvironmentFailedError: if the environments cannot be reset.
        """
        self._accumulator = Accumulator(
            spec,
            environments=environments.num_envs,
            n_step=n_step,
            discount=discount,
            block_transitions=block_transitions,
            reward_clip=reward_clip,
            refuse=lambda *why: self._stepper.refuse(*why),
        )
        self._stepper = EnvironmentStepper(environments, spec, seed=seed, label=label)
        self._accumulator.begin_all(self._stepper.first_frames, self._stepper.allowed)
        self._episodes: list[EpisodeStatistics] = []
        self.episodes = 0

    @property
    def observations(self) -> NDArray[Any]:
        """Current observations, shape (N, *spec.stacked_shape); valid until the next step."""
        return self._stepper.observations

    @property
    def allowed(self) -> NDArray[np.bool_] | None:
        """Actions that may be taken now, shape (N, num_actions); None where the spec has no masks.

        One or more in each row, but of no meaning where an episode has just ended.
        """
        return self._stepper.allowed

    @property
    def ignores_masks(self) -> bool:
        """Whether the environments give masks of allowed actions, and the spec has none."""
        return self._stepper.ignores_masks

    @property
    def environment_steps(self) -> int:
        """Actions that environments have carried out; resets are none."""
        return self._stepper.environment_steps

    @property
    def pending(self) -> int:
        """Transitions that are complete and not taken yet."""
        return self._accumulator.pending

    @property
    def full(self) -> bool:
        """Whether the next step could complete more than a block holds: a block is to be taken."""
        return self._accumulator.full

    def step(
        self,
        actions: NDArray[np.integer[Any]],
        weight_version: int | NDArray[np.int64],
        chosen_q: NDArray[np.float32] | None = None,
        best_q: NDArray[np.float32] | None = None,
    ) -> None:
        """Carry out one action in each environment.

        Args:
            actions: shape (N,), in [0, num_actions), each `allowed`.
            weight_version: packed version of the weights that chose them, one or shape (N,).
            chosen_q: the collector's own Q(s_t, a_t), shape (N,), float32; None: no priorities.
            best_q: its own max_a Q(s_t, a), shape (N,), float32; given with `chosen_q`.

        Raises:
            EnvironmentFailedError: if an environment raised or returned what it may not. Nothing of
                such a step is kept.
            UsageError: if the rollout is full and no block was taken, or only one of `chosen_q` and
                `best_q` is given.
        """
        self._accumulator.admit(chosen_q, best_q)
        result = self._stepper.step(np.asarray(actions, np.int64))
        self._accumulator.step_all(
            actions,
            result.rewards,
            result.frames,
            result.terminated,
            result.truncated,
            weight_version,
            chosen_q,
            best_q,
            result.starting,
            self._stepper.allowed,
        )
        if result.finished:
            self.episodes += len(result.finished)
            self._episodes += [statistics for _, statistics in result.finished]

    def take_block(self) -> Block | None:
        """Give the complete transitions, up to a block's limit.

        Returns:
            A block that needs no other to be understood, or None if nothing is complete.

        Raises:
            EnvironmentFailedError: if a frame is not finite.
        """
        return self._accumulator.take_block()

    def take_episodes(self) -> list[EpisodeStatistics]:
        """Give the episodes that ended since the last call, in order."""
        episodes, self._episodes = self._episodes, []
        return episodes

    def close(self) -> None:
        """Close the environments; safe to call twice, and after an error."""
        self._stepper.close()
