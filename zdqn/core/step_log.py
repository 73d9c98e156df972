"""The latest steps of N environments, in the order in which they came, linked within each one."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.data import EnvironmentSpec


class StepLog:
    """Preallocated slots, each for what happened next in one environment.

    That is a step (an action and what it led to) or the beginning of an episode; either way the
    slot holds the frame that was observed then. A step waits until enough followed it in its
    environment, is ready until a block takes it, and its frame is kept as long as a stack needs it.

    Attributes:
        capacity: slots there are.
        end: slots in use are those before it.
        ready: steps that wait no longer and are in no block yet.
        environment_steps: steps ever appended.
        last: newest slot of each environment, shape (N,), int64; -1 before its first.
        frames: shape (capacity, *observation_shape), as all that follow by slot.
        masks: packed, shape (capacity, spec.mask_bytes), of what is allowed at the observation that
            ends with this frame; None where the spec has none.
        actions: int32; of no meaning in a beginning, like the next ones.
        rewards: float32.
        terminated: bool; False in a beginning.
        truncated: bool; a beginning's says that its episode was given up without a step.
        weight_versions: int64.
        chosen_q: float32, Q(s, a) of the step; NaN if unknown.
        best_q: float32, max_a Q of the observation that ends with this frame; NaN if unknown.
        previous: int64, the slot whose frame the step acted on; a beginning's is itself.
    """

    def __init__(self, spec: EnvironmentSpec, *, environments: int, capacity: int) -> None:
        """Make room.

        Args:
            spec: shape, dtype and stack of an observation.
            environments: N.
            capacity: slots.
        """
        self._stack = spec.frame_stack
        self.capacity = capacity
        self.end = 0
        self.ready = 0
        self.environment_steps = 0
        self._numbers = np.arange(capacity)
        self._numbers.flags.writeable = False  # views of it are handed about
        self.last = np.full(environments, -1)
        self.frames = np.empty((capacity, *spec.observation_shape), spec.dtype)
        self.masks: NDArray[np.uint8] | None = None
        if spec.action_masks:
            self.masks = np.empty((capacity, spec.mask_bytes), np.uint8)
        self.actions = np.empty(capacity, np.int32)
        self.rewards = np.empty(capacity, np.float32)
        self.terminated = np.empty(capacity, np.bool_)
        self.truncated = np.empty(capacity, np.bool_)
        self.weight_versions = np.empty(capacity, np.int64)
        self.previous = np.empty(capacity, np.int64)
        # Slots to come hold what is mostly true of a step, so that only exceptions are written.
        self.chosen_q = np.full(capacity, np.nan, np.float32)
        self.best_q = np.full(capacity, np.nan, np.float32)
        self._unsent = np.ones(capacity, np.bool_)
        # Newest slots of each environment and how many steps are among them, oldest row first; 0
        # stands for none. Slot 0 is never an unsent step, for what a step acted on lies before it.
        self._waiting: deque[tuple[NDArray[np.int64], int]] = deque()
        self._newest_row: slice | None = None  # where `last` lies, if side by side
        # First slot, environments and step count of each call, to tell where a frame came from.
        self._calls: list[tuple[int, NDArray[np.int64] | None, int]] = []

    def append(
        self,
        environments: NDArray[np.int64] | None,
        actions: Any,
        rewards: Any,
        frames: NDArray[Any],
        terminated: Any,
        truncated: Any,
        weight_version: Any,
        chosen_q: Any,
        best_q: Any,
        starting: NDArray[np.bool_] | None,
        wait: int,
        masks: NDArray[np.uint8] | None = None,
    ) -> None:
        """Take in what happened in some environments; nothing is checked.

        Args:
            environments: K numbers, none twice, shape (K,); None for all, in the order of numbers.
            actions: shape (K,), like all that follow.
            rewards: float.
            frames: newest frames, shape (K, *observation_shape).
            terminated: bool.
            truncated: bool.
            weight_version: of the weights that chose.
            chosen_q: Q(s, a), or None.
            best_q: max_a Q of the observations before, or None.
            starting: where an episode began instead of a step; None: nowhere.
            wait: how many later slots of its environment a step waits for.
            masks: of the frames, packed, shape (K, spec.mask_bytes); None where the spec has none.
        """
        start = self.end
        self.end = end = start + len(frames)
        new = slice(start, end)
        slots = self._numbers[new]
        before = self.last if environments is None else self.last[environments]
        self.frames[new] = frames
        if self.masks is not None and masks is not None:
            self.masks[new] = masks
        self.actions[new] = actions
        self.rewards[new] = rewards
        self.terminated[new] = terminated
        self.truncated[new] = truncated
        self.weight_versions[new] = weight_version
        self.previous[new] = before
        if best_q is not None:
            self.chosen_q[new] = chosen_q
            row = self._newest_row if environments is None else None
            self.best_q[before if row is None else row] = best_q
        count = end - start
        if starting is not None:
            count -= int(np.count_nonzero(starting))
            self.previous[new][starting] = slots[starting]
            self._unsent[new] = ~starting
        self.environment_steps += count
        self._calls.append((start, environments, self.environment_steps))
        if environments is None:
            self.last, self._newest_row = slots, new
            waiting = self._waiting
            waiting.append((slots, count))
            while len(waiting) > wait:
                self.ready += waiting.popleft()[1]
        else:
            self.last, self._newest_row = _replaced(self.last, environments, slots), None
            self._wait(environments, slots, wait)

    def _wait(self, environments: NDArray[np.int64], slots: NDArray[np.int64], wait: int) -> None:
        """Let new slots of some environments wait; the others' grow no older."""
        while len(self._waiting) > wait:
            self.ready += self._waiting.popleft()[1]
        nobody = np.zeros(len(self.last), np.int64)
        rows = [nobody] * (wait - len(self._waiting)) + [row for row, _ in self._waiting]
        for age in range(wait - 1, -1, -1):
            older = rows[age][environments]
            rows[age], slots = _replaced(rows[age], environments, slots), older
        self.ready += self._count_steps(slots)
        self._waiting = deque((row, self._count_steps(row)) for row in rows)

    def release(self, environments: NDArray[np.int64]) -> None:
        """Let the steps of some environments, shape (K,), wait no longer."""
        rows: deque[tuple[NDArray[np.int64], int]] = deque()
        for row, count in self._waiting:
            released = self._count_steps(row[environments])
            self.ready += released
            rows.append((_replaced(row, environments, 0), count - released))
        self._waiting = rows

    def _count_steps(self, slots: NDArray[np.int64]) -> int:
        return int(np.count_nonzero(self._unsent[slots]))

    def in_episode(self, environments: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which of some environments have begun an episode that goes on, shape (K,)."""
        newest = self.last[environments]
        over: NDArray[np.bool_] = self.terminated[newest] | self.truncated[newest]
        return (newest >= 0) & ~over

    def cut(self, environments: NDArray[np.int64]) -> None:
        """End the episodes of some environments, shape (K,), with what was appended last."""
        self.truncated[self.last[environments]] = True
        self.release(environments)

    def ready_steps(self) -> NDArray[np.int64]:
        """Give the slots of the ready steps, shape (self.ready,), oldest first."""
        ready = self._unsent[: self.end].copy()
        for row, _ in self._waiting:
            ready[row] = False
        return np.flatnonzero(ready)

    def following(self) -> NDArray[np.int64]:
        """Give the next step of the same episode for each slot, shape (end,); -1 for none."""
        following = np.full(self.end, -1)
        previous = self.previous[: self.end]
        steps = np.flatnonzero(previous != np.arange(self.end))
        following[previous[steps]] = steps
        return following

    def origin(self, slot: int) -> tuple[int, int]:
        """Tell where a frame came from that arrived after the last `forget`.

        Returns:
            Its environment, and the environment steps that had been done when it came.
        """
        start, environments, environment_steps = next(
            call for call in reversed(self._calls) if call[0] <= slot
        )
        place = slot - start
        return int(place if environments is None else environments[place]), environment_steps

    @property
    def new_frames(self) -> slice:
        """The slots that were appended after the last `forget`."""
        return slice(self._calls[0][0] if self._calls else self.end, self.end)

    def forget(self, sent: NDArray[np.int64]) -> None:
        """Take steps for sent, and drop what no later block needs.

        Args:
            sent: slots of ready steps, shape (T,).
        """
        end = self.end
        self.ready -= len(sent)
        self._unsent[sent] = False
        unsent = np.flatnonzero(self._unsent[:end])
        keep = np.zeros(end, np.bool_)
        keep[unsent] = True
        needed = np.concatenate((self.previous[unsent], self.last[self.last >= 0]))
        for _ in range(self._stack):
            keep[needed] = True
            needed = self.previous[needed]
        self._keep(np.flatnonzero(keep), keep)

    def _keep(self, kept: NDArray[np.int64], keep: NDArray[np.bool_]) -> None:
        old_end, self.end = self.end, len(kept)
        moved = np.cumsum(keep) - 1  # to where each kept slot moves
        source: slice | NDArray[np.int64] = kept
        if self.end and kept[-1] - kept[0] < self.end:  # side by side, as in lockstep: far quicker
            source = slice(kept[0], kept[-1] + 1)
        previous = self.previous[kept]
        # A frame whose predecessor goes is the oldest of the only stacks that it is still in.
        self.previous[: self.end] = moved[np.where(keep[previous], previous, kept)]
        for array in (
            self.frames,
            self.actions,
            self.rewards,
            self.terminated,
            self.truncated,
            self.weight_versions,
            self.chosen_q,
            self.best_q,
            self._unsent,
            self.masks,
        ):
            if array is not None:
                array[: self.end] = array[source]
        self.chosen_q[self.end : old_end] = np.nan
        self.best_q[self.end : old_end] = np.nan
        self._unsent[self.end : old_end] = True
        self.last = np.where(self.last >= 0, moved[self.last], -1)
        self._newest_row = None
        self._waiting = deque(
            (np.where(keep[row], moved[row], 0), count) for row, count in self._waiting
        )
        self._calls.clear()


def _replaced(
    row: NDArray[np.int64], environments: NDArray[np.int64], values: NDArray[np.int64] | int
) -> NDArray[np.int64]:
    """Give a copy of a row, shape (N,), with other values for some environments."""
    copy = row.copy()
    copy[environments] = values
    return copy
