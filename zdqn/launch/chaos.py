"""A local run whose roles are killed, or stopped for a while, again and again, to see it go on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from zdqn.closing import Closing
from zdqn.errors import RoleFailedError, ZdqnError
from zdqn.launch.display import Display
from zdqn.launch.plan import PlannedProcess
from zdqn.launch.run_view import BEGUN, RunPlan
from zdqn.launch.strikes import Heard, Recovery, Strikes
from zdqn.records.endpoints import Endpoints
from zdqn.records.run_files import RunFiles
from zdqn.stopping import StopEvent
from zdqn.wire.keys.role_keys import RoleKeys
from zdqn.wire.protocol import ServerRole
from zdqn.wire.remote_control import fetch_status
from zdqn.wire.status import LearnerStatus, MemoryStatus

MOST_S = 120.0
"""A role that does not work so long after it was struck has not come back."""

_ASK_PERIOD_S = 0.25
_TIMEOUT_S = 1.0
_SERVERS: Mapping[ServerRole, tuple[str, type[MemoryStatus | LearnerStatus]]] = {
    "memory": ("samples", MemoryStatus),
    "learner": ("model", LearnerStatus),
}
_WORK = {
    "memory": "stores or deals out transitions again",
    "learner": "makes updates again",
    "collector": "takes steps again",
    "evaluator": "plays, or waits for a snapshot, again",
}


class ChaosDisplay(Display):
    """Shows what is done to a run and its progress, as plain lines; logs are in their files.

    Args:
        stream: where to; standard error by default.
        verbose: whether all that processes log is shown too.
        keys: an operator's, where servers have keys.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        verbose: bool = False,
        keys: RoleKeys | None = None,
    ) -> None:
        super().__init__(stream, keys=keys)
        self._verbose = verbose

    def log(self, name: str, line: str) -> None:
        """Show a line that a process wrote, if all are to be shown."""
        if self._verbose or name in ("run", "chaos"):
            super().log(name, line)


class Victim(Protocol):
    """A process that can be struck, as `zdqn.launch.child_process.ChildProcess` is."""

    @property
    def planned(self) -> PlannedProcess:
        """Which one."""

    @property
    def name(self) -> str:
        """Its name in the run."""

    @property
    def assigned(self) -> bool:
        """Whether it has been told what to do."""

    def signal(self, number: int) -> None:
        """Send it a signal."""

    def strike(self, number: int) -> None:
        """End it with a signal, to see it come back."""


class StruckRun(Protocol):
    """What of a `zdqn.launch.local_run.LocalRun` is looked at."""

    @property
    def living(self) -> Mapping[str, Victim]:
        """Processes by name."""

    @property
    def endpoints(self) -> Endpoints:
        """Of the servers that are up."""


@dataclass
class _Start:
    """A start of a collector, and what it was heard to have sent."""

    since_s: float = 0.0
    blocks: int = 0


class Chaos(Closing):
    """Strikes the roles of a run, and watches them come back: the companion of a local run.

    What it decides is in `zdqn.launch.strikes`. Strikes begin when the first update was made, and
    end with the training.

    Args:
        strikes: says whom, and when.
        number: signal that is sent; one that stops a process is followed by another that lets it
            go on.
        run_directory: of the run.
        stop: set, with a reason, when a role does not come back.
        keys: an operator's, where servers have keys.
        clock: seconds that never go back.

    Attributes:
        recoveries: all strikes, in order.
        failure: why the run cannot be said to have borne them; None so far.
    """

    def __init__(
        self,
        strikes: Strikes,
        number: signal.Signals,
        *,
        run_directory: Path,
        stop: StopEvent,
        keys: RoleKeys | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._strikes = strikes
        self._number = number
        self._files = RunFiles(run_directory)
        self._stop = stop
        self._keys = keys
        self._clock = clock
        self._say: Callable[[str], None] = lambda _text: None
        self._addresses: dict[str, str] = {}
        self._heard: dict[str, Heard] = {}
        self._told: dict[str, list[_Start]] = {}
        self._left = threading.Event()
        self._timers: list[threading.Timer] = []
        self._threads: list[threading.Thread] = []
        self.recoveries: list[Recovery] = []
        self.failure: ZdqnError | None = None

    def show(
        self,
        _plan: RunPlan,
        _directory: Path,
        /,
        *,
        stop: threading.Event | None,
        keys: RoleKeys | None,
        verbose: bool = False,
    ) -> Display:
        """Make the display, and say to it what happens; a `zdqn.launch.entry.ShowRun`."""
        display = ChaosDisplay(verbose=verbose, keys=keys)
        self._say = lambda text: display.log("chaos", text)
        return display

    @property
    def blocks_told(self) -> int:
        """Blocks that all starts of collectors were heard to have sent."""
        return sum(start.blocks for starts in self._told.values() for start in starts)

    def advance(self, run: StruckRun) -> None:
        """Strike if it is time, and see who works again; a `zdqn.launch.local_run.Companion`."""
        for server, (link, kind) in _SERVERS.items():
            if server not in self._addresses and server in run.endpoints:
                self._addresses[server] = run.endpoints[server][link]
                self._follow(server, kind)
        self._count_blocks()
        now_s = self._clock()
        struck = [one for one in self.recoveries if one.worked_s is None]
        for recovery in struck:
            self._see(recovery, now_s)
        if self._trains():
            away = {one.process.name for one in struck}
            able = [
                child.planned
                for child in run.living.values()
                if child.assigned and child.name not in away and self._can_come_back(child)
            ]
            process = self._strikes.take_due(now_s, able)
            if process is not None:
                self._strike(run.living[process.name], now_s)

    def _trains(self) -> bool:
        """Whether training has begun, and is not known to be over."""
        heard = self._heard.get("learner")
        if heard is None:
            return False
        assert isinstance(heard.status, LearnerStatus)
        begun = heard.status.progress.updates > 0 or bool(self.recoveries)
        return begun and heard.status.run.phase not in BEGUN - {"training"}

    def _can_come_back(self, child: Victim) -> bool:
        """Whether there is something from which a learner could go on; others need nothing."""
        ends = self._number is not signal.SIGSTOP
        return not (ends and child.planned.role == "learner") or any(
            self._files.checkpoints.glob("update-*.pt")
        )

    def _strike(self, child: Victim, now_s: float) -> None:
        name = child.name
        if self._number is signal.SIGSTOP:
            pause_s = self._strikes.pause_s()
            child.signal(signal.SIGSTOP)
            timer = threading.Timer(pause_s, child.signal, (signal.SIGCONT,))
            timer.daemon = True
            timer.start()
            self._timers.append(timer)
            recovery = Recovery(child.planned, now_s + pause_s, begins_anew=False)
            self._say(f"stopped {name} (SIGSTOP) for {pause_s:.1f} s")
        else:
            child.strike(self._number)
            recovery = Recovery(child.planned, now_s, begins_anew=True)
            self._told.setdefault(name, []).append(_Start(now_s))
            again = (
                "it is started again, from its newest checkpoint"
                if child.planned.role == "learner"
                else "it is started again"
            )
            self._say(f"ended {name} with {self._number.name}; {again}")
        self.recoveries.append(recovery)

    def _see(self, recovery: Recovery, now_s: float) -> None:
        """Say that a role works again, or that it does not."""
        process = recovery.process
        if recovery.look(self._heard):
            self._say(f"{process.name} {_WORK[process.role]}, after {recovery.took_s:.1f} s")
        elif now_s - recovery.since_s > MOST_S and self.failure is None:
            self.failure = RoleFailedError(
                f"{process.name} has not come back: {now_s - recovery.since_s:.0f} s after "
                f"{self._number.name} it does not work. Its log is "
                f"{self._files.log_of(process.name)}."
            )
            self._stop.set_for(f"zdqn chaos: {process.name} has not come back")

    def _count_blocks(self) -> None:
        """Keep what each start of a collector says that it has sent."""
        newest = self._heard.get("learner")
        if newest is None:
            return
        for member in newest.members():
            starts = self._told.setdefault(member.name, [_Start()])
            if member in newest.members(starts[-1].since_s):
                starts[-1].blocks = max(starts[-1].blocks, member.collector.blocks_sent)

    # --- asking servers ---------------------------------------------------------------------------

    def _follow(self, server: ServerRole, kind: type[MemoryStatus | LearnerStatus]) -> None:
        thread = threading.Thread(
            target=self._ask, args=(server, kind), name=f"zdqn-chaos-{server}", daemon=True
        )
        thread.start()
        self._threads.append(thread)

    def _ask(self, server: ServerRole, kind: type[MemoryStatus | LearnerStatus]) -> None:
        while not self._left.wait(_ASK_PERIOD_S):
            asked_s = self._clock()
            try:
                answer = fetch_status(self._addresses[server], _TIMEOUT_S, self._keys, server)
                status = kind.read(answer)
            except ZdqnError:
                continue  # it was struck, or is stopped
            self._heard[server] = Heard(asked_s, self._clock(), status)

    def close(self) -> None:
        """Ask nobody any more; the processes have ended."""
        self._left.set()
        for timer in self._timers:
            timer.cancel()
        for thread in (*self._timers, *self._threads):
            thread.join()
