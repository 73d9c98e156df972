"""Starting and ending vectorized environments, of whatever kind they are."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.vector.async_vector_env import AsyncState


def reset_environments(
    environments: gymnasium.vector.VectorEnv[Any, Any, Any], seed: int
) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Begin an episode in every environment.

    Gymnasium seeds N environments with `seed`, `seed + 1`, ...: two collectors with neighbouring
    seeds would play the same games. Here the N seeds are spread by a `SeedSequence`.

    Args:
        environments: the vectorized environment.
        seed: any number >= 0.

    Returns:
        First frames, shape (N, *observation_shape), and what came with them.
    """
    count = environments.num_envs
    spread = [int(word) for word in np.random.SeedSequence(seed).generate_state(count)]
    if isinstance(environments.unwrapped, SyncVectorEnv | AsyncVectorEnv):
        each: Any = spread  # gymnasium's annotation knows of one integer only
        frames, info = environments.reset(seed=each)
    else:
        frames, info = environments.reset(seed=spread[0])
    return np.asarray(frames), info


def close_environments(environments: gymnasium.vector.VectorEnv[Any, Any, Any]) -> None:
    """Close environments and end their processes, also after one of them has died.

    Args:
        environments: the vectorized environment; it may be closed already.
    """
    unwrapped = environments.unwrapped
    if not isinstance(unwrapped, AsyncVectorEnv):
        environments.close()
        return
    # After a worker died within a step, gymnasium's orderly close waits for ever for answers that
    # were read already; its forced one may stop at the dead one's pipe before it ends the rest.
    interrupted = unwrapped._state is not AsyncState.DEFAULT
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")  # of a step without an answer: that has been said
        environments.close(terminate=interrupted)
    if not unwrapped.closed:
        for process in unwrapped.processes:
            process.terminate()
            process.join()
        unwrapped.closed = True
