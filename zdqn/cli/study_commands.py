"""``zdqn study``, ``ablate`` and ``scale``: experiments of many runs, one command each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zdqn.cli.closing_words import say
from zdqn.cli.options import EXISTING_FILE, FOLDER, config_argument, set_option
from zdqn.cli.signals import exit_code_of, stop_on_signals

if TYPE_CHECKING:
    from zdqn.experiments.studies.study_entry import StudyEnd
    from zdqn.experiments.studies.study_plan import StudyPlan

_jobs_option = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="How many runs go at once; by default as many as have a core for each process.",
)
_study_dir_option = click.option(
    "--study-dir",
    type=FOLDER,
    help="Keep all files here, and go on with what is there; by default studies/NAME.",
)
_dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be trained, and train nothing."
)
_seeds_option = click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="How many seeds, from 0.",
)
_threshold_option = click.option(
    "--threshold",
    type=float,
    help="Return to which steps and time are counted; by default stop.evaluation_return.",
)
_last_option = click.option(
    "--final-evaluations",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="A run's final score is the mean of so many of its last evaluations.",
)


@click.command()
@click.argument("path", metavar="STUDY", type=EXISTING_FILE)
@set_option
@_jobs_option
@_study_dir_option
@_dry_run_option
def study(
    path: Path,
    overrides: tuple[str, ...],
    jobs: int | None,
    study_dir: Path | None,
    dry_run: bool,
) -> None:
    """Train variants with several seeds each, and compare them.

    STUDY is a TOML file; see docs/studies.md. The same command again goes on where it was left,
    and with nothing left to train draws tables and figures anew.

    Ctrl-C ends all runs cleanly; twice ends them at once.
    """
    from zdqn.experiments.studies.study_plan import load_study, plan_study

    plan = plan_study(load_study(path), path, overrides)
    _carry_out(plan, study_dir or Path("studies") / path.stem, jobs, dry_run=dry_run)


@click.command()
@config_argument
@set_option
@click.option(
    "--without",
    metavar="PART",
    multiple=True,
    help="Leave out this part, or several: replay+target; repeatable. By default each that is on.",
)
@click.option(
    "--command",
    type=click.Choice(("train", "run")),
    default="train",
    show_default=True,
    help="How each run is made.",
)
@_seeds_option
@_threshold_option
@_last_option
@_jobs_option
@_study_dir_option
@_dry_run_option
def ablate(
    config_path: Path,
    overrides: tuple[str, ...],
    without: tuple[str, ...],
    command: str,
    seeds: int,
    threshold: float | None,
    final_evaluations: int,
    jobs: int | None,
    study_dir: Path | None,
    dry_run: bool,
) -> None:
    """Train a configuration without each part of DQN that it has on.

    It is trained as it is, too. Parts are replay, target, double, dueling, n_step, prioritized,
    distribution, noisy and others; docs/studies.md says what is done without each.
    """
    from zdqn.config import load_config
    from zdqn.experiments.studies.study_parts import ablation
    from zdqn.experiments.studies.study_plan import checked_plan

    plan = checked_plan(
        ablation(load_config(config_path, overrides), without),
        source=str(config_path),
        title=f"Parts of {config_path.stem}",
        command=command,
        seeds=range(seeds),
        threshold=threshold,
        final_evaluations=final_evaluations,
    )
    _carry_out(
        plan, study_dir or Path("studies") / f"ablate-{config_path.stem}", jobs, dry_run=dry_run
    )


@click.command()
@config_argument
@set_option
@click.option(
    "--collectors",
    metavar="N,N,...",
    default="1,2,4,8",
    show_default=True,
    help="How many collectors, one study of all.",
)
@_seeds_option
@_threshold_option
@_last_option
@_jobs_option
@_study_dir_option
@_dry_run_option
def scale(
    config_path: Path,
    overrides: tuple[str, ...],
    collectors: str,
    seeds: int,
    threshold: float | None,
    final_evaluations: int,
    jobs: int | None,
    study_dir: Path | None,
    dry_run: bool,
) -> None:
    """Train with different numbers of collectors: how much faster?

    Each run is `zdqn run`, with all roles as processes of this machine.
    """
    from zdqn.config import load_config
    from zdqn.experiments.studies.study_parts import scaling
    from zdqn.experiments.studies.study_plan import checked_plan

    plan = checked_plan(
        scaling(load_config(config_path, overrides), _counts(collectors)),
        source=str(config_path),
        title=f"Collectors of {config_path.stem}",
        command="run",
        seeds=range(seeds),
        threshold=threshold,
        final_evaluations=final_evaluations,
    )
    _carry_out(
        plan, study_dir or Path("studies") / f"scale-{config_path.stem}", jobs, dry_run=dry_run
    )


def _counts(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise click.UsageError(
            f"--collectors is {text!r}. Give numbers with commas between them, such as 1,2,4,8.",
            click.get_current_context(silent=True),
        ) from None


def _carry_out(plan: StudyPlan, directory: Path, jobs: int | None, *, dry_run: bool) -> None:
    from zdqn.experiments.studies.study_entry import carry_out
    from zdqn.launch.logs import configure_logging

    if dry_run:
        _print_plan(plan, directory, jobs)
        return
    configure_logging("info")
    click.echo(f"study directory: {directory}", err=True)
    with stop_on_signals(sys.exit) as stop:
        end = carry_out(plan, directory, jobs=jobs, stop=stop)
    _conclude(end, stop.reason)


def _print_plan(plan: StudyPlan, directory: Path, jobs: int | None) -> None:
    from zdqn.experiments.studies.study_entry import cores
    from zdqn.experiments.studies.study_folder import StudyFiles
    from zdqn.experiments.studies.study_plan import default_jobs
    from zdqn.experiments.studies.study_ports import check_ports
    from zdqn.experiments.studies.study_results import differences

    runs, at_once = plan.runs(), jobs or default_jobs(plan, cores())
    check_ports(plan, StudyFiles(directory), at_once)
    click.echo(
        f"{plan.title}: {len(runs)} runs by zdqn {plan.command}, {at_once} at once, in {directory}"
    )
    for run in runs:
        click.echo(f"  {run.name}")
    for line in differences(plan):
        click.echo(line)


def _conclude(end: StudyEnd, reason: str) -> None:
    """Print what came of a study; the exit code says whether all of it was trained."""
    from zdqn.errors import RoleFailedError
    from zdqn.experiments.studies.study_results import score_lines

    for line in score_lines(end.outcome):
        click.echo(line)
    if end.results is not None:
        click.echo(f"results: {end.results}")
    if end.failed:
        names = "; ".join(f"{name}: {why}" for name, why in end.failed.items())
        raise RoleFailedError(
            f"{len(end.failed)} runs of the study failed, which the results lack: {names}. Their "
            f"logs are in the study's folder; the same command again tries them once more."
        )
    if end.stopped:
        say(f"{len(end.outcome.unfinished)} runs are left; the same command again goes on.",
            err=True)  # fmt: skip
        click.get_current_context().exit(exit_code_of(reason))
