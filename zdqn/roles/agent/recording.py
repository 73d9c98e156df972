"""What the threads of a program tell, taken in under one lock, and taken out as blocks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zdqn.core.accumulator import Accumulator
from zdqn.core.host_episodes import HostEpisodes, Look
from zdqn.data import Block, EnvironmentSpec, EpisodeStatistics
from zdqn.rl.exploration import Choice

logger = logging.getLogger("zdqn.agent")

_MOMENT_S = 0.02
"""In which a link that is not held back takes a block, whatever else threads do."""


class Observed(NamedTuple):
    """What became of a step that was told.

    Attributes:
        recorded: whether it will be sent.
        ended: how its episode went, if it is over.
    """

    recorded: bool
    ended: EpisodeStatistics | None


class Recording:
    """Steps of a program's episodes on their way to become blocks; any thread may call it.

    While a block is full and the link does not take it, nobody can record: that is how the
    memory's backpressure reaches a program.

    Args:
        episodes: which go on.
        drops: do not wait for room, but for the moment in which the link takes a full block.

    Attributes:
        steps_dropped: that could not be recorded.
        waited_s: seconds spent waiting for room.
    """

    def __init__(self, episodes: HostEpisodes, *, drops: bool = False) -> None:
        self._drops = drops
        self._episodes = episodes
        self._changed = threading.Condition()
        self._accumulator: Accumulator | None = None
        self._block_transitions = 1
        self._closed = False
        self._dropping = False
        self.steps_dropped = 0
        self.waited_s = 0.0

    # --- the program's side -----------------------------------------------------------------------

    def look(self, name: Hashable, observation: ArrayLike, mask: ArrayLike | None = None) -> Look:
        """See `HostEpisodes.look`."""
        with self._changed:
            return self._episodes.look(name, observation, mask)

    def decide(self, name: Hashable, choice: Choice, *, keep: bool) -> None:
        """See `HostEpisodes.decide`."""
        with self._changed:
            self._episodes.decide(name, choice, keep=keep)

    def read_action(
        self, action: ArrayLike, start: int, mask: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """See `HostEpisodes.read_action`."""
        return self._episodes.read_action(action, start, mask)

    def observe(
        self,
        name: Hashable,
        reward: ArrayLike,
        next_observation: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
        next_mask: ArrayLike | None = None,
        *,
        wait_s: float | None,
        value: Callable[[NDArray[Any], NDArray[np.bool_] | None], NDArray[np.float32] | None],
    ) -> Observed:
        """Take in what an action brought.

        Args:
            name: of the episode.
            reward: see `HostEpisodes.read`, as what follows.
            next_observation: observed then.
            terminated: whether the episode ended for good.
            truncated: whether it was cut short.
            next_mask: of `next_observation`.
            wait_s: how long to wait for room, where that is done; None for as long as it takes.
            value: gives max_a Q of observations and what is allowed at each, or None.

        Raises:
            UsageError: if an argument is wrong, or there was no action.
        """
        episodes = self._episodes
        with self._changed:
            outcome = episodes.read(
                name, reward, next_observation, terminated, truncated, next_mask
            )
            keep = episodes.is_kept(name)
            record = keep and self._wait_for_room(wait_s)
            observations = episodes.push(name, outcome)
            last_q = None
            if record and outcome.truncated:
                last_q = value(observations, outcome.allowed)
            ended = episodes.take_in(name, outcome, record=record, last_q=last_q)
            if keep:
                self._note(dropped=not record)
            if self.full:
                self._changed.notify_all()
        return Observed(record, ended)

    def take_back(self, name: Hashable) -> None:
        """See `HostEpisodes.take_back`."""
        with self._changed:
            self._episodes.take_back(name)

    def cut(self, name: Hashable) -> None:
        """See `HostEpisodes.cut`."""
        with self._changed:
            self._episodes.cut(name)

    @property
    def _is_closed(self) -> bool:
        return self._closed

    def _has_room(self) -> bool:
        return self._closed or not self.full

    def _wait_for_room(self, wait_s: float | None) -> bool:
        if self._closed or self._accumulator is None:
            return False
        if not self._has_room():
            began_s = time.monotonic()
            self._changed.notify_all()
            if self._drops:
                wait_s = 0.0 if self._dropping else _MOMENT_S
            self._changed.wait_for(self._has_room, wait_s)
            self.waited_s += time.monotonic() - began_s
        return self._has_room() and not self._is_closed

    def _note(self, *, dropped: bool) -> None:
        self.steps_dropped += dropped
        if dropped and not self._dropping and not self._closed:
            logger.warning(
                "%s; steps are not recorded from now on, and counted",
                "no run has been joined so far"
                if self._accumulator is None
                else "the memory takes no transitions",
            )
        elif not dropped and self._dropping:
            logger.info("steps are recorded again; %d were not so far", self.steps_dropped)
        self._dropping = dropped

    # --- the link's side --------------------------------------------------------------------------

    def open(self, accumulator: Accumulator, spec: EnvironmentSpec, block_transitions: int) -> None:
        """Record from now on; see `HostEpisodes.record_into`."""
        with self._changed:
            self._block_transitions = block_transitions
            self._accumulator = accumulator
            self._episodes.record_into(accumulator, spec)

    def close(self) -> None:
        """Record nothing more; what was recorded is complete, and nobody waits."""
        with self._changed:
            if not self._closed:
                self._closed = True
                self._episodes.stop_recording()
            self._changed.notify_all()

    def wait_until_full(self, timeout_s: float) -> None:
        """Wait until a block is full, or recording is over, for at most `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self.full, timeout_s)

    @property
    def pending(self) -> int:
        """Transitions that are ready and not taken yet."""
        return self._accumulator.pending if self._accumulator is not None else 0

    @property
    def full(self) -> bool:
        """Whether a block is full.

        As episodes step one at a time, that is later than where all of them step together.
        """
        return self.pending >= self._block_transitions

    @property
    def environment_steps(self) -> int:
        """Steps recorded so far."""
        return self._accumulator.environment_steps if self._accumulator is not None else 0

    @property
    def episodes(self) -> int:
        """Episodes whose last step was recorded."""
        return self._episodes.episodes

    def take(self) -> tuple[Block | None, int, int]:
        """Give a block, if any transition is ready, and the counts of the steps until then."""
        with self._changed:
            block = self._accumulator.take_block() if self._accumulator is not None else None
            self._changed.notify_all()
            return block, self.environment_steps, self.episodes


class RecordedBlocks:
    """The blocks of a recording, each with what was counted when it was taken.

    Args:
        recording: where they come from.

    Attributes:
        environment_steps: when the last block was taken.
        episodes: likewise.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.environment_steps = 0
        self.episodes = 0

    @property
    def pending(self) -> int:
        """Transitions that are ready and not taken yet."""
        return self._recording.pending

    @property
    def full(self) -> bool:
        """Whether a block is to be taken before anything else."""
        return self._recording.full

    def take_block(self) -> Block | None:
        """Give ready transitions, as many as a block holds; None if there are none."""
        block, self.environment_steps, self.episodes = self._recording.take()
        return block
