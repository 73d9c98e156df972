"""The signals of Slurm in a job: what each asks for, and what follows once that is done."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from zdqn.config.slurm_sections import AtTimeLimit
from zdqn.errors import ZdqnError
from zdqn.launch.handled_signals import handled
from zdqn.launch.slurm.slurm_commands import QueuedJob, queued_jobs, requeue
from zdqn.stopping import StopEvent

logger = logging.getLogger("zdqn")

AT_LIMIT = signal.SIGUSR2.name
"""Reason of a job that ends because its time limit comes near."""


@contextmanager
def stop_on_job_signals() -> Iterator[StopEvent]:
    """Ask a job to end at Slurm's signals. It is the first that counts.

    Slurm repeats SIGTERM before it kills; a second one must not cut a checkpoint short.

    Yields:
        An event that the first signal sets; its reason is the signal's name.
    """
    stop = StopEvent()

    def handle(number: int, _frame: FrameType | None) -> None:
        stop.set_for(signal.Signals(number).name)

    with handled(signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, by=handle):
        yield stop


def own_job(environment: Mapping[str, str] = os.environ) -> str:
    """Give the number of the job, or of the task of an array, that this process is; "" if none."""
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID", "")


def leave(
    why: str,
    at_time_limit: AtTimeLimit,
    *,
    job: str | None = None,
    listed: Callable[[], list[QueuedJob]] = queued_jobs,
    queue_again: Callable[[str], None] = requeue,
) -> None:
    """See to it that a job that was told to end comes back, if it is to.

    Slurm queues a job that it preempts again, but not one that ends by itself in the time of grace
    that it was given: Slurm still counts such a job as running, and it queues itself.

    Args:
        why: it was told to end: the name of a signal, or "".
        at_time_limit: what follows the time limit.
        job: its number; by default that of this process.
        listed: gives the jobs of this user.
        queue_again: queues one again.
    """
    job = own_job() if job is None else job
    if not (job and why) or (why == AT_LIMIT and at_time_limit == "end"):
        return
    try:
        states = [found.state for found in listed() if found.job == job]
        if states == ["RUNNING"]:
            logger.info("queueing job %s again, after %s", job, why)
            queue_again(job)
    except ZdqnError as error:
        logger.warning("job %s could not be queued again: %s", job, error)
