"""The batch files of a run, as text: nothing here writes, or submits, one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from zdqn.errors import FileError
from zdqn.launch.shell_words import setup_line, shell_path
from zdqn.launch.slurm.slurm_plan import JobSettings, PlannedArray, SlurmPlan
from zdqn.records.run_files import RunFiles

JOB_MODULE = "zdqn.launch.slurm"
SERVERS = "servers"
"""What the job of memory, learner and evaluators is called, and its log."""
LIMIT_SIGNAL = "USR2"
"""Says that the time limit comes near.

SIGTERM would not do: Slurm ends jobs with it that are preempted or cancelled, so that who gets it
cannot know what follows. SIGUSR1 belongs to others: libraries that train on several GPUs take it.
"""
_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


@dataclass(frozen=True)
class RunPlace:
    """Where a run of Slurm is, on a file system that all nodes see.

    Attributes:
        directory: of the run, absolute.
        started_in: folder in which the jobs begin, from which modules of the user's are found.

    Raises:
        FileError: when no batch file can name a path.
    """

    directory: Path
    started_in: Path

    def __post_init__(self) -> None:
        for path in (self.directory, self.started_in):
            if not str(path).isprintable() or "\\" in str(path):
                raise FileError(
                    f"{str(path)!r} cannot stand in a batch file, which has no words for a "
                    f"backslash, or for what cannot be printed. Give another folder (--run-dir)."
                )

    def batch_file(self, name: str) -> Path:
        """Give where a batch file is, such as that of the ``servers``."""
        return self.directory / "slurm" / f"{name}.sbatch"


def array_name(array: PlannedArray) -> str:
    """Give the name of an array, such as ``collectors-0``: its first collector's number."""
    return f"collectors-{array.first}"


def batch_files(plan: SlurmPlan, place: RunPlace) -> dict[str, str]:
    """Give the text of all batch files, by name, that of the servers first."""
    arrays = {array_name(array): array_file(plan, array, place) for array in plan.arrays}
    return {SERVERS: servers_file(plan, place), **arrays}


def servers_file(plan: SlurmPlan, place: RunPlace) -> str:
    """Write the job of memory, learner and evaluators."""
    options = [
        *_options(plan.servers, f"zdqn-{place.directory.name}", place),
        _log(place, SERVERS),
        f"--signal=B:{LIMIT_SIGNAL}@{plan.checkpoint_s}",
        *plan.servers.sbatch,
    ]
    command = [SERVERS, shlex.quote(str(place.directory))]
    return _text(plan.servers, options, plan.servers.environment, command)


def array_file(plan: SlurmPlan, array: PlannedArray, place: RunPlace) -> str:
    """Write an array of collectors; a task's number is its collector's."""
    last, at_once = array.first + array.count - 1, f"%{plan.at_once}" if plan.at_once else ""
    limit = f"--signal=B:{LIMIT_SIGNAL}@{plan.checkpoint_s}"
    options = [
        *_options(plan.collectors, f"zdqn-{place.directory.name}-collectors", place),
        f"--array={array.first}-{last}{at_once}",
        _log(place, "collector-%a"),
        *([limit] if plan.at_time_limit == "requeue" else []),
        *plan.collectors.sbatch,
    ]
    environment = {**plan.collectors.environment, **array.environment}
    command = ["collector", shlex.quote(str(place.directory)), '"$SLURM_ARRAY_TASK_ID"']
    return _text(plan.collectors, options, environment, command)


def submit_commands(plan: SlurmPlan, place: RunPlace) -> list[str]:
    """Give the commands that submit the files, as they can be copied into a shell."""
    servers = shlex.quote(str(place.batch_file(SERVERS)))
    return [
        f"servers=$(sbatch --parsable {servers})",
        *(
            f"sbatch --parsable --dependency=after:$servers "
            f"{shlex.quote(str(place.batch_file(array_name(array))))}"
            for array in plan.arrays
        ),
    ]


def option_value(text: str) -> str:
    """Quote a value for a line of ``#SBATCH``, which sbatch takes apart in its own way."""
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _options(settings: JobSettings, name: str, place: RunPlace) -> Iterator[str]:
    yield f"--job-name={option_value(name)}"
    values = {
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "time": settings.time,
        "cpus-per-task": str(settings.cpus or ""),
        "mem": settings.memory,
        "gres": settings.gres,
    }
    yield from (f"--{option}={option_value(value)}" for option, value in values.items() if value)
    yield f"--chdir={option_value(str(place.started_in))}"
    yield "--requeue"
    yield "--open-mode=append"


def _log(place: RunPlace, name: str) -> str:
    """Name the job's log; in a folder's name a % is no pattern of Slurm's."""
    folder = str(RunFiles(place.directory).logs).replace("%", "%%")
    return f"--output={option_value(f'{folder}/{name}.log')}"


def _text(
    settings: JobSettings, options: list[str], environment: Mapping[str, str], command: list[str]
) -> str:
    shell = "#!/bin/bash -l" if settings.setup else "#!/bin/bash"
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    start = f"exec {shell_path(settings.python)} -P -m {JOB_MODULE} {' '.join(command)}"
    parts = [
        [shell, *(f"#SBATCH {option}" for option in options)],
        [setup_line(line) for line in settings.setup],
        exports,
        [f"{start}  # in place of this shell, so that Slurm's signals reach it"],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"
