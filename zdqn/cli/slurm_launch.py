"""What ``zdqn launch --slurm`` does: the batch files, shown, looked at, or submitted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from zdqn.cli.closing_words import say
from zdqn.cli.host_findings import show_findings

if TYPE_CHECKING:
    from zdqn.launch.slurm.slurm_plan import SlurmPlan


class SlurmLaunch(NamedTuple):
    """What was typed.

    Attributes:
        path: of the cluster's file.
        overrides: what ``--set`` gave.
        run_directory: that was named, or None.
        resume: run directory to go on with, or None.
        log_level: of all roles.
        secure: make keys.
    """

    path: Path
    overrides: tuple[str, ...]
    run_directory: Path | None
    resume: Path | None
    log_level: str
    secure: bool


def refuse_with_slurm(*, local: bool, detach: bool, verbose: bool) -> None:
    """Refuse options that mean something else to ssh, and nothing to Slurm.

    Raises:
        UsageError: naming the first.
    """
    from zdqn.errors import UsageError

    reasons = {
        "--local": (local, "plays hosts with processes of this machine, without Slurm"),
        "--detach": (detach, "leaves a run to its hosts, and jobs are left to Slurm anyway"),
        "--verbose": (verbose, "is about the screen; `zdqn logs RUN_DIR -f` shows all"),
    }
    for option, (given, why) in reasons.items():
        if given:
            raise UsageError(f"{option} and --slurm: {option} {why}. Leave one of them out.")


def launch_on_slurm(asked: SlurmLaunch, *, check: bool, dry_run: bool) -> None:
    """Submit a run, or show or look at what would be submitted."""
    from zdqn.launch.slurm.batch_files import RunPlace
    from zdqn.launch.slurm.slurm_checks import look_at_slurm
    from zdqn.launch.slurm.slurm_entry import Submission, describe_submission, submit_run
    from zdqn.launch.waiting import shown_progress
    from zdqn.records.run_files import chosen_run_directory

    plan = _plan(asked)
    if check or dry_run:
        directory = asked.run_directory or asked.resume or _example(plan, asked.path.stem)
        place = RunPlace(directory.absolute(), Path.cwd())
        if dry_run:
            for line in describe_submission(plan, place):
                click.echo(line)
        else:
            with shown_progress("looking at Slurm, and at the Python of its jobs"):
                findings = look_at_slurm(plan, place)
            show_findings(findings)
        return
    chosen = chosen_run_directory(
        asked.run_directory,
        asked.resume,
        parent=plan.config.run.directory,
        stem=asked.path.stem,
    )
    with chosen as directory:
        click.echo(f"run directory: {directory}", err=True)
        submission = Submission(
            RunPlace(directory.absolute(), Path.cwd()),
            secure=asked.secure,
            resume=asked.resume is not None,
            log_level=asked.log_level,
        )
        with shown_progress("looking at Slurm, and submitting the run"):
            record = submit_run(plan, submission)
    for name, job in record.jobs.items():
        click.echo(f"submitted job {job}, {name}")
    say(f"`zdqn status {directory}` shows the run and its jobs, `zdqn logs {directory} -f` what "
        f"they say, `zdqn stop {directory}` ends it.")  # fmt: skip


def _plan(asked: SlurmLaunch) -> SlurmPlan:
    from zdqn.launch.cluster.cluster_file import load_cluster, load_cluster_config
    from zdqn.launch.slurm.slurm_plan import plan_slurm, unused_keys

    cluster = load_cluster(asked.path)
    config = load_cluster_config(cluster, asked.path, asked.overrides)
    plan = plan_slurm(cluster, config, source=asked.path)
    for sentence in unused_keys(cluster):
        say(f"note: {sentence}", err=True)
    return plan


def _example(plan: SlurmPlan, stem: str) -> Path:
    """Give the folder of a run that is not made: the time of a real one is in its name."""
    return Path(plan.config.run.directory) / f"TIME-{stem}"
