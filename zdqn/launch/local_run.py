"""All roles of a run as processes, wherever they are: started, watched, ended together."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.errors import FileError, RoleFailedError
from zdqn.launch.child_main import GRACE_S
from zdqn.launch.child_process import Bound, ChildProcess, Ended, Event, SinksTold
from zdqn.launch.descriptors import descriptors_needed, raise_limit, shortages
from zdqn.launch.placement import Placement
from zdqn.launch.plan import (
    Consequence,
    Ending,
    PlannedProcess,
    consequence,
    ending_of,
    is_needed,
    without_goal,
)
from zdqn.launch.restarts import Restarts
from zdqn.launch.starting import ProcessStarter, start_locally
from zdqn.launch.telling import pass_on
from zdqn.records.endpoints import Endpoints, record_endpoints
from zdqn.records.run_files import RunFiles, open_run_directory
from zdqn.records.sinks import ENDED_BY_SINK, Sink
from zdqn.roles.farewell import RUN_IS_OVER
from zdqn.stopping import reason_of

_MEANWHILE = {
    "memory": ". Learner and collectors wait for it; what it held is lost",
    "memory on disk": ". Learner and collectors wait for it; it comes back with what it held",
    "learner": ". All wait for it; once its host is back it goes on from its newest checkpoint",
    "evaluator": ". The snapshot that it was scoring is given out again",
}
"""What the end of a process means for the others, until it has been started again."""

_LINKS = {"memory": "samples", "learner": "model"}
"""Server to the link on which it answers questions."""

_TICK_S = 0.1
_OTHERS_STOP_S = 15.0
_KILLED_S = 5.0


class Audience(Protocol):
    """Sees what happens in a run."""

    def log(self, name: str, line: str) -> None:
        """Take a line that a process wrote."""

    def follow(self, role: str, address: str) -> None:
        """Take the address at which a server, memory or learner, can be asked for its status."""

    def ending(self, reason: str) -> None:
        """Take note that the run was asked to end."""


class Companion(Protocol):
    """Does something to a run while it goes on, in its thread."""

    def advance(self, run: LocalRun) -> None:
        """Do what is due; called some ten times a second, and not any more once the run ends."""


class LocalRun(Closing):
    """A run whose processes we watch: `run` blocks until the learner is done, leaving ends all.

    What follows from the end of a process is in `zdqn.launch.plan.OUTCOMES`: it is started again
    where that can help (`launch.max_restarts`), or the run goes on without it, or ends.

    Args:
        placement: which processes there are, and what each is told.
        audience: told what happens.
        log_level: of all roles.
        start: how to start a process.
        restarts: which processes are to be started; others may add to them.
        stop: set it to end the run cleanly.
        companion: told as time goes by.
        sinks: told what the learner tells, in the thread of `run`, if `given` has it tell. One that
            returns False ends the run cleanly; so does what one raises, which is raised then.

    Attributes:
        living: processes by name; those that are being started again are missing.
        endpoints: of the servers that are up.

    Raises:
        FileError: when the run directory cannot be written to.
    """

    def __init__(
        self,
        placement: Placement,
        *,
        audience: Audience,
        log_level: str = "info",
        start: ProcessStarter = start_locally,
        restarts: Restarts | None = None,
        stop: threading.Event | None = None,
        companion: Companion | None = None,
        sinks: Sequence[Sink] = (),
    ) -> None:
        self._placement = placement
        self._config: Config = placement.config
        self._audience = audience
        self._sinks = sinks
        self._log_level = log_level
        self._start_process = start
        self._stop = stop or threading.Event()
        self._companion = companion
        self._events: queue.Queue[Event] = queue.Queue()
        self.endpoints: Endpoints = {}
        self.living: dict[str, ChildProcess] = {}
        self._restarts = restarts or Restarts(self._config.launch.max_restarts)
        self._failure: Exception | None = None
        self._stop_by_s: float | None = None
        self._done = False
        self._killed: set[str] = set()
        self._files = RunFiles(placement.directory)
        open_run_directory(self._files.logs)

    def run(self) -> None:
        """Start all processes and wait for the learner's end, then for theirs.

        Raises:
            ZdqnError: what ended the learner, or every collector, or the memory for good.
            KeyboardInterrupt: if it came, once the run has ended cleanly.
        """
        launch = self._config.launch
        for shortage in shortages(launch, raise_limit(max(descriptors_needed(launch).values()))):
            self._say(f"warning: {shortage}")
        for planned in self._placement.processes():
            self._start(planned)
        try:
            self._watch()
        except KeyboardInterrupt:
            self._ask_to_stop("SIGINT")
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
        self.living[planned.name] = child
        self._assign_what_is_ready()

    def _assign_what_is_ready(self) -> None:
        for child in self.living.values():
            if child.assigned or self._stop_by_s is not None:
                continue
            assignment = self._placement.assignment(child.planned, self.endpoints, self._log_level)
            if assignment is not None:
                child.assign(assignment)

    # --- watching -------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._done:
            if self._stop.is_set():
                self._ask_to_stop(reason_of(self._stop))
            for planned in self._restarts.take_due():
                self._start(planned)
            self._take_event()
            if self._companion is not None and self._stop_by_s is None and not self._done:
                self._companion.advance(self)
            if self._stop_by_s is not None and time.monotonic() > self._stop_by_s:
                self._say("the learner did not stop in time; ending it")
                self.living["learner"].kill()
                self._stop_by_s = math.inf
        self._stop_others()

    def _take_event(self) -> None:
        try:
            event = self._events.get(timeout=_TICK_S)
        except queue.Empty:
            return
        if isinstance(event, Bound):
            self._take_endpoints(event)
        elif isinstance(event, SinksTold):
            try:
                if pass_on(event.method, event.what, self._sinks):
                    self._ask_to_stop(ENDED_BY_SINK)
            except Exception as error:  # noqa: BLE001 - raised when the run has ended
                self._sinks = ()
                self._fail(error)
                self._ask_to_stop(f"a sink raised {type(error).__name__}")
        else:
            self._take_end(event)

    def _take_endpoints(self, event: Bound) -> None:
        role = event.child.planned.role
        endpoints = self._placement.reachable(event.child.planned, event.endpoints)
        self.endpoints[role] = endpoints
        record_endpoints(self._placement.directory, role, endpoints)
        self._audience.follow(role, endpoints[_LINKS[role]])
        self._assign_what_is_ready()

    def _take_end(self, event: Ended) -> None:
        """Do what follows from the end of a process, and say so."""
        child, exit_code = event.child, event.exit_code
        del self.living[child.name]
        child.close()
        role, asked = child.planned.role, self._stop_by_s is not None
        ending = ending_of(exit_code, child.last_word, lost=child.lost)
        if asked and exit_code == 0:  # one that had nothing to do yet ends without a word
            ending = Ending.OVER
        others, stop = self._others(role), self._config.stop
        if child.struck and ending in (Ending.CURABLE, Ending.SIGNALLED):
            if not asked:
                self._start_again_at_once(child)
                return
            if role == "learner":  # it was to be started again, and will not be
                self._done = True
                return
        what = consequence(
            role,
            ending,
            restarts_left=self._restarts.are_left(child.name),
            needed=is_needed(role, others, stop),
            asked=asked,
        )
        ended = f"{child.name} {child.describe_end(exit_code)}"
        why = f" {child.reason()}" if child.last_word is None else ""
        if what is Consequence.RESTART:
            self._restart(child, ended, why)
        elif what is Consequence.GO_ON:
            goal = without_goal(role, others, stop)
            used_up = self._used_up(child, ending)
            self._say(f"{ended}; {used_up}the run goes on without it{goal}.{why}")
        elif what is Consequence.END:
            self._end(child, ended, ending)
        elif what is Consequence.FAIL:
            self._give_up(event, ended, ending, why)
        elif ending is not Ending.OVER and child.name not in self._killed:
            self._say(f"{ended} while the run was ending.{why}")

    def _start_again_at_once(self, child: ChildProcess) -> None:
        """Start what was ended on purpose again, a learner from its newest checkpoint."""
        if child.planned.role == "learner":
            self._placement.go_on()
        self._restarts.plan_at_once(child.planned)

    def _restart(self, child: ChildProcess, ended: str, why: str) -> None:
        wanted = self._restarts.is_wanted(child.name)
        self._restarts.plan(child.planned)
        count, role = self._restarts.count(child.name), child.planned.role
        if role == "memory" and self._config.replay.storage == "disk":
            role += " on disk"
        if role == "learner":
            self._placement.go_on()
        meanwhile = _MEANWHILE.get(role, "")
        tally = "as was asked" if wanted else f"{count} of {self._restarts.most}"
        again = f"starting it again ({tally})"
        self._say(f"{ended}; {again}{meanwhile}.{why}")

    def _end(self, child: ChildProcess, ended: str, ending: Ending) -> None:
        """Let the run end well: its learner has ended, or somebody has asked the memory to stop."""
        if child.planned.role == "learner":
            self._done = True
            if ending is Ending.SIGNALLED and self._stop_by_s is None:
                self._say(f"{ended}; the run ends with it.")
            return
        reason = child.last_word.reason if child.last_word is not None else ""
        if reason != RUN_IS_OVER:  # not the learner itself, which is ending then
            self._say(f"{child.name} was asked to stop ({reason}); the run ends.")
            self._ask_to_stop("the memory was asked to stop")

    def _give_up(self, event: Ended, ended: str, ending: Ending, why: str) -> None:
        """Let the run end with the error of a process that it cannot do without."""
        child, role = event.child, event.child.planned.role
        if role == "learner":
            self._fail(child.failure(event.exit_code))
            self._done = True
            return
        without = "it" if role == "memory" else f"any {role}"
        goal = ": stop.evaluation_return is its only end" if role == "evaluator" else ""
        cannot = f"{self._used_up(child, ending)}the run cannot go on without {without}{goal}"
        self._say(f"{ended}; {cannot}.{why}")
        self._fail(child.error or RoleFailedError(f"{ended}; {cannot}. {child.reason()}"))
        self._ask_to_stop(ended)

    def _used_up(self, child: ChildProcess, ending: Ending) -> str:
        """Say that a process may not be started again, where that could have helped."""
        if ending is Ending.INCURABLE:
            return ""
        count = self._restarts.count(child.name)
        times = f"{count} time{'s' if count > 1 else ''}"
        again = f"it was started again {times} already" if count else "it may not be started again"
        return f"{again} (launch.max_restarts = {self._restarts.most}), and "

    def _others(self, role: str) -> int:
        """Count the processes of a role that live, or are about to be started again."""
        planned = self._restarts.waiting() + [child.planned for child in self.living.values()]
        return sum(process.role == role for process in planned)

    def _fail(self, error: Exception) -> None:
        """Keep the first error: it is the cause of what follows."""
        self._failure = self._failure or error

    # --- ending ---------------------------------------------------------------------------------

    def _ask_to_stop(self, reason: str) -> None:
        """Ask the learner to end, once; it tells the others, and keeps the reason."""
        if self._stop_by_s is None:
            self._stop_by_s = time.monotonic() + GRACE_S
            self._audience.ending(reason)
            self._restarts.cancel()
            if "learner" in self.living:
                self.living["learner"].ask_to_stop(reason)
            else:  # it was to be started again, and will not be
                self._done = True

    def _stop_others(self) -> None:
        self._stop_by_s = math.inf
        for child in self.living.values():
            child.ask_to_stop()
        self._wait_for_all(_OTHERS_STOP_S)
        if self.living:
            self._say(f"ending {', '.join(self.living)}, which did not stop in time")

    def close(self) -> None:
        """Kill what still lives."""
        self._stop_by_s = math.inf
        for child in self.living.values():
            child.kill()
            self._killed.add(child.name)
        self._wait_for_all(_KILLED_S)

    def _wait_for_all(self, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while self.living and time.monotonic() < deadline_s:
            try:
                event = self._events.get(timeout=_TICK_S)
            except queue.Empty:
                continue
            if isinstance(event, Ended):
                self._take_end(event)
