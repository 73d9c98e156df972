"""``zdqn run`` and ``zdqn train``: a whole training from one command."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zdqn.cli.closing_words import print_summary
from zdqn.cli.dashboard_command import dashboard_beside
from zdqn.cli.options import (
    FOLDER,
    insecure_option,
    keys_option,
    log_level_option,
    optional_config_argument,
    overwrite_option,
    resume_option,
    run_config,
    set_option,
)
from zdqn.cli.signals import stop_on_signals
from zdqn.cli.sink_options import sink_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zdqn.config import Config

_run_dir_option = click.option(
    "--run-dir", type=FOLDER, help="Write results here, not into a new folder of run.directory."
)
_verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Show all that is logged, not warnings and errors alone."
)
_seed_option = click.option("--seed", type=click.IntRange(min=0), help="Sets run.seed.")


@click.command()
@optional_config_argument
@set_option
@click.option("--collectors", type=click.IntRange(min=1), help="Sets launch.collectors.")
@click.option("--evaluators", type=click.IntRange(min=0), help="Sets launch.evaluators.")
@_seed_option
@_run_dir_option
@resume_option
@overwrite_option
@insecure_option
@keys_option
@log_level_option
@_verbose_option
@sink_options
@click.option("--dashboard", is_flag=True, help="Show it as a page in a browser too.")
def run(
    config_path: Path | None,
    overrides: tuple[str, ...],
    collectors: int | None,
    evaluators: int | None,
    seed: int | None,
    run_dir: Path | None,
    resume: Path | None,
    overwrite: bool,
    insecure: bool,
    keys: Path | None,
    log_level: str,
    verbose: bool,
    dashboard: bool,
) -> None:
    """Train with all roles as processes of this machine.

    CONFIG is a TOML file; a run that is gone on with has its own.

    Ctrl-C ends the run cleanly; twice ends it at once.
    """
    from zdqn.launch import entry
    from zdqn.launch.logs import configure_logging

    configure_logging(log_level)
    short = {
        "launch.collectors": collectors,
        "launch.evaluators": evaluators,
        "run.seed": seed,
    }
    config = run_config(config_path, resume, (*overrides, *_as_overrides(short)))
    with (
        _chosen(config, config_path, run_dir, resume) as run_dir,
        stop_on_signals(sys.exit) as stop,
        dashboard_beside(dashboard, run_dir, keys or config.security.keys, config),
    ):
        result = entry.run(
            config,
            run_directory=run_dir,
            resume=resume,
            overwrite=overwrite,
            insecure=insecure,
            keys=keys,
            log_level=log_level,
            stop=stop,
            verbose=verbose,
        )
    print_summary(result.to_dict())


@click.command()
@optional_config_argument
@set_option
@_seed_option
@_run_dir_option
@resume_option
@overwrite_option
@insecure_option
@log_level_option
@_verbose_option
@sink_options
def train(
    config_path: Path | None,
    overrides: tuple[str, ...],
    seed: int | None,
    run_dir: Path | None,
    resume: Path | None,
    overwrite: bool,
    insecure: bool,
    log_level: str,
    verbose: bool,
) -> None:
    """Train in one process: the same seed gives the same weights.

    It has no sockets. CONFIG is a TOML file; a run that is gone on with has its own.

    Ctrl-C ends the training cleanly; twice ends it at once.
    """
    from zdqn.launch import entry
    from zdqn.launch.canvas import exit_at_once
    from zdqn.launch.logs import configure_logging

    configure_logging(log_level)
    config = run_config(config_path, resume, (*overrides, *_as_overrides({"run.seed": seed})))
    with (
        _chosen(config, config_path, run_dir, resume) as run_dir,
        stop_on_signals(exit_at_once) as stop,
    ):
        result = entry.train(
            config,
            run_directory=run_dir,
            resume=resume,
            overwrite=overwrite,
            insecure=insecure,
            stop=stop,
            verbose=verbose,
        )
    print_summary(result.to_dict())


@contextmanager
def _chosen(
    config: Config, config_path: Path | None, given: Path | None, resume: Path | None
) -> Iterator[Path]:
    """Choose the run directory, and say which it is."""
    from zdqn.records.run_files import chosen_run_directory

    stem = config_path.stem if config_path is not None else ""
    with chosen_run_directory(given, resume, parent=config.run.directory, stem=stem) as chosen:
        click.echo(f"run directory: {chosen}", err=True)
        yield chosen


def _as_overrides(values: Mapping[str, int | None]) -> list[str]:
    return [f"{key}={value}" for key, value in values.items() if value is not None]
