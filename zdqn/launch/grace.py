"""A role that was asked to stop ends in time, also while its environment hangs."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

logger = logging.getLogger("zdqn")

GRACE_S = 10.0
"""How long a step, a reset and what else is to be finished may take."""
_LOOK_S = 0.2


class Abandonable(Protocol):
    """A role with environments; a `zdqn.roles.learner_client.LearnerClient` is one."""

    def abandon(self) -> None:
        """Leave the run from another thread than the one that runs it."""


@contextmanager
def ending_in_time(
    role: Abandonable,
    stop: threading.Event,
    *,
    grace_s: float = GRACE_S,
    end: Callable[[int], object] = os._exit,
) -> Iterator[None]:
    """End this process in good order if a role does not end by itself after it was asked to.

    Args:
        role: that runs meanwhile.
        stop: set when it is to end.
        grace_s: how long that may take.
        end: called with the exit code.
    """
    ended = threading.Event()

    def watch() -> None:
        while not stop.wait(_LOOK_S):
            if ended.is_set():
                return
        if ended.wait(grace_s):
            return
        logger.warning(
            "a step or reset of the environment has not come back for %.0f s after the end was "
            "asked for: ending without it",
            grace_s,
        )
        role.abandon()
        for worker in multiprocessing.active_children():
            worker.kill()
        end(0)

    threading.Thread(target=watch, name="zdqn-grace", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
