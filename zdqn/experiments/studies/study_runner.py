"""Trains the runs of a study, several at once, each in a process of its own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zdqn.closing import Closing
from zdqn.errors import ZdqnError
from zdqn.experiments.studies.study_child import StudyChild
from zdqn.experiments.studies.study_folder import (
    RunState,
    StudyFiles,
    describe_writer,
    last_lines,
    make_ready,
    progress_of,
    state_of,
)
from zdqn.experiments.studies.study_plan import PlannedRun, StudyPlan
from zdqn.experiments.studies.study_view import RunningRun, StudyView, progress_words
from zdqn.launch.plan import describe_exit
from zdqn.records.run_history import HistoryReader
from zdqn.stopping import reason_of

_LOOK_S = 0.2
_PATIENCE_S = 90.0
"""How long a run waits for a process that an earlier start of the study has left behind."""


class RunningProcess(Protocol):
    """The process of a run; `StudyChild` is one."""

    def poll(self) -> int | None:
        """Give its exit code; None while it runs."""

    def ask_to_stop(self) -> None:
        """Ask it to end cleanly."""

    def kill(self) -> None:
        """End it at once, and wait for that."""


class StartRun(Protocol):
    """Starts the process of a run, as `StudyChild` does."""

    def __call__(
        self, command: str, config: Path, run_directory: Path, *, resume: bool, log: Path
    ) -> RunningProcess:
        """Start it; the arguments are those of `StudyChild`."""


class StudyAudience(Protocol):
    """Whoever shows a study."""

    def show(self, view: StudyView) -> None:
        """Show how it does; called several times a second."""

    def say(self, text: str) -> None:
        """Show a sentence that stays."""


@dataclass
class _Started:
    run: PlannedRun
    process: RunningProcess
    began_s: float
    history: HistoryReader


class StudyRunner(Closing):
    """Trains whatever is not trained yet of a study.

    Args:
        plan: of the study.
        files: of the study, whose folder is claimed.
        jobs: how many runs go at once, >= 1.
        audience: shown how it goes.
        stop: set it to end all runs cleanly.
        start: starts a run.
        patience_s: how long a run waits for a process that still writes to its folder.

    Attributes:
        failed: name to reason of the runs that failed.
    """

    def __init__(
        self,
        plan: StudyPlan,
        files: StudyFiles,
        *,
        jobs: int,
        audience: StudyAudience,
        stop: threading.Event,
        start: StartRun = StudyChild,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._plan = plan
        self._files = files
        self._jobs = jobs
        self._audience = audience
        self._stop = stop
        self._start_process = start
        self._patience_s = patience_s
        self._began_s = time.monotonic()
        self._running: list[_Started] = []
        self._finished = 0
        self.failed: dict[str, str] = {}
        runs = plan.runs()
        self._total = len(runs)
        self._waiting = deque(
            run for run in runs if state_of(files.run_directory(run)) is not RunState.FINISHED
        )
        self._kept = self._total - len(self._waiting)
        self._asked: set[str] = set()

    def train(self) -> None:
        """Train until all runs are over, or the study is asked to stop and all have ended."""
        if self._kept:
            self._audience.say(f"{self._kept} of {self._total} runs were finished before; kept")
        while self._waiting or self._running:
            if self._stop.is_set():
                self._waiting.clear()
                self._ask_all_to_stop()
            self._start_some()
            self._take_ended()
            self._audience.show(self.view())
            if self._running or self._waiting:
                self._wait()

    def _wait(self) -> None:
        """Let some time pass; no less when the end was asked for, as runs need it to end."""
        if self._stop.is_set():
            time.sleep(_LOOK_S)
        else:
            self._stop.wait(_LOOK_S)

    # --- starting and ending ------------------------------------------------------------------

    def _start_some(self) -> None:
        for _ in range(len(self._waiting)):
            if len(self._running) >= self._jobs:
                return
            run = self._waiting.popleft()
            if not self._is_held(run):
                self._start(run)

    def _is_held(self, run: PlannedRun) -> bool:
        """Whether a process that an earlier start has left still writes; then the run waits."""
        writer = describe_writer(self._files.run_directory(run))
        if not writer:
            return False
        if time.monotonic() - self._began_s > self._patience_s:
            self._fail(run, f"its folder is in use by {writer}")
            return True
        if run.name not in self._asked:
            self._asked.add(run.name)
            self._audience.say(f"{run.name} waits for {writer}, which still writes there")
        self._waiting.append(run)
        return True

    def _start(self, run: PlannedRun) -> None:
        files, resume = self._files, self._plan.unfinished == "resume"
        directory = files.run_directory(run)
        try:
            goes_on = make_ready(files, run, resume=resume)
            process = self._start_process(
                self._plan.command, files.config(run), directory, resume=goes_on,
                log=files.log(run),
            )  # fmt: skip
        except (ZdqnError, OSError) as error:
            self._fail(run, str(error))
            return
        self._running.append(_Started(run, process, time.monotonic(), HistoryReader(directory)))
        self._audience.say(f"{run.name} {'goes on' if goes_on else 'has begun'}")

    def _take_ended(self) -> None:
        for started in list(self._running):
            code = started.process.poll()
            if code is None:
                continue
            self._running.remove(started)
            run = started.run
            state = state_of(self._files.run_directory(run))
            if state is RunState.FINISHED:
                self._finished += 1
                newest = started.history.read().newest
                scored = f", evaluation {newest[-1].mean:.4g}" if newest else ""
                self._audience.say(f"{run.name} has ended{scored}; {self._words()}")
            elif not (self._stop.is_set() and code == 0):
                self._fail(run, _why(code, last_lines(self._files.log(run))))

    def _fail(self, run: PlannedRun, why: str) -> None:
        self.failed[run.name] = why.splitlines()[0] if why else ""
        self._audience.say(f"{run.name} failed: {why}")

    def _ask_all_to_stop(self) -> None:
        for started in self._running:
            started.process.ask_to_stop()

    def close(self) -> None:
        """End what still runs."""
        for started in self._running:
            started.process.kill()
        self._running.clear()

    # --- showing --------------------------------------------------------------------------------

    def view(self) -> StudyView:
        """Give what is known of the study now."""
        now_s = time.monotonic()
        return StudyView(
            title=self._plan.title,
            directory=str(self._files.path),
            total=self._total,
            kept=self._kept,
            finished=self._finished,
            failed=dict(self.failed),
            running=[self._look_at(started, now_s) for started in self._running],
            elapsed_s=now_s - self._began_s,
            ending=(reason_of(self._stop) or "asked to") if self._stop.is_set() else "",
        )

    def _look_at(self, started: _Started, now_s: float) -> RunningRun:
        newest = started.history.read().newest
        return RunningRun(
            started.run.name,
            progress_of(started.run, self._files.run_directory(started.run)),
            now_s - started.began_s,
            newest[-1].mean if newest else None,
        )

    def _words(self) -> str:
        return progress_words(self.view())


def _why(code: int, lines: Sequence[str]) -> str:
    """Say how a process ended, and what it wrote last."""
    said = "".join(f"\n  {line}" for line in lines)
    return f"it {describe_exit(code)}{'; its log ends with:' if said else ''}{said}"
