"""Experience that exists already, an .npz file or a Minari data set: read as episodes, checked."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zdqn.data import MAX_REWARD, EnvironmentSpec, LoggedEpisode
from zdqn.errors import FileError, UsageError, did_you_mean, what_went_wrong

_STEPS = ("observations", "actions", "rewards", "terminated", "truncated")
_LAST = ("next_observations", "final_observations")


class Experience(Protocol):
    """A data set.

    Attributes:
        name: what it is called in messages.
        steps: that it holds, the left out ones included.
        left_out: steps after which nothing was observed, so that they make no transition.
    """

    name: str
    steps: int
    left_out: int

    def episodes(self) -> Iterator[LoggedEpisode]:
        """Give its episodes, in order; each time anew."""


def open_experience(dataset: str) -> Experience:
    """Open a data set.

    Args:
        dataset: the path of a .npz file, or the name or folder of a Minari data set.

    Raises:
        FileError: when it cannot be read.
        UsageError: when what is in it is no experience, or Minari is not installed.
    """
    if dataset.endswith(".npz"):
        return read_npz(Path(dataset))
    from zdqn.records.minari_experience import MinariExperience

    return MinariExperience(dataset)


def check_experience(experience: Experience, spec: EnvironmentSpec) -> int:
    """Hold all of a data set against an environment, before anything of it is used.

    Args:
        experience: the data set.
        spec: of the environment.

    Returns:
        How many steps it has that make transitions.

    Raises:
        UsageError: naming the first episode that does not fit, what is wrong, and the way out.
    """
    if spec.action_masks:
        raise UsageError(
            f"{experience.name} has no masks of the actions that were allowed, and "
            f"environment.action_masks is true in this run. Send its steps by zdqn.Agent.log, "
            f"which takes them."
        )
    steps = 0
    for number, episode in enumerate(experience.episodes()):
        wrong = _what_is_wrong(episode, spec)
        if wrong:
            raise UsageError(f"{experience.name}: episode {number} {wrong}")
        steps += len(episode)
    if not steps:
        raise UsageError(f"{experience.name} holds no step that makes a transition.")
    return steps


def _what_is_wrong(episode: LoggedEpisode, spec: EnvironmentSpec) -> str:
    observations, actions, rewards = episode.observations, episode.actions, episode.rewards
    shape, dtype = observations.shape[1:], observations.dtype
    if shape != spec.observation_shape or dtype != spec.dtype:
        return (
            f"has observations of shape {shape} and dtype {dtype}, but those of the environment "
            f"have {spec.observation_shape} and {spec.dtype}: single frames, under all wrappers of "
            f"the configuration. Nothing is cast or stacked here; convert them."
        )
    if observations.dtype.kind == "f" and not np.isfinite(observations).all():
        step = int(np.argwhere(~np.isfinite(observations))[0][0])
        return (
            f"has an observation that is not finite, number {step} of it. One such value would "
            f"spoil everything that is learned from it: replace it, or leave the episode out."
        )
    if actions.dtype.kind not in "iu":
        return f"has actions of dtype {actions.dtype}, but DQN's are whole numbers from 0."
    if actions.min() < 0 or actions.max() >= spec.num_actions:
        step = int(np.argmax((actions < 0) | (actions >= spec.num_actions)))
        return (
            f"has the action {actions[step]} at its step {step}, but the environment's are "
            f"numbered from 0 to {spec.num_actions - 1}."
        )
    if rewards.dtype.kind not in "iufb":
        return f"has rewards of dtype {rewards.dtype}, but they are numbers."
    if not (np.abs(rewards.astype(np.float64)) <= MAX_REWARD).all():  # never true of a NaN
        return (
            f"has a reward that is not finite, or beyond {MAX_REWARD:g}. Another value would spoil "
            f"everything that is learned from it: replace it, or leave the episode out."
        )
    return ""


# --- .npz -----------------------------------------------------------------------------------------


class ArrayExperience:
    """Episodes one after another in arrays of N steps.

    Args:
        arrays: ``observations`` (N, *shape), ``actions`` (N,), ``rewards`` (N,), ``terminated``
            (N,) and ``truncated`` (N,), bool; and of these at most one: ``next_observations``
            (N, *shape), or ``final_observations`` (E, *shape), what was observed at the end of each
            of the E episodes. Without either the last observation of an episode is not known: a
            step that terminated needs none, and any other last step is left out.
        name: what they are called in messages.

    Raises:
        UsageError: when an array is missing, unknown, or does not fit the others.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], name: str) -> None:
        self.name = name
        self._check_names(arrays)
        self.steps = len(arrays["actions"]) if arrays["actions"].ndim else 0
        self._check_lengths(arrays)
        self._observations, self._actions, self._rewards = (
            arrays[key] for key in ("observations", "actions", "rewards")
        )
        self._terminated = arrays["terminated"]
        ends = np.flatnonzero(arrays["terminated"] | arrays["truncated"]) + 1
        if self.steps and (not len(ends) or ends[-1] != self.steps):
            ends = np.append(ends, self.steps)
        self._ends = ends
        self._next = arrays.get("next_observations")
        self._final = arrays.get("final_observations")
        self._check_last()
        self.left_out = 0
        if self._next is None and self._final is None:
            self.left_out = int(len(ends) - self._terminated[ends - 1].sum())

    def episodes(self) -> Iterator[LoggedEpisode]:
        """Give its episodes, in order."""
        begin = 0
        for number, end in enumerate(self._ends.tolist()):
            terminated = bool(self._terminated[end - 1])
            known = end
            if self._next is not None:
                last = self._next[end - 1]
            elif self._final is not None:
                last = self._final[number]
            else:
                last = self._observations[end - 1]  # of no consequence after a terminated step
                known = end if terminated else end - 1
            if known > begin:
                observed = self._observations[begin:end]
                if known == end:
                    observed = np.concatenate([observed, last[np.newaxis]])
                yield LoggedEpisode(
                    observed, self._actions[begin:known], self._rewards[begin:known], terminated
                )
            begin = end

    def _check_names(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        missing = [key for key in _STEPS if key not in arrays]
        if missing:
            others = [key for key in arrays if key not in (*_STEPS, *_LAST)]
            has = f" It has {', '.join(others)} instead." if others else ""
            raise UsageError(
                f'{self.name} has no array "{missing[0]}".{has} Experience is {", ".join(_STEPS)}, '
                f"one entry for each step, and next_observations or final_observations besides."
            )
        for key in arrays:
            if key not in (*_STEPS, *_LAST):
                raise UsageError(
                    f'{self.name} has an array "{key}", which is nothing that can be imported. '
                    f"{did_you_mean(key, (*_STEPS, *_LAST))} Leave it out."
                )
        if all(key in arrays for key in _LAST):
            raise UsageError(
                f"{self.name} has both next_observations and final_observations, which say the "
                f"same twice. Leave one of them out."
            )

    def _check_lengths(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        for key in (*_STEPS, "next_observations"):
            array = arrays.get(key)
            if array is None:
                continue
            flat = key in ("actions", "rewards", "terminated", "truncated")
            if not array.ndim or len(array) != self.steps or (flat and array.ndim != 1):
                raise UsageError(
                    f"{self.name}: {key} has the shape {array.shape}, but there are {self.steps:,} "
                    f"actions, and {key} has one entry for each"
                    f"{'' if flat else ', along its first axis'}."
                )
        for key in ("terminated", "truncated"):
            if arrays[key].dtype.kind != "b":
                raise UsageError(
                    f"{self.name}: {key} has the dtype {arrays[key].dtype}, but says true or "
                    f"false. Convert it with .astype(bool)."
                )

    def _check_last(self) -> None:
        """Refuse last observations that do not belong to the others."""
        observations = self._observations
        for key, array in (("next_observations", self._next), ("final_observations", self._final)):
            if array is not None and (array.shape[1:], array.dtype) != (
                observations.shape[1:],
                observations.dtype,
            ):
                raise UsageError(
                    f"{self.name}: {key} are {array.dtype} of the shape {array.shape[1:]}, and "
                    f"observations {observations.dtype} of {observations.shape[1:]}."
                )
        if self._final is not None and len(self._final) != len(self._ends):
            raise UsageError(
                f"{self.name}: there are {len(self._final)} final_observations, but "
                f"{len(self._ends)} episodes end, by `terminated`, `truncated` or the end of the "
                f"arrays. Give one for each, in order."
            )
        if self._next is None:
            return
        within = np.ones(self.steps, np.bool_)
        within[self._ends - 1] = False
        before = np.flatnonzero(within)
        told, there = self._next[before], observations[before + 1]
        unlike = told != there
        if told.dtype.kind == "f":
            unlike &= ~(np.isnan(told) & np.isnan(there))  # which is another fault
        if unlike.any():
            place = int(before[np.argwhere(unlike)[0][0]])
            raise UsageError(
                f"{self.name}: next_observations[{place}] is not observations[{place + 1}], though "
                f"no episode ends between them. Steps must be in the order in which they were "
                f"made; where some are missing, say that the step before them was truncated."
            )


def read_npz(path: Path) -> ArrayExperience:
    """Read experience from a .npz file; nothing in it is executed.

    Raises:
        FileError: when it cannot be read.
        UsageError: when what is in it is no experience.
    """
    arrays: dict[str, NDArray[Any]] = {}
    wrong = "it holds something else"
    try:
        with path.open("rb") as stream:  # NumPy would leave that of a broken file open
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.lib.npyio.NpzFile):
                with file:
                    _check_size(file.zip)
                    arrays = {name: file[name] for name in file.files}
    except Exception as error:  # noqa: BLE001 - of what is damaged each part has errors of its own
        objects = "it holds Python objects, which are not read, or nothing of NumPy's"
        said = what_went_wrong(error)
        arrays, wrong = {}, objects if "pickle" in said else said
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise FileError(
            f"Cannot read {path}: {wrong}. It must be a file of numpy.savez, of plain arrays."
        )
    return ArrayExperience(arrays, str(path))


def _check_size(archive: zipfile.ZipFile | None) -> None:
    """Refuse an archive that unpacks to more than this machine can hold: it may be a small file.

    Raises:
        ValueError: naming both.
    """
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    unpacked = sum(part.file_size for part in archive.infolist()) if archive is not None else 0
    if unpacked > there:
        raise ValueError(
            f"it unpacks to {unpacked:,} bytes, and this machine has {there:,} bytes of memory; "
            f"import it in several files"
        )
