"""One run of a study, in a process of its own that ends with the one that started it.

- arguments: "train" or "run", the configuration, the run directory, and "anew" or "resume".
- standard input: stays open. Its end means that this run is to stop: the study was asked to, or is
  no more.
- standard output and error: the log.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from zdqn.errors import RoleFailedError, ZdqnError
from zdqn.stopping import StopEvent

GRACE_S = 60.0
"""Seconds in which a run must stop after the end of its standard input."""

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Several runs share the cores, and would wait for each other's threads."""

ANEW, RESUME = "anew", "resume"


class StudyChild:
    """The process of one run, as the study sees it.

    Args:
        command: "train" or "run".
        config: file of its configuration.
        run_directory: of the run.
        resume: whether it goes on from the newest checkpoint there.
        log: what it writes is put here; one that is gone on with adds to it.

    Raises:
        OSError: when it cannot be started.
    """

    def __init__(
        self, command: str, config: Path, run_directory: Path, *, resume: bool, log: Path
    ) -> None:
        from zdqn.launch.starting import where_zdqn_is

        words = (command, str(config), str(run_directory), RESUME if resume else ANEW)
        with log.open("ab" if resume else "wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-P", "-m", "zdqn.experiments.studies", *words],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **where_zdqn_is(), **dict.fromkeys(_ONE_THREAD, "1")},
                process_group=0,  # so that Ctrl-C reaches the study alone
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def poll(self) -> int | None:
        """Give its exit code, or minus the signal that ended it; None while it runs."""
        code = self._process.poll()
        if code is not None:
            self.ask_to_stop()  # nobody holds the other end of its input any more
        return code

    def ask_to_stop(self) -> None:
        """Ask it to end cleanly; harmless when repeated, and when it has ended."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def kill(self) -> None:
        """End it at once, and wait for that; harmless when it has ended."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.ask_to_stop()
        self._process.wait()


def main(arguments: Sequence[str]) -> int:
    """Make a run.

    Returns:
        The exit code.
    """
    from zdqn.launch import entry
    from zdqn.launch.logs import configure_logging

    command, config, run_directory, how = arguments
    stop = StopEvent()
    _stop_on_signals(stop)
    threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
    configure_logging("info")
    sys.path.append("")  # so that "module:factory" finds a module in the current folder, as `zdqn`
    make = {"train": entry.train, "run": entry.run}[command]
    try:
        make(
            config,
            run_directory=run_directory,
            resume=run_directory if how == RESUME else None,
            stop=stop,
        )
    except ZdqnError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _stop_on_signals(stop: StopEvent) -> None:
    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set_for(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _stop_at_end_of_input(stop: StopEvent) -> None:
    # os.read, as a thread inside sys.stdin would abort the interpreter's shutdown
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set_for("the end of its study")
    time.sleep(GRACE_S)
    os._exit(RoleFailedError.exit_code)
