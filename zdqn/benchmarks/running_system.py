"""A whole system, started as a user starts it, and watched from outside."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from zdqn.benchmarks.measuring import rate_of_counter
from zdqn.benchmarks.processes import Questioner
from zdqn.closing import Closing
from zdqn.config import Config, to_toml
from zdqn.errors import FileError, RoleFailedError, ZdqnError
from zdqn.launch.starting import where_zdqn_is
from zdqn.records.endpoints import read_endpoints
from zdqn.records.run_files import RunFiles
from zdqn.wire.remote_control import request_stop

_START_S = 180.0
_END_S = 60.0
_STOP_S = 5.0
_LOOK_S = 0.05
_LAST_CHARACTERS = 2000


def zdqn_command(*words: str) -> list[str]:
    """Give the command line of ``zdqn WORDS`` with this interpreter."""
    return [sys.executable, "-P", "-m", "zdqn", *words]


def run_to_end(command: Sequence[str], log: Path, timeout_s: float) -> float:
    """Run a command and give the seconds that it took, start-up included.

    Args:
        command: its words.
        log: takes what it prints.
        timeout_s: how long it may take.

    Raises:
        RoleFailedError: when it fails, or takes too long.
    """
    started_s = time.perf_counter()
    with log.open("w", encoding="utf-8") as output:
        try:
            done = subprocess.run(  # noqa: S603 - ours, or an interpreter that the user named
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
                env={**os.environ, **where_zdqn_is()},
            )
        except subprocess.TimeoutExpired as error:
            raise RoleFailedError(f"{' '.join(command)} took over {timeout_s:g} s.") from error
    elapsed_s = time.perf_counter() - started_s
    if done.returncode:
        raise RoleFailedError(f"{' '.join(command)} failed: {_tail(log)}")
    return elapsed_s


def steady_rate(directory: Path, counter: str, skip: float = 0.25) -> float:
    """Give the speed of a run that has ended, from its ``metrics.jsonl``.

    Args:
        directory: of the run.
        counter: such as "environment_steps".
        skip: share of the rows at the start to leave out, while the run gets going.
    """
    lines = RunFiles(directory).metrics.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    first, last = rows[int(len(rows) * skip)], rows[-1]
    elapsed_s = float(last["wall_s"] - first["wall_s"])
    return float(last[counter] - first[counter]) / max(elapsed_s, 1e-9)


class RunningSystem(Closing):
    """``zdqn run`` in a process of its own, without evaluators.

    Args:
        config: of the run.
        collectors: how many.
        directory: for its files; must exist.

    Attributes:
        directory: of the run.
    """

    def __init__(self, config: Config, collectors: int, directory: Path) -> None:
        self._collectors = collectors
        self.directory = directory / "run"
        self._log = directory / "log.txt"
        self._questioners: list[Questioner] = []
        self._learner = ""  # its address, once it is known
        self._deadline_s = time.monotonic() + _START_S
        path = directory / "bench.toml"
        path.write_text(to_toml(config), encoding="utf-8")
        words = (
            "run", str(path), "--run-dir", str(self.directory), "--collectors", str(collectors),
            "--evaluators", "0", "--log-level", "warning",
        )  # fmt: skip
        self._output: IO[str] = self._log.open("w", encoding="utf-8")
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            zdqn_command(*words), stdout=self._output, stderr=subprocess.STDOUT
        )
        try:
            self._learner = self._endpoint("learner", "model")
            self._memory = Questioner(self._endpoint("memory", "samples"))
            self._questioners.append(self._memory)
            self._wait_for_collectors()
        except BaseException:
            self.close()
            raise

    def environment_steps_per_s(self, seconds: float) -> float:
        """Measure how fast the collectors are together, as the memory sees it."""
        return rate_of_counter(self._environment_steps, seconds)

    def wait_for_samples(self, samples: int) -> None:
        """Wait until the learner has sampled so many transitions."""
        self._deadline_s = time.monotonic() + _START_S
        while self._memory.status()["samples"] < samples:
            self._check_alive("learning")

    def _environment_steps(self) -> float:
        steps: float = self._memory.status()["environment_steps"]
        return steps

    def _endpoint(self, role: str, link: str) -> str:
        endpoints: dict[str, dict[str, str]] = {}
        while link not in endpoints.get(role, {}):
            self._check_alive(f"its {role}")
            with contextlib.suppress(FileError):  # not written yet
                endpoints = read_endpoints(self.directory)
        return endpoints[role][link]

    def _wait_for_collectors(self) -> None:
        """Wait until all of them step their environments."""
        self._deadline_s = time.monotonic() + _START_S
        while self._stepping() < self._collectors:
            self._check_alive("its collectors")

    def _stepping(self) -> int:
        clients: list[dict[str, Any]] = self._memory.status()["clients"]
        return sum(client.get("environment_steps", 0) > 0 for client in clients)

    def _check_alive(self, what: str) -> None:
        if self._process.poll() is not None or time.monotonic() > self._deadline_s:
            raise RoleFailedError(f"zdqn run did not start {what} in time: {_tail(self._log)}")
        time.sleep(_LOOK_S)

    def close(self) -> None:
        """End the run."""
        for questioner in self._questioners:
            questioner.close()
        if self._learner and self._process.poll() is None:
            with contextlib.suppress(ZdqnError):
                request_stop(self._learner, "the benchmark is over", _STOP_S)
        else:
            self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_LAST_CHARACTERS:]
