"""A collector in a task of an array: it goes along with the run's servers, wherever they are."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from zdqn.errors import PeerUnavailableError, ZdqnError
from zdqn.launch.cluster.cluster_record import own_keys_of
from zdqn.launch.descriptors import raise_limit
from zdqn.launch.grace import ending_in_time
from zdqn.launch.logs import configure_logging
from zdqn.launch.plan import RESTARTABLE_EXIT_CODES, restart_delay_s
from zdqn.launch.slurm.job_signals import leave, stop_on_job_signals
from zdqn.launch.slurm.servers_search import FoundServers, ServersSearch
from zdqn.launch.slurm.slurm_record import SlurmRecord, read_slurm_record
from zdqn.roles.collector import Collector
from zdqn.stopping import StopEvent, reason_of

logger = logging.getLogger("zdqn.collector")

_LOOK_S = 1.0
_HANGS = "an environment that hangs"


def run_collector(directory: Path, number: int) -> int:
    """Collect for a run until it is over, or Slurm wants the task to end.

    Servers that were started again, on a node and at ports of their own, are joined as they come.

    Args:
        directory: of the run, absolute.
        number: of the collector in the run.

    Returns:
        The exit code.

    Raises:
        ZdqnError: what ended it, where starting it again would not help.
    """
    record = read_slurm_record(directory)
    configure_logging(record.log_level)
    raise_limit()
    with stop_on_job_signals() as stop:
        search = ServersSearch(directory, record.servers_job, stop)

        def collect(servers: FoundServers) -> bool:
            return _collect(record, directory, number, servers, search, stop)

        follow(search, collect, stop, most_failures=record.plan.config.launch.max_restarts)
        if search.why_over:
            logger.info("nothing is left to do: %s", search.why_over)
        leave(reason_of(stop), record.plan.at_time_limit)
    return 0


def follow(
    search: ServersSearch,
    collect: Callable[[FoundServers], bool],
    stop: threading.Event,
    *,
    most_failures: int,
) -> None:
    """Collect for one start of the servers after the other.

    Args:
        search: for them.
        collect: collects for those that were found; whether they have said that they end.
        stop: ends it.
        most_failures: after which what fails does so for good; servers that do not answer are
            tried as long as there may be any.

    Raises:
        ZdqnError: of `collect`, where trying again would not help, or has not.
    """
    ended, failures, unanswered = 0, 0, 0
    while (servers := search.find(after=ended)) is not None:
        try:
            if collect(servers):
                ended = servers.start
            unanswered = 0
        except PeerUnavailableError as error:
            logger.warning("%s", error)
            stop.wait(restart_delay_s(unanswered))
            unanswered += 1
        except ZdqnError as error:
            if error.exit_code not in RESTARTABLE_EXIT_CODES or failures >= most_failures:
                raise
            stop.wait(restart_delay_s(failures))
            failures += 1
            logger.warning("%s Beginning again (%d of %d).", error, failures, most_failures)


def _collect(
    record: SlurmRecord,
    directory: Path,
    number: int,
    servers: FoundServers,
    search: ServersSearch,
    stop: threading.Event,
) -> bool:
    """Collect until the servers end, or others are there; whether they have said so."""

    def end(code: int) -> None:
        leave(reason_of(stop) or _HANGS, record.plan.at_time_limit)
        os._exit(code)

    with (
        stopped_by(stop, lambda: search.has_moved_on(servers)) as attempt,
        Collector(
            record.plan.config,
            learner=servers.learner,
            memory=servers.memory,
            name=f"collector-{number}@{socket.gethostname()}",
            keys=own_keys_of(directory) if record.secure else "",
            stop=attempt,
        ) as role,
        ending_in_time(role, attempt, end=end),
    ):
        role.run()
        return not attempt.reason  # which a role has not that was told so by the learner


@contextmanager
def stopped_by(
    stop: threading.Event, has_moved_on: Callable[[], bool], *, look_s: float = _LOOK_S
) -> Iterator[StopEvent]:
    """Give an event that is set when another is, or when servers have moved on.

    Args:
        stop: the other.
        has_moved_on: asked now and then, in a thread.
        look_s: between two looks.
    """
    attempt, over = StopEvent(), threading.Event()

    def watch() -> None:
        while not over.wait(look_s):
            if stop.is_set():
                attempt.set_for(reason_of(stop))
            elif has_moved_on():
                attempt.set_for("the servers are others now")
            if attempt.is_set():
                return

    watcher = threading.Thread(target=watch, name="zdqn-servers", daemon=True)
    watcher.start()
    try:
        yield attempt
    finally:
        over.set()
        watcher.join()
