"""``zdqn run`` and ``zdqn train``: a whole training from one command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zdqn.cli.options import (
    FOLDER,
    config_argument,
    insecure_option,
    log_level_option,
    set_option,
)
from zdqn.cli.signals import stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Mapping

_run_dir_option = click.option(
    "--run-dir", type=FOLDER, help="Write results here, not into a new folder of run.directory."
)
_seed_option = click.option("--seed", type=click.IntRange(min=0), help="Sets run.seed.")


@click.command()
@config_argument
@set_option
@click.option("--collectors", type=click.IntRange(min=1), help="Sets launch.collectors.")
@click.option("--evaluators", type=click.IntRange(min=0), help="Sets launch.evaluators.")
@_seed_option
@_run_dir_option
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN_DIR",
    help="Go on from the newest checkpoint of a run, in its folder unless --run-dir is given.",
)
@insecure_option
@log_level_option
def run(
    config_path: Path,
    overrides: tuple[str, ...],
    collectors: int | None,
    evaluators: int | None,
    seed: int | None,
    run_dir: Path | None,
    resume: Path | None,
    insecure: bool,
    log_level: str,
) -> None:
    """Train with all roles as processes of this machine.

    Ctrl-C ends the run cleanly; twice ends it at once.
    """
    from zdqn.config import load_config
    from zdqn.launch import entry
    from zdqn.launch.logs import configure_logging
    from zdqn.records.run_files import choose_run_directory

    configure_logging(log_level)
    short = {
        "launch.collectors": collectors,
        "launch.evaluators": evaluators,
        "run.seed": seed,
    }
    config = load_config(config_path, (*overrides, *_as_overrides(short)))
    run_dir = choose_run_directory(
        run_dir, resume, parent=config.run.directory, stem=config_path.stem
    )
    click.echo(f"run directory: {run_dir}", err=True)
    with stop_on_signals(sys.exit) as stop:
        summary = entry.run(
            config,
            run_directory=run_dir,
            resume=resume,
            insecure=insecure,
            log_level=log_level,
            stop=stop,
        )
    _print_summary(summary)


@click.command()
@config_argument
@set_option
@_seed_option
@_run_dir_option
@log_level_option
def train(
    config_path: Path,
    overrides: tuple[str, ...],
    seed: int | None,
    run_dir: Path | None,
    log_level: str,
) -> None:
    """Train in one process, without sockets; the same seed gives the same weights."""
    from zdqn.config import load_config
    from zdqn.launch import entry
    from zdqn.launch.logs import configure_logging
    from zdqn.records.run_files import choose_run_directory

    configure_logging(log_level)
    config = load_config(config_path, (*overrides, *_as_overrides({"run.seed": seed})))
    run_dir = choose_run_directory(
        run_dir, None, parent=config.run.directory, stem=config_path.stem
    )
    click.echo(f"run directory: {run_dir}", err=True)
    with stop_on_signals() as stop:
        summary = entry.train(config, run_directory=run_dir, stop=stop)
    _print_summary(summary)


def _as_overrides(values: Mapping[str, int | None]) -> list[str]:
    return [f"{key}={value}" for key, value in values.items() if value is not None]


def _print_summary(summary: Mapping[str, Any]) -> None:
    from zdqn.launch.summary import summary_lines

    for line in summary_lines(summary):
        click.echo(line)
