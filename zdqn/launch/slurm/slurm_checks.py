"""What would keep a run from working as jobs of Slurm, as far as it can be seen before."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from zdqn.errors import (
    ConfigError,
    FileError,
    MismatchError,
    NotAllowedError,
    PeerUnavailableError,
    ZdqnError,
    did_you_mean,
)
from zdqn.launch.cluster.preflight import HostFinding
from zdqn.launch.cluster.versions import zdqn_version
from zdqn.launch.shell_words import setup_line, shell_path
from zdqn.launch.slurm import slurm_commands
from zdqn.launch.slurm.batch_files import RunPlace, batch_files
from zdqn.launch.slurm.slurm_plan import JobSettings, SlurmPlan

_COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")
_START_S = 60.0
_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "overlay", "ramfs"})
_MARK = "zdqn-version:"
_NO_ZDQN = "No module named"


def look_at_slurm(plan: SlurmPlan, place: RunPlace) -> list[HostFinding]:
    """Look at Slurm, at the Python of each kind of job, and at the run's folder; start nothing.

    Args:
        plan: of the run.
        place: where it is to be; it need not be there.
    """
    missing = [name for name in _COMMANDS if shutil.which(name) is None]
    if missing:
        text = f"there is no {', '.join(missing)} on PATH"
        way = "Log in to a machine from which jobs are submitted, or load Slurm's module."
        slurm = [HostFinding("slurm", "bad", text, way, FileError.exit_code)]
    else:
        slurm = [*_partitions(plan), *_judgements(plan, place)]
    return [*slurm, *_pythons(plan), *_folder(place.directory)]


def _kinds(plan: SlurmPlan) -> dict[str, JobSettings]:
    return {"servers": plan.servers, "collectors": plan.collectors}


def _partitions(plan: SlurmPlan) -> Iterator[HostFinding]:
    try:
        known = slurm_commands.partitions()
    except ZdqnError as error:
        yield HostFinding("slurm", "bad", str(error), exit_code=error.exit_code)
        return
    for kind, settings in _kinds(plan).items():
        for name in filter(None, settings.partition.split(",")):
            if name not in known:
                yield HostFinding(
                    kind,
                    "bad",
                    f'there is no partition "{name}"',
                    did_you_mean(name, known, label="There are"),
                    ConfigError.exit_code,
                )


def _judgements(plan: SlurmPlan, place: RunPlace) -> Iterator[HostFinding]:
    """Have Slurm judge each batch file, as it would at its submission."""
    for name, text in batch_files(plan, place).items():
        try:
            said = slurm_commands.judge(text)
        except ZdqnError as error:
            yield HostFinding(name, "bad", str(error), exit_code=error.exit_code)
        else:
            yield HostFinding(name, "good", f"Slurm would take it: {said.removeprefix('sbatch: ')}")


def _pythons(plan: SlurmPlan) -> Iterator[HostFinding]:
    """Run the Python of each kind of job here, set up as there."""
    seen: dict[tuple[object, ...], HostFinding] = {}
    for kind, settings in _kinds(plan).items():
        key = (settings.python, settings.setup, tuple(settings.environment.items()))
        if key not in seen:
            seen[key] = _python(kind, settings)
            yield seen[key]


def _python(kind: str, settings: JobSettings) -> HostFinding:
    program = (
        f"from zdqn.launch.cluster.versions import zdqn_version; print('{_MARK}' + zdqn_version())"
    )
    lines = [setup_line(line) for line in settings.setup]
    script = "\n".join([*lines, f'exec {shell_path(settings.python)} -P -c "{program}"'])
    try:
        done = subprocess.run(  # noqa: S603 - what the user's file says is to run
            ["bash", *(["-l"] if settings.setup else []), "-c", script],  # noqa: S607
            env={**os.environ, **settings.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_START_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        text = f"{settings.python} has not started within {_START_S:.0f} s here"
        return HostFinding(kind, "bad", text, exit_code=PeerUnavailableError.exit_code)
    last = (done.stderr.strip().splitlines() or [""])[-1]
    version = next(
        (line.removeprefix(_MARK) for line in done.stdout.splitlines() if line.startswith(_MARK)),
        "",
    )
    if done.returncode or not version:
        return HostFinding(
            kind,
            "bad",
            f"its python, {settings.python}, does not run zdqn here: {last}",
            'Give one that has it, such as python = "~/venv/bin/python" in [defaults], or the '
            "setup lines that it needs.",
            (MismatchError if _NO_ZDQN in done.stderr else ConfigError).exit_code,  # as over ssh
        )
    if version != zdqn_version():
        return HostFinding(
            kind,
            "bad",
            f"its python, {settings.python}, has zdqn {version}, and this is {zdqn_version()}",
            "Have the same in both.",
            MismatchError.exit_code,
        )
    return HostFinding(kind, "good", f"{settings.python} has zdqn {version}")


def _folder(directory: Path) -> Iterator[HostFinding]:
    there = next(path for path in (directory, *directory.parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        yield HostFinding(
            "folder",
            "bad",
            f"{there} is not writable, and {directory} would be there",
            "Give another --run-dir, on a file system that all nodes see.",
            FileError.exit_code,
        )
        return
    found = directory.stat() if directory.exists() else None
    if found is not None and (found.st_uid != os.geteuid() or found.st_mode & stat.S_IWOTH):
        yield HostFinding(
            "folder",
            "bad",
            f"{directory} is another user's, or others can write to it: what they put in the place "
            f"of its batch files would run as yours",
            f"`chmod go-w {directory}` if it is yours, or give another --run-dir.",
            NotAllowedError.exit_code,
        )
        return
    kind = file_system_of(there, Path("/proc/self/mounts"))
    if kind in _LOCAL:
        yield HostFinding(
            "folder",
            "odd",
            f"{there} is on {kind}, which is a disk of this machine alone as a rule",
            "The nodes have to see it under this name: give a --run-dir on a shared file system.",
        )
    else:
        yield HostFinding("folder", "good", f"{there} is writable, on {kind or 'a file system'}")


def file_system_of(path: Path, mounts: Path) -> str:
    """Give the kind of file system that a path is on, such as ``nfs4``; "" if it is not known.

    Args:
        path: that is there.
        mounts: the list of the machine's, as ``/proc/self/mounts``.
    """
    best, kind = Path(), ""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, where, found, *_ = line.split()
        point = Path(where.replace("\\040", " "))
        if path.resolve().is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, found
    return kind
