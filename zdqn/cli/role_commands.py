"""``zdqn memory | learner | collector | evaluator``: one role in this process."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zdqn.cli.closing_words import print_summary
from zdqn.cli.options import (
    FOLDER,
    address_option,
    allow_code_option,
    bind_option,
    client_config,
    config_argument,
    insecure_option,
    keys_option,
    log_level_option,
    optional_config_argument,
    overwrite_option,
    resume_option,
    run_config,
    server_address,
    set_option,
    with_keys,
)
from zdqn.cli.signals import read_on_hangup, stop_on_signals
from zdqn.cli.sink_options import sink_options
from zdqn.launch.grace import ending_in_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from zdqn.roles.learner.role import Learner

_name_option = click.option("--name", help="What to call it in status and logs.")


def _announcer(role: str, run_directory: Path | None) -> Callable[[dict[str, str]], None]:
    """Print a server's endpoints when they are known, and leave them in the run directory."""
    from zdqn.records.endpoints import record_endpoints
    from zdqn.records.run_files import open_run_directory

    def announce(endpoints: dict[str, str]) -> None:
        for link, address in endpoints.items():
            click.echo(f"{role} {link}: {address}")
        if run_directory is not None:
            record_endpoints(open_run_directory(run_directory), role, endpoints)

    return announce


@click.command()
@config_argument
@set_option
@bind_option
@insecure_option
@keys_option
@click.option(
    "--run-dir",
    type=FOLDER,
    help="Write the real addresses into DIR/endpoints.json, and the replay, if it is kept, there.",
)
@log_level_option
def memory(
    config_path: Path,
    overrides: tuple[str, ...],
    bind: str | None,
    insecure: bool,
    keys: Path | None,
    run_dir: Path | None,
    log_level: str,
) -> None:
    """Store transitions and deal out batches of them."""
    from zdqn.config import load_config
    from zdqn.launch.descriptors import raise_limit
    from zdqn.launch.logs import configure_logging
    from zdqn.roles.memory import Memory

    configure_logging(log_level)
    raise_limit()
    config = with_keys(load_config(config_path, overrides), keys)
    with (
        stop_on_signals() as stop,
        Memory(
            config,
            bind=bind,
            insecure=insecure,
            run_directory=run_dir,
            on_bound=_announcer("memory", run_dir),
            stop=stop,
        ) as role,
        read_on_hangup(role.read_keys_again, stop),
    ):
        role.run()


@click.command()
@optional_config_argument
@set_option
@address_option("memory")
@bind_option
@insecure_option
@keys_option
@click.option("--run-dir", type=FOLDER, help="Write results here, not into a new folder.")
@resume_option
@overwrite_option
@click.option(
    "--preemptible",
    is_flag=True,
    help="At SIGTERM save a checkpoint and go away (exit code 75), and let the run wait; begin or "
    "go on in --run-dir, whichever it finds.",
)
@log_level_option
@sink_options
def learner(
    config_path: Path | None,
    overrides: tuple[str, ...],
    memory: str | None,
    bind: str | None,
    insecure: bool,
    keys: Path | None,
    run_dir: Path | None,
    resume: Path | None,
    overwrite: bool,
    preemptible: bool,
    log_level: str,
) -> None:
    """Learn from batches; serve weights, actions and snapshots.

    CONFIG is a TOML file; a run that is gone on with has its own.
    """
    from zdqn.launch.descriptors import raise_limit
    from zdqn.launch.entry import finish
    from zdqn.launch.logs import configure_logging
    from zdqn.records.run_files import chosen_run_directory

    configure_logging(log_level)
    raise_limit()
    make = _learner_that(run_dir, resume=resume, overwrite=overwrite, preemptible=preemptible)
    config = with_keys(run_config(config_path, resume, overrides), keys)
    memory = server_address(memory, config.memory.bind, server="memory")
    stem = config_path.stem if config_path is not None else ""
    chosen = chosen_run_directory(run_dir, resume, parent=config.run.directory, stem=stem)
    with chosen as directory, stop_on_signals() as stop:
        click.echo(f"run directory: {directory}")
        with (
            make(
                config,
                memory=memory,
                run_directory=directory,
                bind=bind,
                insecure=insecure,
                on_bound=_announcer("learner", directory),
                stop=stop,
            ) as role,
            read_on_hangup(role.read_keys_again, stop),
        ):
            role.run()
            result = finish(directory)
    print_summary(result.to_dict())


def _learner_that(
    run_dir: Path | None, *, resume: Path | None, overwrite: bool, preemptible: bool
) -> Callable[..., Learner]:
    """Choose the learner: one that finds out itself whether to go on, or one that is told."""
    from zdqn.errors import UsageError
    from zdqn.roles.learner.role import Learner

    if not preemptible:
        return partial(Learner, resume=resume, overwrite=overwrite)
    if run_dir is None or resume is not None or overwrite:
        raise UsageError(
            "--preemptible begins the run in --run-dir, or goes on with it, whichever it finds. "
            "Give --run-dir, and neither --resume nor --overwrite."
        )
    from zdqn.roles.learner.preemptible import PreemptibleLearner

    return PreemptibleLearner


@click.command()
@optional_config_argument
@set_option
@address_option("memory")
@address_option("learner")
@_name_option
@keys_option
@allow_code_option
@log_level_option
def collector(
    config_path: Path | None,
    overrides: tuple[str, ...],
    memory: str | None,
    learner: str | None,
    name: str | None,
    keys: Path | None,
    allow_code: tuple[str, ...],
    log_level: str,
) -> None:
    """Step environments and send what happens to the memory.

    Without CONFIG it takes the configuration from the learner, and the memory's address too.
    """
    from zdqn.config import Config
    from zdqn.launch.descriptors import raise_limit
    from zdqn.launch.logs import configure_logging
    from zdqn.roles.collector import Collector

    configure_logging(log_level)
    raise_limit()
    config = client_config(config_path, overrides)
    learner = server_address(learner, (config or Config()).learner.bind, server="learner")
    with (
        stop_on_signals() as stop,
        Collector(
            config,
            learner=learner,
            memory=memory,
            name=name,
            keys=keys,
            allow_code=allow_code,
            stop=stop,
        ) as role,
        ending_in_time(role, stop),
    ):
        role.run()


@click.command()
@optional_config_argument
@set_option
@address_option("learner")
@_name_option
@keys_option
@allow_code_option
@log_level_option
def evaluator(
    config_path: Path | None,
    overrides: tuple[str, ...],
    learner: str | None,
    name: str | None,
    keys: Path | None,
    allow_code: tuple[str, ...],
    log_level: str,
) -> None:
    """Score the learner's snapshots.

    Without CONFIG it takes the configuration from the learner.
    """
    from zdqn.config import Config
    from zdqn.launch.descriptors import raise_limit
    from zdqn.launch.logs import configure_logging
    from zdqn.roles.evaluator import Evaluator

    configure_logging(log_level)
    raise_limit()
    config = client_config(config_path, overrides)
    learner = server_address(learner, (config or Config()).learner.bind, server="learner")
    with (
        stop_on_signals() as stop,
        Evaluator(
            config, learner=learner, name=name, keys=keys, allow_code=allow_code, stop=stop
        ) as role,
        ending_in_time(role, stop),
    ):
        role.run()
