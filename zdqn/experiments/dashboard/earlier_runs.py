"""The other runs in a run's folder, for a page that compares curves."""

from __future__ import annotations

import hashlib
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zdqn.config import load_config
from zdqn.errors import ZdqnError
from zdqn.launch.lines import printable
from zdqn.launch.run_view import RunPlan
from zdqn.launch.summary import describe_end
from zdqn.launch.wording import duration, number, score
from zdqn.records.run_files import RunFiles, is_plain, read_summary
from zdqn.records.run_series import Series, SeriesReader

MOST_RUNS = 100
_MOST_LOOKS = 16
"""At the files of a run, each of which has an end."""


@dataclass(frozen=True)
class _Known:
    path: Path
    changed_ns: int
    row: dict[str, Any]


class EarlierRuns:
    """Finds the runs beside a run. Each has a key, by which its curves are asked for.

    A key says nothing of where a run is, and none leads to anything but a run that was found.

    Args:
        directory: of the run that the others are beside.
    """

    def __init__(self, directory: Path) -> None:
        self._own = directory.resolve()
        self._known: dict[str, _Known] = {}

    def describe(self) -> list[dict[str, Any]]:
        """Describe the runs that are there now, the newest first, at most `MOST_RUNS`."""
        found: list[tuple[int, Path]] = []
        with suppress(OSError):
            for path in self._own.parent.iterdir():
                changed_ns = _changed_ns(path)
                if changed_ns is not None and path.resolve() != self._own:
                    found.append((changed_ns, path))
        found.sort(reverse=True)
        known = [self._look(path, changed_ns) for changed_ns, path in found[:MOST_RUNS]]
        self._known = {run.row["key"]: run for run in known}
        return [run.row for run in known]

    def _look(self, path: Path, changed_ns: int) -> _Known:
        key = hashlib.blake2b(str(path).encode(errors="surrogateescape"), digest_size=8).hexdigest()
        known = self._known.get(key)
        if known is not None and known.changed_ns == changed_ns:
            return known
        return _Known(path, changed_ns, {"key": key, **_row(path)})

    def series(self, key: str) -> Series | None:
        """Read the curves of a run; None if no run that was described has this key."""
        known = self._known.get(key)
        if known is None:
            return None
        reader = SeriesReader(known.path)
        series = reader.read()
        for _ in range(_MOST_LOOKS - 1):
            before, series = series, reader.read()
            if series.version == before.version:
                break
        return series


def _changed_ns(path: Path) -> int | None:
    """Say when a run was written to last; None if there is none in this folder."""
    files = RunFiles(path)
    for file in (files.metrics, files.summary):
        with suppress(OSError):
            found = file.stat()
            if stat.S_ISREG(found.st_mode):
                return found.st_mtime_ns
    return None


def _row(path: Path) -> dict[str, Any]:
    environment, summary = "", {}
    with suppress(ZdqnError, OSError):
        if is_plain(RunFiles(path).config):
            environment = RunPlan.named(load_config(RunFiles(path).config)).environment
    with suppress(ZdqnError):
        summary = read_summary(path)
    return {
        "name": printable(path.name),
        "environment": printable(environment),
        "best": score(summary.get("best_evaluation_return")),
        "steps": number(summary.get("environment_steps")),
        "time": duration(summary.get("wall_s")),
        "end": printable(describe_end(summary)) if summary else "no summary",
    }
