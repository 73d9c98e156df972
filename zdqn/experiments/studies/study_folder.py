"""The folder of a study: which files are where, what it was begun with, and which runs are done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from zdqn.config import to_toml
from zdqn.errors import FileError, MismatchError, RunDirectoryTakenError, what_went_wrong
from zdqn.experiments.studies.study_plan import PlannedRun, StudyPlan, describe_change
from zdqn.records.replaced_files import replace_text
from zdqn.records.run_files import RunFiles, open_run_directory, read_summary
from zdqn.records.run_lock import RunLock, describe_holder
from zdqn.wire.status import LimitsStatus

_MOST_NAMED = 5


class RunState(Enum):
    """How far a run of a study is."""

    WAITING = "waiting"
    CUT_OFF = "cut off"
    FINISHED = "finished"


@dataclass(frozen=True)
class StudyFiles:
    """What the files of a study are called.

    Attributes:
        path: its folder.
    """

    path: Path

    @property
    def record(self) -> Path:
        """What is trained in it."""
        return self.path / "study.json"

    @property
    def lock(self) -> Path:
        """Held by the command that trains in it."""
        return self.path / ".study.lock"

    @property
    def results(self) -> Path:
        """Tables, and what they mean."""
        return self.path / "results.md"

    def table(self, name: str) -> Path:
        """Give a file of raw numbers, such as ``runs.csv``."""
        return self.path / f"{name}.csv"

    def picture(self, name: str) -> Path:
        """Give a picture."""
        return self.path / f"{name}.png"

    def run_directory(self, run: PlannedRun) -> Path:
        """Give the folder of a run."""
        return self.path / "runs" / run.variant / f"seed-{run.seed}"

    def config(self, run: PlannedRun) -> Path:
        """Give the configuration of a run, which can be run by hand too."""
        return self.path / "configs" / f"{run.variant}-seed-{run.seed}.toml"

    def log(self, run: PlannedRun) -> Path:
        """Give what a run has written."""
        return self.path / "logs" / f"{run.variant}-seed-{run.seed}.log"


def claim(files: StudyFiles) -> RunLock:
    """Take the folder of a study, which is made if it is missing.

    Raises:
        RunDirectoryTakenError: when another command trains in it, which is named.
        FileError: when it cannot be made.
    """
    open_run_directory(files.path)
    holder = describe_holder(files.lock)
    if holder:
        raise RunDirectoryTakenError(
            f"The study in {files.path} is in use by {holder}. Wait for its end, end it with "
            f"Ctrl-C, or give another --study-dir."
        )
    return RunLock(files.lock)


def check_record(files: StudyFiles, plan: StudyPlan) -> None:
    """Note what is trained in a folder, or refuse to train something else there.

    Seeds and variants may come and go. The note keeps those that went, as their runs stay.

    Raises:
        MismatchError: when the study is another than the folder was begun with; it says in what.
        FileError: when the note cannot be read or written, or the folder holds something else.
    """
    now = json.loads(json.dumps(plan.trained()))
    if not files.record.exists():
        _check_new(files)
        _write_record(files, now)
        return
    before = _read_record(files)
    changes = describe_change(before, now)
    if changes:
        more = f"; and {len(changes) - _MOST_NAMED} more" if len(changes) > _MOST_NAMED else ""
        raise MismatchError(
            f"The study in {files.path} was begun with other values: "
            f"{'; '.join(changes[:_MOST_NAMED])}{more}. Its runs would not belong together. Give "
            f"the values it was begun with, a variant of another name, or another --study-dir."
        )
    if now.keys() - before.keys():
        _write_record(files, {**before, **now})


def _check_new(files: StudyFiles) -> None:
    """Refuse a folder with something in it that a study would write over."""
    there = [name for name in ("runs", "configs", "logs") if (files.path / name).exists()]
    if there or RunFiles(files.path).results():
        raise FileError(
            f"{files.path} holds other files ({', '.join(there) or 'a run'}), but no study: "
            f"{files.record.name} is missing. Give another --study-dir."
        )


def _write_record(files: StudyFiles, values: Mapping[str, Any]) -> None:
    replace_text(files.record, json.dumps(values, indent=1) + "\n")


def _read_record(files: StudyFiles) -> dict[str, Any]:
    try:
        values = json.loads(files.record.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError) as error:
        raise FileError(
            f"Cannot read {files.record}, which says what is trained there: "
            f"{what_went_wrong(error)}. Give another --study-dir."
        ) from error
    return values


# --- runs ---------------------------------------------------------------------------------------


def state_of(run_directory: Path) -> RunState:
    """Say how far a run is, from its files.

    It is finished if it came to an end condition of its own; one that somebody stopped is cut off.
    """
    files = RunFiles(run_directory)
    try:
        summary = read_summary(run_directory)
    except FileError:
        summary = {}
    if summary.get("stop_reason") in LimitsStatus.__struct_fields__:
        return RunState.FINISHED
    return RunState.CUT_OFF if files.results() else RunState.WAITING


def make_ready(files: StudyFiles, run: PlannedRun, *, resume: bool) -> bool:
    """Write the configuration of a run, and see to what an earlier start of it has left.

    Args:
        files: of the study.
        run: that is to start.
        resume: whether one that was cut off is gone on with, where it has saved a checkpoint; else
            what is there of it is removed.

    Returns:
        Whether it is to be gone on with.

    Raises:
        FileError: when something cannot be written or removed.
    """
    directory = files.run_directory(run)
    goes_on = resume and any(RunFiles(directory).checkpoints.glob("*.pt"))
    try:
        if directory.exists() and not goes_on:
            shutil.rmtree(directory)
        for folder in (files.config(run).parent, files.log(run).parent, directory.parent):
            folder.mkdir(parents=True, exist_ok=True)
        text = f"# Seed {run.seed} of {run.variant}.\n{to_toml(run.config)}"
        files.config(run).write_text(text, encoding="utf-8")
    except OSError as error:
        raise FileError(f"Cannot make ready {directory}: {error}.") from error
    return goes_on


def describe_writer(run_directory: Path) -> str:
    """Say which process writes to a run's folder now; "" if none does."""
    files = RunFiles(run_directory)
    return describe_holder(files.launch_lock) or describe_holder(files.lock)


def last_lines(path: Path, most: int = 8) -> list[str]:
    """Give the last lines of a log; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - 8192, 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-most:]


def progress_of(run: PlannedRun, run_directory: Path) -> float:
    """Say which share of its way a run has come, from its newest row of metrics.

    Args:
        run: of the study.
        run_directory: of the run, which need not be there.

    Returns:
        In [0, 1]: of the way to its nearest end condition.
    """
    row = _newest_row(RunFiles(run_directory).metrics)
    limits = ("updates", "environment_steps", "episodes", "wall_s")
    ends = {key: getattr(run.config.stop, key) for key in limits}
    shares = [float(row.get(key, 0)) / end for key, end in ends.items() if end]
    return min(max(shares, default=0.0), 1.0)


def _newest_row(metrics: Path) -> dict[str, Any]:
    """Give the last whole row of a file of metrics; empty if there is none."""
    for line in reversed(last_lines(metrics)):
        with suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict):
                return row
    return {}
