"""What pages that look on cost a run, and how soon they are told of it."""

from __future__ import annotations

import http.client
import importlib.util
import json
import select
import shutil
import socket
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from zdqn.benchmarks.measuring import Effort, Figure, Result, Say, alternate, divide
from zdqn.benchmarks.processes import Link, Worker
from zdqn.benchmarks.running_system import RunningSystem
from zdqn.benchmarks.subjects import seed_config
from zdqn.closing import Closing
from zdqn.errors import RoleFailedError
from zdqn.records.run_files import RunFiles

LOOKERS = (0, 1, 8)
_QUICK_LOOKERS = (0, 8)
_WRITES = 4
"""Rows whose way is timed, in each repetition."""

_TIMES_LONGER = 2
_LEARNING = 10_000
"""Samples after which a run has begun to learn."""
_SETTLE_S = 0.5
_LOOK_S = 0.05
_PATIENCE_S = 60.0
_PERIOD_S = 1.0
"""Between two looks of a dashboard; rows are written at any time within it."""
_CHUNK_BYTES = 1 << 16


def measure(effort: Effort, say: Say, *, writes: int = _WRITES) -> Result:
    """Measure a run that is looked at.

    Args:
        effort: how long.
        say: told what is going on.
        writes: rows whose way into a page is timed in each repetition, >= 1.

    Returns:
        For each number of pages the speed that the run keeps, over its speed while the dashboard
        stands still; and the time from a row of metrics to the page, where it is first a number and
        then a point of a curve. Nothing of it without the packages of a dashboard.
    """
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        return Result(notes=[f'Left out: {missing[0]} is missing. pip install "zdqn[dashboard]"'])
    result = Result()
    with (
        tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder,
        RunningSystem(seed_config(), 1, Path(folder)) as system,
    ):
        system.wait_for_samples(_LEARNING)
        result.add(*_measure_cost(effort, say, system))
        result.add(*_measure_delays(effort, say, system, Path(folder) / "beside", writes))
    result.notes.append(
        "Pages are connections that take what they are told and draw nothing. The dashboard plays "
        "no episode, and shares this machine's cores with the run."
    )
    return result


# --- what it costs --------------------------------------------------------------------------------


def _measure_cost(effort: Effort, say: Say, system: RunningSystem) -> list[Figure]:
    counts = _QUICK_LOOKERS if effort.quick else LOOKERS
    say(f"dashboard: a run with {', '.join(map(str, counts))} pages")
    with Worker(_serve, str(system.directory)) as dashboard:
        url = dashboard.receive()
        seconds = effort.seconds * _TIMES_LONGER
        alone, *watched = alternate(
            effort,
            partial(_alone, system, dashboard, seconds),
            *(partial(_watched, system, url, count, seconds) for count in counts),
        )
    return [
        Figure(f"dashboard.{count}.speed_kept", "", divide(steps, alone))
        for count, steps in zip(counts, watched, strict=True)
    ]


def _alone(system: RunningSystem, dashboard: Worker, seconds: float) -> float:
    dashboard.pause()
    try:
        time.sleep(_SETTLE_S)
        return system.environment_steps_per_s(seconds)
    finally:
        dashboard.go_on()


def _watched(system: RunningSystem, url: str, count: int, seconds: float) -> float:
    with ExitStack() as stack:
        if count:
            stack.enter_context(Worker(_look_on, url, count)).receive()
        time.sleep(_SETTLE_S)
        return system.environment_steps_per_s(seconds)


def _serve(link: Link, directory: str) -> None:
    """Serve the page of a run until the benchmark hangs up."""
    from zdqn.experiments.dashboard.server import Dashboard

    with Dashboard(None, Path(directory), bind="127.0.0.1:0", film=False) as shown:
        link.send(shown.url)
        link.recv()


def _look_on(link: Link, url: str, count: int) -> None:
    """Be so many pages, each of which takes whatever it is told."""
    place = urlsplit(url)
    request = f"GET /events HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
    with ExitStack() as stack:
        pages = []
        for _ in range(count):
            page = socket.create_connection((place.hostname, place.port), _PATIENCE_S)
            pages.append(stack.enter_context(page))
            page.sendall(request)
            if b" 200 " not in page.recv(_CHUNK_BYTES):
                raise RoleFailedError("The dashboard does not let a page look on.")
        link.send("looking")
        while not link.poll():
            for page in select.select(pages, [], [], _LOOK_S)[0]:
                if not page.recv(_CHUNK_BYTES):
                    raise RoleFailedError("The dashboard has ended while a page looked on.")


# --- how soon they are told -----------------------------------------------------------------------


def _measure_delays(
    effort: Effort, say: Say, system: RunningSystem, directory: Path, writes: int
) -> list[Figure]:
    """Time rows of a file of our own, in a folder of which the servers are those of the run."""
    say("dashboard: from a row of metrics into a page")
    directory.mkdir()
    shutil.copy(RunFiles(system.directory).endpoints, RunFiles(directory).endpoints)
    delays: dict[str, list[tuple[float, ...]]] = {"number": [], "curve": []}
    with (
        Worker(_serve, str(directory)) as dashboard,
        Worker(_time_rows, dashboard.receive(), str(directory)) as page,
    ):
        for _ in range(effort.repeats):
            page.send(writes)
            for kind, seconds in page.receive().items():
                delays[kind].append(tuple(1e3 * second for second in seconds))
    return [
        Figure(f"dashboard.{kind}_delay_{name}", "ms", tuple(map(of, delays[kind])))
        for kind in delays
        for name, of in (("p50", _median), ("max", max))
    ]


def _median(values: tuple[float, ...]) -> float:
    return float(np.median(values))


def _time_rows(link: Link, url: str, directory: str) -> None:
    """Write so many rows when told to, and give for each how long it took into the page."""
    rng = np.random.default_rng(0)
    written = 0
    with _Page(url) as page, RunFiles(Path(directory)).metrics.open("a", encoding="utf-8") as file:
        while True:
            delays: dict[str, list[float]] = {"number": [], "curve": []}
            for _ in range(link.recv()):
                time.sleep(rng.uniform(0, _PERIOD_S))
                written += 1
                row = {"wall_s": written, "environment_steps": written, "updates": written}
                file.write(json.dumps(row) + "\n")
                file.flush()
                began_s = time.monotonic()
                for kind, event, version in (
                    ("number", "state", "series"), ("curve", "curves", "version")
                ):  # fmt: skip
                    page.wait_for(event, version, written)
                    delays[kind].append(time.monotonic() - began_s)
            link.send(delays)


class _Page(Closing):
    """What a page is told, event by event, as a browser takes it."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE_S)
        self._connection.request("GET", "/events")
        self._answer = self._connection.getresponse()
        self._newest: dict[str, dict[str, Any]] = {}

    def wait_for(self, event: str, key: str, least: int) -> None:
        """Wait until an event of this name holds so much under a key."""
        while self._newest.get(event, {}).get(key, 0) < least:
            self._take()

    def _take(self) -> None:
        name = ""
        while line := self._answer.readline().decode():
            if line.startswith("event: "):
                name = line.removeprefix("event: ").strip()
            elif line.startswith("data: "):
                self._newest[name] = json.loads(line.removeprefix("data: "))
                return
        raise RoleFailedError("The dashboard has ended while a page looked on.")

    def close(self) -> None:
        """Go away."""
        self._answer.close()
        self._connection.close()
