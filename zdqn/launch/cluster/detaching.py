"""Starting a run on several hosts that goes on without whoever started it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from zdqn.errors import PeerUnavailableError, UsageError
from zdqn.launch.child_process import Bound, ChildProcess, Ended, Event
from zdqn.launch.cluster.cluster_hosts import ClusterHosts
from zdqn.launch.cluster.cluster_placement import ClusterPlacement
from zdqn.launch.cluster.cluster_plan import ClusterPlan
from zdqn.launch.plan import PlannedProcess
from zdqn.records.endpoints import Endpoints, record_endpoints
from zdqn.records.run_files import RunFiles, open_run_directory

_START_S = 120.0
_TICK_S = 0.1


def check_detachable(plan: ClusterPlan) -> None:
    """Refuse ports that a server would not get again when its agent has to start it again.

    Raises:
        UsageError: naming the port.
    """
    for role in ("memory", "learner"):
        if not plan.port_of(role):
            raise UsageError(
                f"--detach, but {role}.port is 0, a port that changes when the {role} is started "
                f"again, which nobody would tell the others. Give it a fixed one."
            )


def start_all(
    placement: ClusterPlacement,
    hosts: ClusterHosts,
    processes: tuple[PlannedProcess, ...],
    *,
    endpoints: Endpoints,
    log_level: str,
    show: Callable[[str, str], None],
    stop: threading.Event | None = None,
) -> None:
    """Start processes and tell each what to do; whoever watches them afterwards is not here.

    Args:
        placement: of the run.
        hosts: of it.
        processes: those to start, servers first.
        endpoints: of servers that are up already.
        log_level: of all roles.
        show: told every line that they log meanwhile.
        stop: set it to give up.

    Raises:
        ZdqnError: what ended one of them, or that a server has not come up in time.
    """
    events: queue.Queue[Event] = queue.Queue()
    files = RunFiles(placement.directory)
    open_run_directory(files.logs)
    children = [
        ChildProcess(
            planned,
            start=hosts.start,
            log_file=files.log_of(planned.name),
            show=show,
            events=events,
        )
        for planned in processes
    ]
    known = dict(endpoints)
    try:
        _wait_for_all(placement, children, events, known, log_level, stop)
    finally:
        for child in children:
            child.let_go()


def _wait_for_all(
    placement: ClusterPlacement,
    children: list[ChildProcess],
    events: queue.Queue[Event],
    known: Endpoints,
    log_level: str,
    stop: threading.Event | None,
) -> None:
    """Tell each what to do as soon as it can be told, until all servers are up."""
    by_s = time.monotonic() + _START_S
    _assign(placement, children, known, log_level)
    while not all(child.assigned for child in children) or not {"memory", "learner"} <= set(known):
        if stop is not None and stop.is_set():
            raise PeerUnavailableError("The start was given up; all roles end.")
        if time.monotonic() > by_s:
            missing = ", ".join(role for role in ("memory", "learner") if role not in known)
            raise PeerUnavailableError(
                f"The {missing} has not come up within {_START_S:.0f} s. Its log on its host says "
                f"why; without --detach it is shown."
            )
        try:
            event = events.get(timeout=_TICK_S)
        except queue.Empty:
            continue
        if isinstance(event, Ended):
            raise event.child.failure(event.exit_code)
        if isinstance(event, Bound):
            _take_bound(placement, event, known)
            _assign(placement, children, known, log_level)


def _take_bound(placement: ClusterPlacement, event: Bound, known: Endpoints) -> None:
    role = event.child.planned.role
    known[role] = placement.reachable(event.child.planned, event.endpoints)
    record_endpoints(placement.directory, role, known[role])


def _assign(
    placement: ClusterPlacement, children: list[ChildProcess], known: Endpoints, log_level: str
) -> None:
    for child in children:
        if not child.assigned:
            assignment = placement.assignment(child.planned, known, log_level)
            if assignment is not None:
                child.assign(assignment)
