"""Masks of allowed actions that a program gives, checked and brought into arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zdqn.data import EnvironmentSpec
from zdqn.errors import UsageError


def read_masks(
    masks: ArrayLike | None,
    spec: EnvironmentSpec,
    environments: ArrayLike,
    name: str,
    *,
    over: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_] | None:
    """Read which actions are allowed in some environments.

    Args:
        masks: shape (num_actions,) for a single environment, else (K, num_actions); booleans, or
            integers that are 0 and 1. May be left out where nothing follows in any of them.
        spec: of the environments; says whether there are masks at all.
        environments: of whom they are, as the program gave it.
        name: of the argument, for messages.
        over: where the episode has terminated, shape (K,): there it may allow nothing. None:
            nowhere.

    Returns:
        Shape (K, num_actions); None where the spec has no masks.

    Raises:
        UsageError: if there must be masks and are none, or the other way round; if they have
            another shape or dtype; or if they allow nothing where something follows.
    """
    several = np.shape(environments)
    count = several[0] if several else 1
    ends = np.zeros(count, np.bool_) if over is None else over
    if masks is None:
        if spec.action_masks and not ends.all():
            raise UsageError(
                f"{name} is missing, but environment.action_masks is true in this run: each "
                f"observation comes with a mask of the {spec.num_actions} actions. Give one, such "
                f"as all true where everything is allowed."
            )
        return np.zeros((count, spec.num_actions), np.bool_) if spec.action_masks else None
    if not spec.action_masks:
        raise UsageError(
            f"{name} is given, but environment.action_masks is false in this run, which would "
            f"ignore it. Set that key to true for the whole run, or give no masks."
        )
    given = as_masks(masks, spec.num_actions, several, name)
    if not (given.any(axis=1) | ends).all():
        raise UsageError(
            f"{name} allows nothing, but an episode that goes on has an action that may be taken. "
            f"Say that it has ended, or allow one that does nothing."
        )
    return given


def as_masks(
    masks: ArrayLike, num_actions: int, several: tuple[int, ...], name: str
) -> NDArray[np.bool_]:
    """Read masks of a known number of actions.

    Args:
        masks: shape (*several, num_actions), booleans, or integers that are 0 and 1.
        num_actions: of a mask.
        several: (K,), or () for a single one.
        name: of the argument, for messages.

    Returns:
        Shape (K, num_actions), or (1, num_actions) of a single one.

    Raises:
        UsageError: if they are of another form.
    """
    given: NDArray[Any] = np.asarray(masks)
    wanted = (*several, num_actions)
    if (
        given.shape != wanted
        or given.dtype.kind not in "biu"
        or ((given != 0) & (given != 1)).any()
    ):
        raise UsageError(
            f"{name} is an array of shape {given.shape}, dtype {given.dtype}, but must be of shape "
            f"{wanted} and hold booleans, or integers that are 0 and 1: one for each action."
        )
    plain = given.astype(np.bool_)
    return plain if several else plain[np.newaxis]


def check_allowed(
    actions: NDArray[Any], allowed: NDArray[np.bool_] | None, name: str = "actions"
) -> None:
    """Refuse actions that may not be taken.

    Args:
        actions: shape (K,), numbered from 0.
        allowed: shape (K, num_actions); None: everything.
        name: of the argument, for messages.

    Raises:
        UsageError: naming the first of them.
    """
    if allowed is None:
        return
    wrong = np.flatnonzero(~allowed[np.arange(len(actions)), actions])
    if wrong.size:
        raise UsageError(
            f"{name} holds {int(actions[wrong[0]])}, which the mask of what was observed before "
            f"does not allow; it allows {np.flatnonzero(allowed[wrong[0]]).tolist()}."
        )
