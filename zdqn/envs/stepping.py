"""Stepping N environments together: the one place where an environment is trusted with nothing.

Whatever it raises or returns that may not be ends in an `EnvironmentFailedError`; what it leaves to
its caller (reset rows, episode totals, stacks) is done here, for collectors and evaluators alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AsyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from zdqn.data import MAX_REWARD, EnvironmentSpec, EpisodeStatistics
from zdqn.envs.guarding import CUT_KEY, RETURN_KEY, UNUSED_MASK_KEY
from zdqn.envs.masking import read_masks
from zdqn.envs.stacking import FrameStacker
from zdqn.envs.vector import close_environments, reset_environments
from zdqn.envs.worker_processes import WorkerError, describe_error, ended_processes
from zdqn.errors import EnvironmentFailedError

_DIED = (EOFError, ConnectionResetError, BrokenPipeError)


class StepRow(NamedTuple):
    """What one step of N environments brought.

    Attributes:
        frames: newest frames, shape (N, *observation_shape); the next step may overwrite them.
        rewards: shape (N,), within `MAX_REWARD`; 0 where an episode began.
        terminated: whether the episode reached a terminal state, shape (N,), bool.
        truncated: whether it was cut off, shape (N,), bool.
        starting: where the action was ignored and an episode began instead, shape (N,), bool; None:
            nowhere.
        finished: the environments whose episode ended, and how it went.
    """

    frames: NDArray[Any]
    rewards: NDArray[Any]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    starting: NDArray[np.bool_] | None
    finished: list[tuple[int, EpisodeStatistics]]


class EnvironmentStepper:
    """Steps a vectorized environment that resets in the step after an episode's end.

    Attributes:
        environment_steps: actions that environments have carried out, reset rows not counted.
        allowed: actions that may be taken now, shape (N, num_actions), bool, some in each row;
            None where the spec has no masks. The next step does not overwrite it.
        ignores_masks: whether the environment gives masks, and the spec has none.
    """

    def __init__(
        self,
        environments: VectorEnv[Any, Any, Any],
        spec: EnvironmentSpec,
        *,
        seed: int,
        label: str,
    ) -> None:
        """Reset the environments.

        Args:
            environments: what `zdqn.envs.make_environments` gave.
            spec: what `zdqn.envs.environment_spec` says of it.
            seed: seed of the environments, >= 0.
            label: who steps them, for messages, such as ``collector-3``.

        Raises:
            EnvironmentFailedError: if the reset raised, or returned what it may not.
        """
        self._environments = environments
        self._spec = spec
        self._label = label
        self.count = environments.num_envs
        self._frames_shape = (self.count, *spec.observation_shape)
        self.environment_steps = 0
        self._totals = np.zeros(self.count)
        self._lengths = np.zeros(self.count, np.int64)
        self._ended: NDArray[np.bool_] | None = None
        try:
            self.first_frames, info = reset_environments(environments, seed)
            self.allowed = self._read_masks(info, "reset()")
            self.ignores_masks = UNUSED_MASK_KEY in info
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a role ends for reasons of its own only
            raise self._failure("reset", error) from error
        self._check_frames(self.first_frames)
        self._stacker = FrameStacker(spec, self.first_frames)

    @property
    def observations(self) -> NDArray[Any]:
        """Stacked observations, shape (N, *spec.stacked_shape); valid until the next step."""
        return self._stacker.observations

    def step(self, actions: NDArray[np.int64]) -> StepRow:
        """Carry out one action in each environment.

        Args:
            actions: shape (N,); that of an environment whose episode has just ended is ignored.

        Returns:
            What came of it.

        Raises:
            EnvironmentFailedError: if a step raised or returned what it may not; the message names
                who, which environment, after how many steps, and the value.
        """
        try:
            frames, rewards, terminated, truncated, info = self._environments.step(actions)
            self.allowed = self._read_masks(info, "step()", terminated)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._failure("step", error) from error
        self._check_frames(frames)
        starting, started = self._ended, 0
        if starting is not None:
            started = int(np.count_nonzero(starting))
            rewards = np.where(starting, 0.0, rewards)
            self._totals[starting] = 0.0
            self._lengths[starting] = -1
        self._check_rewards(rewards)
        self._stacker.push(frames, starting)
        self.environment_steps += self.count - started
        self._totals += rewards
        self._lengths += 1
        ended = terminated | truncated
        finished: list[tuple[int, EpisodeStatistics]] = []
        self._ended = None
        if np.count_nonzero(ended):
            self._ended = ended
            finished = self._finish(np.flatnonzero(ended), info)
        return StepRow(frames, rewards, terminated, truncated, starting, finished)

    def close(self) -> None:
        """Close the environments; safe to call twice, and after an error."""
        close_environments(self._environments)

    def refuse(self, environment: int, environment_steps: int, what: str) -> EnvironmentFailedError:
        """Give the error for a value that an environment may not return.

        Args:
            environment: its index.
            environment_steps: steps that all environments together had done by then.
            what: the value and what it was, such as ``the reward nan``.

        Returns:
            The error, to be raised.
        """
        return EnvironmentFailedError(
            f"{self._label}: environment {environment} of {self.count} returned {what} after "
            f"{environment_steps:,} environment steps. One such value would spoil everything that "
            "is learned from it. Mend the environment, or put a wrapper that replaces the value "
            "into environment.wrappers."
        )

    def _read_masks(
        self, info: Mapping[str, Any], call: str, terminated: bool | NDArray[np.bool_] = False
    ) -> NDArray[np.bool_] | None:
        if not self._spec.action_masks:
            return None
        return read_masks(info, (self.count, self._spec.num_actions), call, terminated)

    def _finish(
        self, indices: NDArray[np.int64], info: Mapping[str, Any]
    ) -> list[tuple[int, EpisodeStatistics]]:
        totals, cut = self._totals, info.get(CUT_KEY)
        if RETURN_KEY in info:  # where wrappers may have changed the rewards
            totals = np.asarray(info[RETURN_KEY])
        each = totals[indices].tolist(), self._lengths[indices].tolist()
        flags = [False] * len(indices) if cut is None else np.asarray(cut)[indices].tolist()
        return list(zip(indices.tolist(), map(EpisodeStatistics, *each, flags), strict=True))

    def _failure(self, verb: str, error: BaseException) -> EnvironmentFailedError:
        what = str(error) if isinstance(error, WorkerError) else describe_error(error)
        environments = self._environments.unwrapped
        if isinstance(error, _DIED) and isinstance(environments, AsyncVectorEnv):
            how = ended_processes(environments) or "killed, or out of memory"
            what = f"a process of the environments died ({how})"
        return EnvironmentFailedError(
            f"{self._label}: the environment's {verb} failed after {self.environment_steps:,} "
            f"environment steps of {self.count} environments: {what}. Mend the environment, or "
            "catch this in a wrapper (environment.wrappers)."
        )

    def _check_frames(self, frames: Any) -> None:
        shape, dtype = np.shape(frames), getattr(frames, "dtype", None)
        if shape != self._frames_shape or dtype != self._spec.dtype:
            raise EnvironmentFailedError(
                f"{self._label}: the environment returned observations of shape {shape}, dtype "
                f"{dtype}, after {self.environment_steps:,} environment steps, but declares "
                f"{self._frames_shape}, {self._spec.dtype}. Mend its observation_space."
            )

    def _check_rewards(self, rewards: Any) -> None:
        if np.shape(rewards) != (self.count,):
            raise self.refuse(0, self.environment_steps, f"rewards of shape {np.shape(rewards)}")
        if np.abs(rewards).max() <= MAX_REWARD:  # never true of a NaN
            return
        bad = np.flatnonzero(~(np.abs(rewards) <= MAX_REWARD))
        if bad.size:
            index = int(bad[0])
            raise self.refuse(
                index,
                self.environment_steps,
                f"the reward {rewards[index]} (finite and within {MAX_REWARD:g} is allowed)",
            )
