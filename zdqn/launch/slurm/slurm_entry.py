"""A run of Slurm from its file to its jobs: looked at, written down, submitted."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zdqn.errors import FileError, RunDirectoryTakenError, ZdqnError
from zdqn.launch.cluster.cluster_record import own_keys_of
from zdqn.launch.cluster.preflight import refuse_what_is_bad
from zdqn.launch.slurm import slurm_commands
from zdqn.launch.slurm.batch_files import (
    SERVERS,
    RunPlace,
    array_file,
    array_name,
    batch_files,
    submit_commands,
)
from zdqn.launch.slurm.run_stage import RunStage, read_stage, write_stage
from zdqn.launch.slurm.slurm_checks import look_at_slurm
from zdqn.launch.slurm.slurm_plan import SlurmPlan
from zdqn.launch.slurm.slurm_record import (
    SlurmRecord,
    is_slurm,
    read_slurm_record,
    record_file,
    write_slurm_record,
)
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_files import RunFiles, open_run_directory
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.private_files import replace_private


@dataclass(frozen=True)
class Submission:
    """How a run is submitted.

    Attributes:
        place: where it is.
        secure: make keys, so that every link is encrypted and joined by this run's jobs alone.
        resume: go on with the run that is there.
        log_level: of all roles.
    """

    place: RunPlace
    secure: bool = True
    resume: bool = False
    log_level: str = "info"


def describe_submission(plan: SlurmPlan, place: RunPlace) -> list[str]:
    """Give the batch files and the commands of a submission, as they would be."""
    lines = []
    for name, text in batch_files(plan, place).items():
        lines += [f"# --- {place.batch_file(name)}", *text.splitlines(), ""]
    return [*lines, "# --- the commands", *submit_commands(plan, place)]


def submit_run(plan: SlurmPlan, submission: Submission) -> SlurmRecord:
    """Write down a run in its folder, and submit its jobs.

    Args:
        plan: of the run.
        submission: how.

    Returns:
        What was submitted.

    Raises:
        ZdqnError: why it was not; nothing of it is in the queue then.
    """
    place, directory = submission.place, submission.place.directory
    refuse_what_is_bad(look_at_slurm(plan, place))
    _check_not_queued(directory)
    made = [path for path in _made_by_us(place) if not path.exists()]
    resume = directory if submission.resume else None
    with RunClaim(directory, resume=resume, launching=True):  # held no more by the time jobs begin
        _prepare(plan, submission)
    record = SlurmRecord(
        plan, place.started_in, secure=submission.secure, log_level=submission.log_level
    )
    try:
        return _submit(record, place)
    except BaseException:
        _remove(made)
        raise


def add_collectors(directory: Path, count: int) -> tuple[SlurmRecord, str]:
    """Submit another array of collectors for a run that goes on.

    Args:
        directory: of the run.
        count: how many.

    Returns:
        What is submitted now, and the name of the new array.

    Raises:
        ZdqnError: why it was not.
    """
    record = read_slurm_record(directory)
    plan = record.plan.with_array(count)
    place, array = record.place(directory), plan.arrays[-1]
    name = array_name(array)
    _write_file(place, name, array_file(plan, array, place))
    job = slurm_commands.submit(place.batch_file(name), after=record.servers_job)
    added = SlurmRecord(
        plan, record.started_in, record.secure, record.log_level, {**record.jobs, name: job}
    )
    write_slurm_record(directory, added)
    return added, name


def _check_not_queued(directory: Path) -> None:
    """Refuse a folder whose jobs are in the queue still: two learners would write there."""
    if not is_slurm(directory):
        return
    numbers = read_slurm_record(directory).jobs.values()
    there = slurm_commands.of_run(slurm_commands.queued_jobs(), numbers)
    if there:
        raise RunDirectoryTakenError(
            f"The run in {directory} has jobs in Slurm's queue: "
            f"{', '.join(sorted({job.array for job in there}))}. They go on with it by themselves; "
            f"or end them first with `zdqn stop {directory}`."
        )


def _prepare(plan: SlurmPlan, submission: Submission) -> None:
    """Make what jobs find in the run's folder."""
    place, directory = submission.place, submission.place.directory
    open_run_directory(RunFiles(directory).logs)
    open_run_directory(place.batch_file(SERVERS).parent)
    if submission.secure and not own_keys_of(directory).exists():
        KeyFolder(own_keys_of(directory)).init()
    for name, text in batch_files(plan, place).items():
        _write_file(place, name, text)
    write_stage(directory, RunStage(start=read_stage(directory).start))


def _write_file(place: RunPlace, name: str, text: str) -> None:
    """Write a batch file for its owner alone: variables of roles may be secrets."""
    path = place.batch_file(name)
    try:
        replace_private(path, text)
    except OSError as error:
        raise FileError(f"Cannot write {path}: {error.strerror}.") from error


def _submit(record: SlurmRecord, place: RunPlace) -> SlurmRecord:
    """Submit the servers, then the arrays, each of which begins after them; all or nothing."""
    directory = place.directory
    write_slurm_record(directory, record)  # the jobs read it
    try:
        job = slurm_commands.submit(place.batch_file(SERVERS))
        record = record.with_job(SERVERS, job)
        write_slurm_record(directory, record)
        for array in record.plan.arrays:
            path = place.batch_file(array_name(array))
            job = slurm_commands.submit(path, after=record.servers_job)
            record = record.with_job(array_name(array), job)
            write_slurm_record(directory, record)
    except BaseException:
        with suppress(ZdqnError):  # which the first error explains as well
            slurm_commands.cancel(list(record.jobs.values()))
        raise
    return record


def _made_by_us(place: RunPlace) -> list[Path]:
    """List what a submission makes; what is in each comes before it."""
    directory, folder = place.directory, place.batch_file(SERVERS).parent
    logs = RunFiles(directory).logs
    return [record_file(directory), own_keys_of(directory), folder, logs, directory]


def _remove(paths: list[Path]) -> None:
    """Take away what a submission has made that did not come to be."""
    for path in paths:
        with suppress(OSError):  # something else is in it
            if path.name in ("keys", "slurm"):
                shutil.rmtree(path)
            elif path.is_dir():
                path.rmdir()
            else:
                path.unlink()
