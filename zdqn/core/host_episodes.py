"""Episodes of a program that owns its loop: whose turn it is, what is observed, what is kept."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zdqn.core.accumulator import Accumulator
from zdqn.core.mask_arguments import as_masks, check_allowed, read_masks
from zdqn.core.step_arguments import (
    find_not_finite,
    read_frames,
    read_numbers,
    read_rewards,
)
from zdqn.data import EnvironmentSpec, EpisodeStatistics
from zdqn.envs.stacking import FrameStacker
from zdqn.errors import UsageError
from zdqn.rl.exploration import Choice


class Look(NamedTuple):
    """What is to be acted on.

    Attributes:
        place: of the episode among those that go on at once, from 0.
        observations: shape (1, *stacked_shape); valid until its next step is taken in.
        again: an episode begins where another has ended.
        allowed: actions that may be taken, shape (1, num_actions), bool; None: all.
    """

    place: int
    observations: NDArray[Any]
    again: bool
    allowed: NDArray[np.bool_] | None = None


class StepOutcome(NamedTuple):
    """What an action brought, checked.

    Attributes:
        reward: finite.
        frame: observed then, shape (1, *observation_shape).
        terminated: whether the episode ended for good.
        truncated: whether it was cut short.
        allowed: actions that may be taken then, shape (1, num_actions), bool; None: all.
    """

    reward: float
    frame: NDArray[Any]
    terminated: bool
    truncated: bool
    allowed: NDArray[np.bool_] | None = None


@dataclass
class _Episode:
    """One that goes on.

    Attributes:
        place: environment of the accumulator.
        frame: observed last, shape (1, *observation_shape).
        allowed: then, shape (1, num_actions), bool; None: everything, or nobody said.
        stack: of the newest frames.
        choice: whose outcome is awaited.
        keep: whether that is to be recorded.
        within: whether the accumulator is within this episode, and up to date.
        again: whether another ended at this place, and nobody acted since.
        total_reward: undiscounted.
        length: steps.
    """

    place: int
    frame: NDArray[Any]
    allowed: NDArray[np.bool_] | None
    stack: FrameStacker
    again: bool
    choice: Choice | None = None
    keep: bool = True
    within: bool = False
    total_reward: float = 0.0
    length: int = 0


class HostEpisodes:
    """Follows episodes that somebody else steps, by the names that they are given.

    For each step of each episode: `look`, `decide`, `read`, `push`, `take_in`. A step that is not
    to be recorded, or cannot be, leaves a gap: the steps before it are complete, as if truncated,
    and those after it begin anew with what was observed last.

    Args:
        spec: of the environments.
        most: episodes that may go on at once, >= 1.

    Attributes:
        episodes: whose last step was recorded.
    """

    def __init__(self, spec: EnvironmentSpec, most: int) -> None:
        self._spec = spec
        self._most = most
        self._accumulator: Accumulator | None = None
        self._agreed = False  # whether the spec is the run's, which says whether there are masks
        self._going: dict[Hashable, _Episode] = {}
        self._used: set[int] = set()
        self.episodes = 0

    def record_into(self, accumulator: Accumulator, spec: EnvironmentSpec) -> None:
        """Record from now on.

        Args:
            accumulator: for as many environments as episodes may go on at once.
            spec: of the environments; may have another stack than was known before.
        """
        self._accumulator, self._spec, self._agreed = accumulator, spec, True
        for episode in self._going.values():
            episode.stack = FrameStacker(spec, episode.frame)

    # --- acting -----------------------------------------------------------------------------------

    def look(self, name: Hashable, observation: ArrayLike, mask: ArrayLike | None = None) -> Look:
        """Give what is to be acted on in an episode, which begins if it does not go on.

        Args:
            name: of the episode.
            observation: shape spec.observation_shape, of the dtype of the spec.
            mask: which actions may be taken, shape (num_actions,), bool or 0 and 1, some of them;
                None where the spec has no masks.

        Raises:
            UsageError: if one is of another form, or not what was given last; if the outcome of
                an action is awaited; or if too many episodes go on.
        """
        frame = self._read_frame(observation, "observation")
        allowed = self._read_mask(mask, "mask")
        episode = self._going.get(name)
        if episode is None:
            episode = self._begin(name, frame, allowed)
        elif episode.choice is not None:
            raise UsageError(
                f"act() was called twice in episode {name!r}: it is not known what the first "
                f"action, {int(episode.choice.actions[0])}, has brought. Say so by observe(), once "
                f"after each act(), or leave the episode by cut()."
            )
        elif not np.array_equal(frame, episode.frame):
            raise UsageError(
                f"observation differs from the next_observation that observe() was given last in "
                f"episode {name!r}. Give both the same. If the world began anew, say that the "
                f"episode ended, by `terminated` or `truncated` of its last observe(), or by cut()."
            )
        elif not _are_same(allowed, episode.allowed):
            raise UsageError(
                f"mask differs from the one that was given with the same observation in episode "
                f"{name!r}, as next_mask of observe() or before. Give both the same."
            )
        return Look(episode.place, episode.stack.observations, episode.again, allowed)

    def decide(self, name: Hashable, choice: Choice, *, keep: bool) -> None:
        """Take note of the action that is being carried out; its outcome comes next.

        Args:
            name: of the episode.
            choice: shapes (1,).
            keep: whether its outcome is to be recorded.

        Raises:
            UsageError: if another thread has acted meanwhile.
        """
        episode = self._going.get(name)
        if episode is None or episode.choice is not None:
            raise UsageError(
                f"Two threads act in episode {name!r} at once. Give each an episode of its own."
            )
        episode.choice, episode.keep, episode.again = choice, keep, False

    def take_back(self, name: Hashable) -> None:
        """Forget an action whose outcome could not be read."""
        self._going[name].choice = None

    def read_action(
        self, action: ArrayLike, start: int, mask: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """Read an action that somebody else has chosen, and number it from 0; shape (1,).

        Args:
            action: of an action space whose numbers begin with `start`.
            start: see there.
            mask: see `look`.

        Raises:
            UsageError: if it is none, or the mask does not allow it.
        """
        number = read_numbers("action", action, 1, "iu").astype(np.int64) - start
        if not 0 <= number[0] < self._spec.num_actions:
            raise UsageError(
                f"action is {action!r}, but the action space has the numbers from {start} to "
                f"{start + self._spec.num_actions - 1}."
            )
        check_allowed(number, self._read_mask(mask, "mask"), "action, numbered from 0,")
        return number

    # --- what came of it --------------------------------------------------------------------------

    def read(
        self,
        name: Hashable,
        reward: ArrayLike,
        next_observation: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
        next_mask: ArrayLike | None = None,
    ) -> StepOutcome:
        """Check what an action brought; nothing changes.

        Raises:
            UsageError: if an argument is of another form, or there was no action.
        """
        episode = self._going.get(name)
        if episode is None or episode.choice is None:
            raise UsageError(
                f"observe() was called before act() in episode {name!r}: there is no action that "
                f"this came of. Call act() with the observation before it, and observe() once "
                f"after each act(). For what is over already there is log()."
            )
        frame = self._read_frame(next_observation, "next_observation")
        brought = read_rewards(reward, 1, "reward")
        over, cut_short = (
            read_numbers(what, value, 1, "b")
            for what, value in (("terminated", terminated), ("truncated", truncated))
        )
        allowed = self._read_mask(next_mask, "next_mask", over)
        return StepOutcome(float(brought[0]), frame, bool(over[0]), bool(cut_short[0]), allowed)

    def is_kept(self, name: Hashable) -> bool:
        """Tell whether the outcome that is awaited is to be recorded.

        What was done before anybody knew that the run has masks, and without one, cannot be.
        """
        episode = self._going[name]
        return episode.keep and (episode.allowed is not None or not self._spec.action_masks)

    def push(self, name: Hashable, outcome: StepOutcome) -> NDArray[Any]:
        """Give what is observed now, shape (1, *stacked_shape), as `look` would."""
        episode = self._going[name]
        episode.stack.push(outcome.frame)
        return episode.stack.observations

    def take_in(
        self,
        name: Hashable,
        outcome: StepOutcome,
        *,
        record: bool,
        last_q: NDArray[np.float32] | None = None,
    ) -> EpisodeStatistics | None:
        """Take in an outcome that was pushed.

        Args:
            name: of the episode.
            outcome: as it was read.
            record: whether to record it; room is there.
            last_q: max_a Q of what is observed now, shape (1,), where the episode ends.

        Returns:
            How the episode went, if it is over.
        """
        episode = self._going[name]
        episode.total_reward += outcome.reward
        episode.length += 1
        if record:
            self._record(episode, outcome, last_q)
        else:
            self._leave_gap(episode)
        episode.frame, episode.allowed, episode.choice = outcome.frame, outcome.allowed, None
        if not (outcome.terminated or outcome.truncated):
            return None
        self.episodes += record
        del self._going[name]
        return EpisodeStatistics(episode.total_reward, episode.length)

    def cut(self, name: Hashable) -> None:
        """Leave an episode after its last step, as if truncated by it.

        Raises:
            UsageError: if it does not go on.
        """
        episode = self._going.pop(name, None)
        if episode is None:
            going = ", ".join(map(repr, self._going)) or "none"
            raise UsageError(f"episode is {name!r}, but no such one goes on; going on: {going}.")
        self._leave_gap(episode)

    def stop_recording(self) -> None:
        """Record nothing more: what was recorded of each episode is complete."""
        for episode in self._going.values():
            self._leave_gap(episode)

    # --- parts ------------------------------------------------------------------------------------

    def _begin(
        self, name: Hashable, frame: NDArray[Any], allowed: NDArray[np.bool_] | None
    ) -> _Episode:
        places = {episode.place for episode in self._going.values()}
        free = next((place for place in range(self._most) if place not in places), None)
        if free is None:
            raise UsageError(
                f"episode is {name!r}, but {self._most} go on already, as many as `episodes` of "
                f"the agent allows: {', '.join(map(repr, self._going))}. Make it with more, or "
                f"leave some by cut()."
            )
        stack = FrameStacker(self._spec, frame)
        episode = _Episode(free, frame, allowed, stack, free in self._used)
        self._used.add(free)
        self._going[name] = episode
        return episode

    def _record(
        self, episode: _Episode, outcome: StepOutcome, last_q: NDArray[np.float32] | None
    ) -> None:
        accumulator, choice = self._accumulator, episode.choice
        assert accumulator is not None
        assert choice is not None
        place = episode.place
        if not episode.within:
            accumulator.begin(place, episode.frame[0], _first(episode.allowed))
            episode.within = True
        accumulator.step(
            place, choice.actions, outcome.reward, outcome.frame[0], outcome.terminated,
            outcome.truncated, choice.weight_version, choice.chosen_q, choice.best_q, last_q,
            _first(outcome.allowed),
        )  # fmt: skip

    def _leave_gap(self, episode: _Episode) -> None:
        if episode.within:
            assert self._accumulator is not None
            self._accumulator.cut(episode.place)
        episode.within = False

    def _read_frame(self, observation: ArrayLike, name: str) -> NDArray[Any]:
        frame = read_frames(observation, self._spec, 0, name)
        bad = find_not_finite(frame)
        if bad is not None:
            _, what = bad
            raise UsageError(
                f"{name} is {what}. One such value would spoil everything that is learned from it: "
                "replace it before it is given."
            )
        return frame.copy()

    def _read_mask(
        self, mask: ArrayLike | None, name: str, over: NDArray[np.bool_] | None = None
    ) -> NDArray[np.bool_] | None:
        if self._agreed:
            return read_masks(mask, self._spec, 0, name, over=over)
        # As long as no run was joined nobody knows whether it has masks: they are good to act by.
        return None if mask is None else as_masks(mask, self._spec.num_actions, (), name)


def _first(allowed: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    return None if allowed is None else allowed[0]


def _are_same(one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None) -> bool:
    return one is other if one is None or other is None else bool((one == other).all())
