"""What a program says of its environments' steps, checked and brought into arrays.

One environment is a number with single values, several are an array with arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zdqn.data import MAX_REWARD, EnvironmentSpec
from zdqn.errors import UsageError


def read_environments(environments: ArrayLike, count: int) -> NDArray[np.int64]:
    """Read which environments are meant.

    Args:
        environments: a number, or K different ones, shape (K,).
        count: N, how many there are.

    Returns:
        Their numbers, shape (K,), int64; (1,) for a single one.

    Raises:
        UsageError: if these are no different numbers from 0 to N - 1.
    """
    numbers = np.atleast_1d(np.asarray(environments))
    if (
        numbers.ndim != 1
        or numbers.dtype.kind not in "iu"
        or not ((numbers >= 0) & (numbers < count)).all()
        or len(set(numbers.tolist())) < len(numbers)
    ):
        raise UsageError(
            f"environments is {environments!r}, but must be a number from 0 to {count - 1}, or an "
            "array of such, none of them twice."
        )
    return numbers.astype(np.int64)


def read_frames(
    frames: ArrayLike, spec: EnvironmentSpec, environments: ArrayLike, name: str = "frames"
) -> NDArray[Any]:
    """Read one frame for each of some environments.

    Args:
        frames: shape spec.observation_shape for a single environment, else
            (K, *spec.observation_shape).
        spec: what they must look like.
        environments: of whom they are, as the program gave it.
        name: of the argument, for messages.

    Returns:
        The frames, shape (K, *spec.observation_shape).

    Raises:
        UsageError: if they have another shape or dtype. Nothing is cast.
    """
    given = np.asarray(frames)
    several = np.shape(environments)
    wanted = (*several, *spec.observation_shape)
    if given.shape != wanted or given.dtype != spec.dtype:
        raise UsageError(
            f"{name} has the shape {given.shape} and the dtype {given.dtype}, but must have "
            f"{wanted} and {spec.dtype}: single frames, not stacked, as the environment's spec "
            f"says. Convert them, such as by numpy.asarray({name}, dtype)."
        )
    return given if several else given[np.newaxis]


def read_actions(actions: ArrayLike, count: int, num_actions: int) -> NDArray[Any]:
    """Read K actions, numbered from 0; see `read_numbers`."""
    given = read_numbers("actions", actions, count, "iu")
    if not ((given >= 0) & (given < num_actions)).all():
        raise UsageError(
            f"actions is {actions!r}, but actions are numbered from 0 to {num_actions - 1}."
        )
    return given


def read_rewards(rewards: ArrayLike, count: int, name: str = "rewards") -> NDArray[Any]:
    """Read K rewards, finite and within `MAX_REWARD`; see `read_numbers`."""
    given = read_numbers(name, rewards, count, "iuf")
    if not (np.abs(given) <= MAX_REWARD).all():  # never true of a NaN
        raise UsageError(
            f"{name} is {rewards!r}, but must be finite and within {MAX_REWARD:g}: another "
            "value would spoil everything that is learned from it."
        )
    return given


def read_versions(weight_version: ArrayLike, count: int) -> NDArray[Any]:
    """Read the weight versions of K steps, or one for all; see `read_numbers`."""
    if np.ndim(weight_version) == 0:
        weight_version = np.full(count, weight_version)
    return read_numbers("weight_version", weight_version, count, "iu")


def read_numbers(name: str, values: ArrayLike, count: int, kinds: str) -> NDArray[Any]:
    """Read one value for each of K environments.

    Args:
        name: of the argument, for messages.
        values: shape (K,), or a single one if K is 1.
        count: K.
        kinds: NumPy's letters for dtypes that will do, such as ``"iu"``.

    Returns:
        The values, shape (K,).

    Raises:
        UsageError: if they have another shape or dtype.
    """
    given = np.atleast_1d(np.asarray(values))
    if given.shape != (count,) or given.dtype.kind not in kinds:
        what = {"b": "booleans", "f": "floating-point numbers", "iu": "integers"}.get(
            kinds, "numbers"
        )
        raise UsageError(
            f"{name} is {values!r}, but must be {what}, one for each environment, shape ({count},)."
        )
    return given


def check_estimates(chosen_q: object, best_q: object) -> None:
    """Refuse one of two values that make a priority together.

    Raises:
        UsageError: if just one of them is None.
    """
    if (chosen_q is None) != (best_q is None):
        raise UsageError("chosen_q and best_q make a priority together: give both or neither.")


def find_not_finite(frames: NDArray[Any]) -> tuple[int, str] | None:
    """Look for a number that is not finite.

    Args:
        frames: shape (K, *observation_shape).

    Returns:
        The index of the first frame that holds one, and what it is in words; None if all are
        finite.
    """
    if frames.dtype.kind != "f" or np.isfinite(frames).all():
        return None
    flat = frames.reshape(len(frames), -1)
    index, element = np.argwhere(~np.isfinite(flat))[0]
    return int(index), f"an observation whose element {element} is {flat[index, element]}"
