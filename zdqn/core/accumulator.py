"""From what happens in environments to self-contained blocks of transitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zdqn.core.block_building import build_block
from zdqn.core.mask_arguments import check_allowed, read_masks
from zdqn.core.step_arguments import (
    check_estimates,
    find_not_finite,
    read_actions,
    read_environments,
    read_frames,
    read_numbers,
    read_rewards,
    read_versions,
)
from zdqn.core.step_log import StepLog
from zdqn.data import Block, EnvironmentSpec
from zdqn.errors import ConfigError, UsageError, ZdqnError
from zdqn.rl.action_masks import pack_masks, unpack_masks
from zdqn.rl.reward_clipping import clip_rewards


class Accumulator:
    """Turns steps of N environments into blocks of n-step transitions; steps none itself.

    Environments have the numbers 0 to N - 1. They may begin, step and stop whenever they like, one
    or several in a call::

        accumulator = Accumulator(spec, environments=2, n_step=3, discount=0.99,
                                  block_transitions=64)
        accumulator.begin(0, world.reset())
        while playing:
            action = choose(...)
            reward, frame, terminated, truncated = world.step(action)
            accumulator.step(0, action, reward, frame, terminated, truncated, weight_version)
            if terminated or truncated:
                accumulator.begin(0, world.reset())
            if accumulator.full:
                send(accumulator.take_block())
        accumulator.cut(0)  # if the world is left within an episode
        while accumulator.pending:
            send(accumulator.take_block())

    Environments that always step together are given by `begin_all` and `step_all`, which check
    nothing and cost a few microseconds however many there are.

    Frames are single ones, each given once: a block carries those that its own transitions refer
    to, once each, and stacks never mix two episodes. A step only copies what it is given. Returns,
    references and priorities are computed when a block is taken, for all its transitions together.

    A transition is ready when its environment has gone on for n - 1 more steps (n with priorities,
    which need a value of the next observation), or when `step` or `cut` ended its episode. Unless
    `step` is given a value of the last observation (`last_q`) none ever comes: transitions that
    would bootstrap from it have no priority. Blocks hold transitions in the order of their steps.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        *,
        environments: int,
        n_step: int,
        discount: float,
        block_transitions: int,
        reward_clip: float = 0.0,
        refuse: Callable[[int, int, str], ZdqnError] | None = None,
    ) -> None:
        """Make room.

        Args:
            spec: of each environment.
            environments: N, >= 1.
            n_step: rewards in a return, >= 1.
            discount: gamma of one environment step, in [0, 1].
            block_transitions: most transitions in a block, >= N.
            reward_clip: largest magnitude that a step's reward counts, >= 0; 0 for no limit.
            refuse: makes the error for a frame that is not finite, from its environment, the steps
                of all environments by then, and what it is; None for a `UsageError`.

        Raises:
            UsageError: if a number is out of its range.
            ConfigError: if a block has no room for one transition of each environment.
        """
        if environments < 1 or n_step < 1:
            raise UsageError(
                f"environments is {environments} and n_step is {n_step}, but both are at least 1."
            )
        if not 0 <= discount <= 1:
            raise UsageError(f"discount is {discount}, but lies between 0 and 1.")
        if reward_clip < 0:
            raise UsageError(f"reward_clip is {reward_clip}, but is at least 0, for no limit.")
        if block_transitions < environments:
            raise ConfigError(
                f"block_transitions is {block_transitions}, but {environments} environments step "
                f"together and complete up to {environments} transitions at once, which must fit "
                f"one block. Set it to {environments} or more."
            )
        self._spec = spec
        self._count = environments
        self._n_step = n_step
        self._discount = discount
        self._reward_clip = reward_clip
        self._block_transitions = block_transitions
        self._refuse = refuse or self._refuse_argument
        self._wait = n_step - 1  # later steps of its environment that a step waits for
        # At worst every step is the first of an episode, and has a slot for the beginning besides.
        steps = block_transitions + (n_step + 2) * environments
        capacity = 2 * steps + (spec.frame_stack + 2) * environments
        self._log = StepLog(spec, environments=environments, capacity=capacity)

    @property
    def environment_steps(self) -> int:
        """Steps given, all in all; beginnings are none."""
        return self._log.environment_steps

    @property
    def pending(self) -> int:
        """Transitions that are ready and not taken yet."""
        return self._log.ready

    @property
    def full(self) -> bool:
        """Whether the next step could make more ready than a block holds: one is to be taken."""
        return self._log.ready + self._count > self._block_transitions

    # --- some environments, checked ---------------------------------------------------------------

    def begin(
        self, environments: ArrayLike, frames: ArrayLike, allowed: ArrayLike | None = None
    ) -> None:
        """Begin an episode in some environments.

        Args:
            environments: a number, or K different ones, shape (K,).
            frames: first frame, shape spec.observation_shape, or (K, *spec.observation_shape) where
                `environments` is an array; of the dtype of the spec.
            allowed: which actions may be taken then, shape (num_actions,) or (K, num_actions), bool
                or 0 and 1, some of them; None where the spec has no masks.

        Raises:
            UsageError: if an argument is not of that form, or an environment is in an episode.
        """
        numbers = self._read_environments(environments, in_episode=False)
        firsts = self._read_frames(frames, environments, numbers)
        masks = _pack(read_masks(allowed, self._spec, environments, "allowed"))
        self._make_room(len(numbers))
        starting = np.ones(len(numbers), np.bool_)
        self._log.append(
            numbers, 0, 0, firsts, False, False, 0, None, None, starting, self._wait, masks
        )

    def step(
        self,
        environments: ArrayLike,
        actions: ArrayLike,
        rewards: ArrayLike,
        frames: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
        weight_version: ArrayLike,
        chosen_q: ArrayLike | None = None,
        best_q: ArrayLike | None = None,
        last_q: ArrayLike | None = None,
        allowed: ArrayLike | None = None,
    ) -> None:
        """Take in one step of some environments.

        Args:
            environments: a number, or K different ones, shape (K,); then all that follow have one
                entry for each, shape (K,).
            actions: what was done, in [0, num_actions).
            rewards: what it brought, within `MAX_REWARD`.
            frames: the frames observed then, shape (K, *spec.observation_shape) or, for a single
                number, spec.observation_shape; of the dtype of the spec.
            terminated: whether the episode ended for good: nothing is expected after.
            truncated: whether it was cut short: its last value is still expected.
            weight_version: packed version of the weights that chose; may be one for all.
            chosen_q: their own Q(s_t, a_t); None: no priorities.
            best_q: their own max_a Q(s_t, a); given with `chosen_q`.
            last_q: their own max_a Q of `frames`, for episodes that end here; else it comes with
                the next step.
            allowed: which actions may be taken at `frames`, shape (K, num_actions) or
                (num_actions,), bool or 0 and 1; some of them, but where the episode terminated.
                None where the spec has no masks, or all terminated.

        Raises:
            UsageError: if an argument is not of that form, an action was not allowed, an
                environment is in no episode, or blocks are not taken. Nothing of the step is kept
                then.
        """
        check_estimates(chosen_q, best_q)
        numbers = self._read_environments(environments, in_episode=True)
        count = len(numbers)
        newest = self._read_frames(frames, environments, numbers)
        over = read_numbers("terminated", terminated, count, "b")
        cut_short = read_numbers("truncated", truncated, count, "b")
        versions = read_versions(weight_version, count)
        done = read_actions(actions, count, self._spec.num_actions)
        check_allowed(done, self._allowed_at(numbers))
        masks = _pack(read_masks(allowed, self._spec, environments, "allowed", over=over))
        brought = clip_rewards(read_rewards(rewards, count), self._reward_clip)
        if chosen_q is not None and best_q is not None:
            chosen_q = read_numbers("chosen_q", chosen_q, count, "f")
            best_q = read_numbers("best_q", best_q, count, "f")
        self._make_room(count)
        self._wait = self._n_step - (chosen_q is None)
        self._log.append(
            numbers, done, brought, newest, over, cut_short, versions,
            chosen_q, best_q, None, self._wait, masks,
        )  # fmt: skip
        if last_q is not None:
            self._log.best_q[self._log.last[numbers]] = read_numbers("last_q", last_q, count, "f")
        self._log.release(numbers[over | cut_short])

    def cut(self, environments: ArrayLike) -> None:
        """End the episodes of some environments after their last step, as if truncated by it.

        For a world that is left, or lost, within an episode.

        Args:
            environments: a number, or K different ones, shape (K,).

        Raises:
            UsageError: if one of them is in no episode.
        """
        numbers = self._read_environments(environments, in_episode=True)
        self._log.cut(numbers)

    # --- all environments, in lockstep ------------------------------------------------------------

    def begin_all(self, frames: NDArray[Any], allowed: NDArray[np.bool_] | None = None) -> None:
        """Begin an episode in every environment; nothing is checked.

        Args:
            frames: first frames, shape (N, *spec.observation_shape), of the dtype of the spec.
            allowed: shape (N, num_actions), bool; None where the spec has no masks.
        """
        starting = np.ones(self._count, np.bool_)
        self._log.append(
            None, 0, 0, frames, False, False, 0, None, None, starting, self._wait, _pack(allowed)
        )

    def admit(
        self, chosen_q: NDArray[np.float32] | None, best_q: NDArray[np.float32] | None
    ) -> None:
        """Refuse a step of all environments that `step_all` cannot take, before it is carried out.

        Args:
            chosen_q: as `step_all` will be given it.
            best_q: likewise.

        Raises:
            UsageError: if only one of them is given, or there is no room: blocks are not taken.
        """
        if (chosen_q is None) != (best_q is None):
            check_estimates(chosen_q, best_q)
        if self._log.end + self._count > self._log.capacity:
            self._make_room(self._count)

    def step_all(
        self,
        actions: NDArray[np.integer[Any]],
        rewards: NDArray[Any],
        frames: NDArray[Any],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        weight_version: int | NDArray[np.int64],
        chosen_q: NDArray[np.float32] | None = None,
        best_q: NDArray[np.float32] | None = None,
        starting: NDArray[np.bool_] | None = None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take in one row: what happened in every environment; nothing is checked but by `admit`.

        The transitions of a row become ready together, also at the end of an episode.

        Args:
            actions: shape (N,), in [0, num_actions), as all that follow.
            rewards: finite.
            frames: shape (N, *spec.observation_shape), of the dtype of the spec.
            terminated: see `step`.
            truncated: see `step`.
            weight_version: packed, one or shape (N,).
            chosen_q: see `step`; float32.
            best_q: see `step`; float32. Where an episode begins, of the last observation before.
            starting: where nobody acted, and the frame is the first of an episode; None: nowhere.
            allowed: at `frames`, shape (N, num_actions), bool; None where the spec has no masks.
        """
        self._wait = self._n_step - (chosen_q is None)
        brought = clip_rewards(rewards, self._reward_clip)
        self._log.append(
            None, actions, brought, frames, terminated, truncated, weight_version,
            chosen_q, best_q, starting, self._wait, _pack(allowed),
        )  # fmt: skip

    # --- blocks -----------------------------------------------------------------------------------

    def take_block(self) -> Block | None:
        """Give the ready transitions, up to a block's limit.

        Returns:
            A block that needs no other to be understood, or None if nothing is ready.

        Raises:
            UsageError: if a frame is not finite; another error if `refuse` makes one.
        """
        if not self._log.ready:
            return None
        steps = self._log.ready_steps()[: self._block_transitions]
        self._check_new_frames()
        block = build_block(
            self._log, steps, self._spec, n_step=self._n_step, discount=self._discount
        )
        self._log.forget(steps)
        return block

    # --- what is refused --------------------------------------------------------------------------

    def _read_environments(self, environments: ArrayLike, *, in_episode: bool) -> NDArray[np.int64]:
        numbers = read_environments(environments, self._count)
        wrong = numbers[self._log.in_episode(numbers) != in_episode].tolist()
        if wrong and in_episode:
            raise UsageError(
                f"environment {wrong[0]} is in no episode. Give its first frame by begin()."
            )
        if wrong:
            raise UsageError(
                f"environment {wrong[0]} is within an episode already. Say that it ended, by "
                f"`terminated` or `truncated` of its last step, or by cut({wrong[0]})."
            )
        return numbers

    def _read_frames(
        self, frames: ArrayLike, environments: ArrayLike, numbers: NDArray[np.int64]
    ) -> NDArray[Any]:
        given = read_frames(frames, self._spec, environments)
        bad = find_not_finite(given)
        if bad is not None:
            index, what = bad
            raise self._refuse(int(numbers[index]), self._log.environment_steps, what)
        return given

    def _allowed_at(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Give what is allowed in some environments now."""
        if self._log.masks is None:
            return None
        return unpack_masks(self._log.masks[self._log.last[numbers]], self._spec.num_actions)

    def _check_new_frames(self) -> None:
        """Check those that came by `step_all`, all at once, before any of them leaves."""
        new = self._log.new_frames
        bad = find_not_finite(self._log.frames[new])
        if bad is not None:
            index, what = bad
            raise self._refuse(*self._log.origin(new.start + index), what)

    def _make_room(self, slots: int) -> None:
        if self._log.end + slots <= self._log.capacity:
            return
        self._check_new_frames()
        self._log.forget(np.empty(0, np.int64))
        if self._log.end + slots > self._log.capacity:
            raise UsageError(
                f"{self.pending:,} transitions are pending, and there is no room for a step. Call "
                "take_block() whenever `full` is true."
            )

    def _refuse_argument(self, environment: int, environment_steps: int, what: str) -> ZdqnError:
        return UsageError(
            f"frames holds {what}, of environment {environment} of {self._count} after "
            f"{environment_steps:,} environment steps. One such value would spoil everything that "
            "is learned from it: replace it before it is given."
        )


def _pack(allowed: NDArray[np.bool_] | None) -> NDArray[np.uint8] | None:
    return None if allowed is None else pack_masks(allowed)
