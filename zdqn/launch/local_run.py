"""All roles of a run as processes of this machine: started, watched, ended together."""

from __future__ import annotations

import math
import queue
import threading
import time
from typing import Protocol

from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.errors import FileError, ZdqnError
from zdqn.launch.child_main import GRACE_S, Assignment
from zdqn.launch.child_process import SIGNAL_NAMES, Bound, ChildProcess, Ended, Event
from zdqn.launch.plan import (
    PlannedProcess,
    RunArguments,
    describe_exit,
    may_restart,
    plan_processes,
    restart_delay_s,
    role_arguments,
    with_free_ports,
)
from zdqn.launch.starting import ProcessStarter, start_locally
from zdqn.records.endpoints import Endpoints, record_endpoints
from zdqn.records.run_files import RunFiles, open_run_directory

_TICK_S = 0.1
_OTHERS_STOP_S = 15.0
_KILLED_S = 5.0


class Audience(Protocol):
    """Sees what happens in a run."""

    def log(self, name: str, line: str) -> None:
        """Take a line that a process wrote."""

    def follow(self, address: str) -> None:
        """Take the learner's address, from which it can ask for the run's status."""


class LocalRun(Closing):
    """A run of local processes. `run` blocks until the learner is done; leaving it ends them all.

    A process that died is started again where that can help (`launch.max_restarts`), all but the
    learner: its end is the run's end.

    Args:
        config: of the run.
        given: what the roles get besides.
        audience: told what happens.
        log_level: of all roles.
        start: how to start a process.
        stop: set it to end the run cleanly.

    Raises:
        FileError: when the run directory cannot be written to.
    """

    def __init__(
        self,
        config: Config,
        given: RunArguments,
        *,
        audience: Audience,
        log_level: str = "info",
        start: ProcessStarter = start_locally,
        stop: threading.Event | None = None,
    ) -> None:
        self._config = with_free_ports(config)
        self._given = given
        self._audience = audience
        self._log_level = log_level
        self._start_process = start
        self._stop = stop or threading.Event()
        self._events: queue.Queue[Event] = queue.Queue()
        self._endpoints: Endpoints = {}
        self._living: dict[str, ChildProcess] = {}
        self._restarts: dict[str, int] = {}
        self._due: list[tuple[float, PlannedProcess]] = []
        self._failure: ZdqnError | None = None
        self._stop_by_s: float | None = None
        self._done = False
        self._files = RunFiles(given.run_directory)
        open_run_directory(self._files.logs)

    def run(self) -> None:
        """Start all processes and wait for the learner's end, then for theirs.

        Raises:
            ZdqnError: what ended the learner, or every collector, or the memory for good.
            KeyboardInterrupt: if it came, once the run has ended cleanly.
        """
        for planned in plan_processes(self._config):
            self._start(planned)
        try:
            self._watch()
        except KeyboardInterrupt:
            self._ask_to_stop()
            self._watch()
            raise
        if self._failure is not None:
            raise self._failure

    def _say(self, text: str) -> None:
        self._audience.log("run", text)

    # --- starting -------------------------------------------------------------------------------

    def _start(self, planned: PlannedProcess) -> None:
        log_file = self._files.log_of(planned.name)
        try:
            child = ChildProcess(
                planned,
                start=self._start_process,
                log_file=log_file,
                show=self._audience.log,
                events=self._events,
            )
        except OSError as error:
            raise FileError(f"Cannot start {planned.name} with {log_file}: {error}.") from error
        self._living[planned.name] = child
        self._assign_what_is_ready()

    def _assign_what_is_ready(self) -> None:
        for child in self._living.values():
            if child.assigned or self._stop_by_s is not None:
                continue
            arguments = role_arguments(child.planned, self._given, self._endpoints)
            if arguments is not None:
                child.assign(Assignment(self._config, arguments, self._log_level))

    def _start_what_is_due(self) -> None:
        now_s = time.monotonic()
        due = [planned for due_s, planned in self._due if due_s <= now_s]
        self._due = [entry for entry in self._due if entry[0] > now_s]
        for planned in due:
            self._start(planned)

    # --- watching -------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._done:
            if self._stop.is_set():
                self._ask_to_stop()
            self._start_what_is_due()
            self._take_event()
            if self._stop_by_s is not None and time.monotonic() > self._stop_by_s:
                self._say("the learner did not stop in time; ending it")
                self._living["learner"].kill()
                self._stop_by_s = math.inf
        self._stop_others()

    def _take_event(self) -> None:
        try:
            event = self._events.get(timeout=_TICK_S)
        except queue.Empty:
            return
        if isinstance(event, Bound):
            self._take_endpoints(event)
        else:
            self._take_end(event)

    def _take_endpoints(self, event: Bound) -> None:
        role = event.child.planned.role
        self._endpoints[role] = event.endpoints
        record_endpoints(self._given.run_directory, role, event.endpoints)
        if role == "learner":
            self._audience.follow(event.endpoints["model"])
        self._assign_what_is_ready()

    def _take_end(self, event: Ended) -> None:
        child, exit_code = event.child, event.exit_code
        del self._living[child.name]
        child.close()
        if child.planned.role == "learner":
            self._done = True
            if exit_code:
                self._fail(child.failure(exit_code))
        elif exit_code and self._stop_by_s is None:
            self._take_death(child, exit_code)

    def _take_death(self, child: ChildProcess, exit_code: int) -> None:
        """Start a process again, or go on without it if the run can."""
        error = child.failure(exit_code)
        ended = f"{child.name} ended with {describe_exit(exit_code, SIGNAL_NAMES)}"
        restarts, most = self._restarts.get(child.name, 0), self._config.launch.max_restarts
        if may_restart(exit_code, restarts, most):
            self._restarts[child.name] = restarts + 1
            self._due.append((time.monotonic() + restart_delay_s(restarts), child.planned))
            self._say(f"{ended}; starting it again ({restarts + 1} of {most}). {error}")
        elif self._can_do_without(child.planned.role):
            self._say(f"{ended}; the run goes on without it. {error}")
        else:
            self._say(f"{ended}; the run cannot go on. {error}")
            self._fail(error)
            self._ask_to_stop()

    def _can_do_without(self, role: str) -> bool:
        planned = [process for _, process in self._due]
        planned += [child.planned for child in self._living.values()]
        return role == "evaluator" or any(process.role == role for process in planned)

    def _fail(self, error: ZdqnError) -> None:
        """Keep the first error: it is the cause of what follows."""
        self._failure = self._failure or error

    # --- ending ---------------------------------------------------------------------------------

    def _ask_to_stop(self) -> None:
        """Ask the learner to end, once; it tells the others."""
        if self._stop_by_s is None:
            self._stop_by_s = time.monotonic() + GRACE_S
            self._due.clear()
            if "learner" in self._living:
                self._living["learner"].ask_to_stop()

    def _stop_others(self) -> None:
        for child in self._living.values():
            child.ask_to_stop()
        self._wait_for_all(_OTHERS_STOP_S)
        if self._living:
            self._say(f"ending {', '.join(self._living)}, which did not stop in time")

    def close(self) -> None:
        """Kill what still lives."""
        for child in self._living.values():
            child.kill()
        self._wait_for_all(_KILLED_S)

    def _wait_for_all(self, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while self._living and time.monotonic() < deadline_s:
            try:
                event = self._events.get(timeout=_TICK_S)
            except queue.Empty:
                continue
            if isinstance(event, Ended):
                del self._living[event.child.name]
                event.child.close()
