"""The roles of one host, as its agent starts them, feeds them, logs them and ends them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from zdqn.launch.cluster.frames import EndedReport, ErrorsReport, Frame, OutputReport, StartOrder
from zdqn.launch.cluster.rotated_log import RotatedLog
from zdqn.launch.plan import PlannedProcess
from zdqn.launch.starting import LocalProcess, StartedProcess, start_locally

_DRAIN_S = 2.0
_CANNOT_START = 74


class AgentProcesses:
    """Processes by name. Orders come from one thread; what happens is told to `report`.

    Args:
        folder: where the logs go.
        report: told each line, and each end.
    """

    def __init__(self, folder: Path, report: Callable[[Frame], None]) -> None:
        self._folder = folder
        self._report = report
        self._living: dict[str, LocalProcess] = {}
        self._changed = threading.Condition()

    def start(self, order: StartOrder) -> None:
        """Start a process with this very Python."""
        planned = PlannedProcess(order.role, order.name, order.environment)
        log = RotatedLog(self._folder / f"{order.name}.log")
        try:
            process = start_locally(planned.argv(), planned.environment)
        except OSError as error:
            self._report(ErrorsReport(order.name, f"cannot be started: {error}\n".encode()))
            self._report(EndedReport(order.name, _CANNOT_START))
            log.close()
            return
        assert isinstance(process, LocalProcess)
        with self._changed:
            self._living[order.name] = process
        readers = [
            threading.Thread(target=self._relay_log, args=(order.name, process, log), daemon=True),
            threading.Thread(target=self._relay_reports, args=(order.name, process), daemon=True),
        ]
        for reader in readers:
            reader.start()
        threading.Thread(
            target=self._wait, args=(order.name, process, readers, log), daemon=True
        ).start()

    def write_input(self, name: str, data: bytes) -> None:
        """Hand a process bytes; one that has ended takes none."""
        process = self._living.get(name)
        if process is not None:
            with contextlib.suppress(OSError, ValueError):
                process.write_input(data)

    def close_input(self, name: str) -> None:
        """Ask a process to end."""
        process = self._living.get(name)
        if process is not None:
            process.close_input()

    def send_signal(self, name: str, number: int) -> None:
        """Send a signal to a process, and to everything that it has started."""
        process = self._living.get(name)
        if process is not None:
            process.signal(number)

    def log(self, name: str, text: str) -> None:
        """Add a line of the agent's own to the log of a process that it has started."""
        log = RotatedLog(self._folder / f"{name}.log")
        log.write(f"{time.strftime('%H:%M:%S')} warning agent: {text}".encode())
        log.close()

    def identities(self) -> dict[str, int]:
        """Give the number of each living process, by name."""
        with self._changed:
            return {name: process.pid for name, process in self._living.items()}

    def end_all(self, grace_s: float) -> None:
        """Ask all to end; kill, with what they have started, those that have not in time."""
        for process in list(self._living.values()):
            process.close_input()
        if not self.wait_for_all(grace_s):
            for process in list(self._living.values()):
                process.kill()
            self.wait_for_all(_DRAIN_S)

    def wait_for_all(self, timeout_s: float | None = None) -> bool:
        """Wait until none lives; whether that came to be."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._living, timeout_s)

    def _relay_log(self, name: str, process: StartedProcess, log: RotatedLog) -> None:
        for line in process.error_lines():
            log.write(line)
            self._report(ErrorsReport(name, line))

    def _relay_reports(self, name: str, process: StartedProcess) -> None:
        for line in process.output_lines():
            self._report(OutputReport(name, line))

    def _wait(
        self,
        name: str,
        process: LocalProcess,
        readers: list[threading.Thread],
        log: RotatedLog,
    ) -> None:
        code = process.wait()
        process.kill()  # what it may have left behind would hold its pipes open
        for reader in readers:
            reader.join(_DRAIN_S)
        process.close_input()
        log.close()
        self._report(EndedReport(name, code))  # who waits for all has heard of each end then
        with self._changed:
            if self._living.get(name) is process:  # it may have been started again since
                del self._living[name]
            self._changed.notify_all()
