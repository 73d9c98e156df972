"""Building a block: returns, references and priorities of many steps together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zdqn.core.step_log import StepLog
from zdqn.data import NO_PRIORITY, Block, EnvironmentSpec
from zdqn.rl.n_step import NStepWindows, n_step_windows


def build_block(
    log: StepLog,
    steps: NDArray[np.int64],
    spec: EnvironmentSpec,
    *,
    n_step: int,
    discount: float,
) -> Block:
    """Make transitions of some steps, with the frames that they refer to.

    Args:
        log: where the steps are, and what followed them.
        steps: slots of steps whose windows are closed, shape (T,), int64.
        spec: of the environments.
        n_step: rewards in a return, >= 1.
        discount: gamma of one environment step, in [0, 1].

    Returns:
        A block of T transitions, in the order of `steps`; it shares no memory with the log.
    """
    windows = n_step_windows(
        steps, log.rewards, log.terminated, log.following(), n_step=n_step, discount=discount
    )
    newest = np.concatenate((log.previous[steps], windows.ends))
    used, references = _find_frames(log, newest, spec.frame_stack)
    masks = None if log.masks is None else log.masks[used]
    records = np.empty(len(steps), spec.record_dtype)
    records["observation"] = references[: len(steps)]
    records["next_observation"] = references[len(steps) :]
    records["weight_version"] = log.weight_versions[steps]
    records["action"] = log.actions[steps]
    records["reward"] = windows.returns
    records["discount"] = windows.discounts
    records["priority"] = _priorities(log, steps, windows)
    return Block(log.frames[used], records, masks)


def _find_frames(
    log: StepLog, newest: NDArray[np.int64], stack: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the frames of stacked observations, for a table that has each once.

    Args:
        log: where the frames are.
        newest: slots of the observations' newest frames, shape (T,).
        stack: S, frames in an observation.

    Returns:
        Their slots (F,), and references into the table of these (T, S), oldest frame first.
    """
    places = np.empty((len(newest), stack), np.int64)
    places[:, -1] = newest
    for position in range(stack - 2, -1, -1):  # the first frame of an episode repeats
        places[:, position] = log.previous[places[:, position + 1]]
    used = np.zeros(log.end, np.bool_)
    used[places] = True
    return np.flatnonzero(used), (np.cumsum(used) - 1)[places]


def _priorities(
    log: StepLog, steps: NDArray[np.int64], windows: NStepWindows
) -> NDArray[np.float32]:
    """Estimate |TD error| with the values that came with the steps.

    Reference:
        Horgan et al. 2018, arXiv:1803.00933, section 3 (priorities computed by the actors).
    """
    bootstrap = np.where(windows.discounts > 0, log.best_q[windows.ends], 0)
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(windows.returns + windows.discounts * bootstrap - log.chosen_q[steps])
    return np.where(np.isfinite(errors), errors, np.float32(NO_PRIORITY))
