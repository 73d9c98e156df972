"""Rollout: from steps of N environments to self-contained blocks of transitions.

A step only copies what it brought into preallocated rows. Returns, references and priorities are
computed when a block is taken, for all its transitions together.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from zdqn.data import NO_PRIORITY, Block, EnvironmentSpec, EpisodeStatistics
from zdqn.envs.stepping import EnvironmentStepper, StepRow
from zdqn.errors import ConfigError, UsageError
from zdqn.rl.n_step import NStepWindows, n_step_windows


class Rollout:
    """Steps N environments together and turns what happens into blocks.

    ::

        while not stopped():
            rollout.step(policy(rollout.observations), weight_version)
            if rollout.full:
                send(rollout.take_block())

    Row t holds the frames observed before step t and the result of the action taken on them. Rows
    become transitions in order, all environments of a row together, as soon as their n-step windows
    are complete; a block carries the frames that its own transitions refer to, once each. The last
    `n_step - 1` rows wait (`n_step` with priorities, which need a value of the next observation).
    """

    def __init__(
        self,
        environments: VectorEnv[Any, Any, Any],
        spec: EnvironmentSpec,
        *,
        n_step: int,
        discount: float,
        block_transitions: int,
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
            seed: seed of the environments, >= 0.
            label: who steps them, for messages, such as ``collector-3``.

        Raises:
            ConfigError: if a block has no room for one transition of each environment.
            EnvironmentFailedError: if the environments cannot be reset.
        """
        count = environments.num_envs
        if block_transitions < count:
            raise ConfigError(
                f"block_transitions is {block_transitions}, but {count} environments step together "
                f"and complete up to {count} transitions at once, which must fit one block. Set it "
                f"to {count} or more."
            )
        self._spec = spec
        self._n_step = n_step
        self._discount = discount
        self._block_transitions = block_transitions
        self._stepper = EnvironmentStepper(environments, spec, seed=seed, label=label)
        self._episodes: list[EpisodeStatistics] = []
        self.episodes = 0

        # At worst every other row is a reset row and holds no transition.
        rows = 2 * (block_transitions // count) + n_step + spec.frame_stack + 2
        self._frames = np.empty((rows + 1, count, *spec.observation_shape), spec.dtype)
        self._actions = np.empty((rows, count), np.int32)
        self._rewards = np.empty((rows, count), np.float32)
        self._terminated = np.empty((rows, count), np.bool_)
        self._truncated = np.empty((rows, count), np.bool_)
        self._valid = np.empty((rows, count), np.bool_)
        self._weight_versions = np.empty((rows, count), np.int64)
        self._chosen_q = np.empty((rows, count), np.float32)
        self._best_q = np.empty((rows + 1, count), np.float32)

        self._frames[0] = self._stepper.first_frames
        self._rows = 0  # rows stepped
        self._first = 0  # rows before this one are history: sent, but needed for stacks
        self._steps_before = [0]  # environment steps done before each row, and before the next one
        self._estimates = False

    @property
    def observations(self) -> NDArray[Any]:
        """Current observations, shape (N, *spec.stacked_shape); valid until the next step."""
        return self._stepper.observations

    @property
    def environment_steps(self) -> int:
        """Actions that environments have carried out; resets are none."""
        return self._stepper.environment_steps

    @property
    def pending(self) -> int:
        """Transitions that are complete and not taken yet."""
        return self._steps_before[self._complete_rows()] - self._steps_before[self._first]

    @property
    def full(self) -> bool:
        """Whether the next step could complete more than a block holds: a block is to be taken."""
        return self.pending + self._stepper.count > self._block_transitions

    def step(
        self,
        actions: NDArray[np.integer[Any]],
        weight_version: int | NDArray[np.int64],
        chosen_q: NDArray[np.float32] | None = None,
        best_q: NDArray[np.float32] | None = None,
    ) -> None:
        """Carry out one action in each environment.

        Args:
            actions: shape (N,), in [0, num_actions).
            weight_version: packed version of the weights that chose them, one or shape (N,).
            chosen_q: the collector's own Q(s_t, a_t), shape (N,), float32; None: no priorities.
            best_q: its own max_a Q(s_t, a), shape (N,), float32; given with `chosen_q`.

        Raises:
            EnvironmentFailedError: if an environment raised or returned what it may not. Nothing of
                such a step is kept.
            UsageError: if the rollout is full and no block was taken, or only one of `chosen_q` and
                `best_q` is given.
        """
        if (chosen_q is None) != (best_q is None):
            raise UsageError("chosen_q and best_q make a priority together: give both or neither.")
        row = self._rows
        if row == len(self._actions):
            raise UsageError(
                f"The rollout holds {self.pending} transitions and has no room for a step. Call "
                "take_block() whenever `full` is true."
            )
        result = self._stepper.step(np.asarray(actions, np.int64))
        self._estimates = chosen_q is not None
        self._actions[row] = actions
        self._weight_versions[row] = weight_version
        self._chosen_q[row] = np.nan if chosen_q is None else chosen_q
        self._best_q[row] = np.nan if best_q is None else best_q
        self._keep(row, result)

    def take_block(self) -> Block | None:
        """Give the complete transitions, up to a block's limit.

        Returns:
            A block that needs no other to be understood, or None if nothing is complete.

        Raises:
            EnvironmentFailedError: if a frame is not finite.
        """
        first, end = self._first, self._complete_rows()
        limit = self._steps_before[first] + self._block_transitions
        end = min(end, bisect_right(self._steps_before, limit) - 1)
        if self._steps_before[end] == self._steps_before[first]:
            return None
        block = self._build_block(first, end)
        self._drop(end)
        return block

    def take_episodes(self) -> list[EpisodeStatistics]:
        """Give the episodes that ended since the last call, in order."""
        episodes, self._episodes = self._episodes, []
        return episodes

    def close(self) -> None:
        """Close the environments; safe to call twice, and after an error."""
        self._stepper.close()

    def _keep(self, row: int, result: StepRow) -> None:
        self._frames[row + 1] = result.frames
        self._rewards[row] = result.rewards
        self._terminated[row] = result.terminated
        self._truncated[row] = result.truncated
        self._valid[row] = result.valid
        self._rows = row + 1
        self._steps_before.append(self._stepper.environment_steps)
        if result.finished:
            self.episodes += len(result.finished)
            self._episodes += [statistics for _, statistics in result.finished]

    def _complete_rows(self) -> int:
        """Give the row before which all windows are complete."""
        waiting = self._n_step if self._estimates else self._n_step - 1
        return max(self._first, self._rows - waiting)

    def _build_block(self, first: int, end: int) -> Block:
        held = slice(first, self._rows)
        windows = n_step_windows(
            self._rewards[held],
            self._terminated[held],
            self._truncated[held],
            self._valid[held],
            n_step=self._n_step,
            discount=self._discount,
        )
        rows, indices = np.nonzero(self._valid[first:end])
        chosen = (rows, indices)
        next_rows = windows.next_rows[chosen] + first
        frames, references = self._gather_frames(
            np.concatenate((rows + first, next_rows)), np.concatenate((indices, indices))
        )
        records = np.empty(len(rows), self._spec.record_dtype)
        records["observation"] = references[: len(rows)]
        records["next_observation"] = references[len(rows) :]
        records["weight_version"] = self._weight_versions[first:end][chosen]
        records["action"] = self._actions[first:end][chosen]
        records["reward"] = windows.returns[chosen]
        records["discount"] = windows.discounts[chosen]
        records["priority"] = self._priorities(windows, chosen, next_rows)
        return Block(frames, records)

    def _gather_frames(
        self, rows: NDArray[np.int64], indices: NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Copy the frames of stacked observations into a table, each once.

        Args:
            rows: rows of the newest frames, shape (T,).
            indices: their environments, shape (T,).

        Returns:
            The table (F, *observation_shape), and references into it (T, S), oldest frame first.
        """
        count = self._stepper.count
        slots = (self._rows + 1) * count
        older = np.arange(slots)  # where the frame before a frame lies; a first frame repeats
        older[count:] -= np.where(self._valid[: self._rows], count, 0).ravel()
        stack = self._spec.frame_stack
        places = np.empty((len(rows), stack), np.int64)
        places[:, -1] = rows * count + indices
        for position in range(stack - 2, -1, -1):
            places[:, position] = older[places[:, position + 1]]
        used = np.zeros(slots, np.bool_)
        used[places] = True
        taken = np.flatnonzero(used)
        all_frames = self._frames[: self._rows + 1].reshape(slots, *self._spec.observation_shape)
        table = all_frames[taken]
        self._check_frames(table, taken)
        return table, (np.cumsum(used) - 1)[places]

    def _priorities(
        self,
        windows: NStepWindows,
        chosen: tuple[NDArray[np.int64], NDArray[np.int64]],
        next_rows: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Estimate |TD error| with the collector's own values.

        Reference:
            Horgan et al. 2018, arXiv:1803.00933, section 3 (priorities computed by the actors).
        """
        self._best_q[self._rows] = np.nan
        discounts = windows.discounts[chosen]
        bootstrap = np.where(discounts > 0, self._best_q[next_rows, chosen[1]], 0)
        values = self._chosen_q[self._first :][chosen]
        with np.errstate(invalid="ignore", over="ignore"):
            errors = np.abs(windows.returns[chosen] + discounts * bootstrap - values)
        return np.where(np.isfinite(errors), errors, np.float32(NO_PRIORITY))

    def _check_frames(self, table: NDArray[Any], taken: NDArray[np.int64]) -> None:
        if table.dtype.kind != "f" or np.isfinite(table).all():
            return
        flat = table.reshape(len(table), -1)
        place, element = np.argwhere(~np.isfinite(flat))[0]
        row, index = divmod(int(taken[place]), self._stepper.count)
        raise self._stepper.refuse(
            index,
            self._steps_before[row],
            f"an observation whose element {element} is {flat[place, element]}",
        )

    def _drop(self, end: int) -> None:
        """Forget the rows before `end`, but for the history that later stacks reach back to."""
        self._first = min(end, self._spec.frame_stack - 1)
        offset = end - self._first
        kept = self._rows - offset
        for array in (
            self._actions,
            self._rewards,
            self._terminated,
            self._truncated,
            self._valid,
            self._weight_versions,
            self._chosen_q,
        ):
            array[:kept] = array[offset : self._rows]
        self._frames[: kept + 1] = self._frames[offset : self._rows + 1]
        self._best_q[: kept + 1] = self._best_q[offset : self._rows + 1]
        self._rows = kept
        del self._steps_before[:offset]
