"""Where the servers of a run of Slurm are, for a job that looks for them in the run's folder."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from zdqn.errors import FileError, ZdqnError
from zdqn.launch.slurm.run_stage import RunStage, read_stage
from zdqn.launch.slurm.slurm_commands import QueuedJob, queued_jobs
from zdqn.records.endpoints import read_endpoints

logger = logging.getLogger("zdqn.collector")

_LOOK_S = 1.0
_SAY_S = 10.0
_ASK_S = 300.0
"""Between two questions to Slurm: a thousand collectors ask it three times a second."""
_FIRST_ASK_S = 20.0


class FoundServers(NamedTuple):
    """Servers that are up.

    Attributes:
        start: number of the start of their job.
        memory: address of the memory.
        learner: address of the learner.
    """

    start: int
    memory: str
    learner: str


class ServersSearch:
    """Looks for the servers of a run, and whether there will be any.

    Args:
        directory: of the run.
        job: number of the job of the servers.
        stop: ends every wait.
        listed: gives the jobs of this user.
        clock: seconds that never go back.
        look_s: between two looks at the run's folder.
    """

    def __init__(
        self,
        directory: Path,
        job: str,
        stop: threading.Event,
        *,
        listed: Callable[[], list[QueuedJob]] = queued_jobs,
        clock: Callable[[], float] = time.monotonic,
        look_s: float = _LOOK_S,
    ) -> None:
        self._directory = directory
        self._job = job
        self._stop = stop
        self._listed = listed
        self._clock = clock
        self._look_s = look_s
        self._ask_at_s = clock() + _FIRST_ASK_S
        self.why_over = ""

    def find(self, *, after: int) -> FoundServers | None:
        """Wait for servers.

        Args:
            after: number of a start whose servers have ended.

        Returns:
            Where they are; None if the run is over (`why_over` says why), or `stop` was set.

        Raises:
            FileError: when the run's folder cannot be read.
        """
        said_s = began_s = self._clock()
        while not (self._stop.is_set() or self.is_over()):
            found, missing = self._look(after)
            if found is not None:
                return found
            now_s = self._clock()
            if now_s - said_s >= _SAY_S:
                said_s = now_s
                logger.info(
                    "waiting for %s of %s for %.0f s: %s",
                    missing,
                    self._directory,
                    now_s - began_s,
                    self._describe(),
                )
            self._stop.wait(self._look_s)
        return None

    def has_moved_on(self, found: FoundServers) -> bool:
        """Whether other servers are to be looked for than those that were found, or none any more.

        A network file system may have shown addresses of an earlier start for a while.
        """
        try:
            if self.is_over() or read_stage(self._directory).start != found.start:
                return True
            return self._look(found.start - 1)[0] not in (None, found)
        except FileError as error:  # a file system that is away for a while
            logger.warning("%s", error)
            return False

    def is_over(self) -> bool:
        """Whether nobody will serve this run any more.

        Raises:
            FileError: when the run's folder cannot be read.
        """
        stage = read_stage(self._directory)
        if stage.is_over:
            self.why_over = f"the run has {stage.name}: {stage.why}"
        elif self._clock() >= self._ask_at_s:
            self._ask_at_s = self._clock() + _ASK_S * random.uniform(0.8, 1.2)  # noqa: S311
            if self._is_gone():
                self.why_over = f"job {self._job}, of the servers, is in Slurm's queue no more"
        return bool(self.why_over)

    def _look(self, after: int) -> tuple[FoundServers | None, str]:
        """Give the servers of a start that is newer than `after`, or which of them are missing."""
        stage = read_stage(self._directory)
        both = "the memory and the learner"
        if stage.name != "running" or stage.start <= after:
            return None, both
        try:
            endpoints = read_endpoints(self._directory)
        except FileError:
            return None, both
        memory = endpoints.get("memory", {}).get("samples")
        learner = endpoints.get("learner", {}).get("model")
        if memory and learner:
            return FoundServers(stage.start, memory, learner), ""
        return None, "the learner" if memory else both

    def _describe(self) -> str:
        stage: RunStage = read_stage(self._directory)
        why = f" ({stage.why})" if stage.why else ""
        return f"job {self._job} of the servers, start {stage.start}, is {stage.name}{why}"

    def _is_gone(self) -> bool:
        try:
            return all(job.job != self._job for job in self._listed())
        except ZdqnError as error:
            logger.warning("%s", error)
            return False
