"""``zdqn chaos``: a run whose roles are killed again and again, to see that it bears it."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path

import click

from zdqn.cli.options import (
    FOLDER,
    config_argument,
    keys_option,
    log_level_option,
    overwrite_option,
    set_option,
)
from zdqn.cli.signals import stop_on_signals

_ROLES = ("memory", "learner", "collector", "evaluator")
_DONE = {"KILL": "killed", "TERM": "ended", "STOP": "stopped"}
_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "min": 60.0}


class Duration(click.ParamType[float]):
    """Seconds, with or without a unit."""

    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read such as ``5s``, ``500ms``, ``2min`` or ``5``."""
        read = re.fullmatch(r"(\d+\.?\d*)\s*(ms|s|min|)", str(value))
        seconds = float(read[1]) * _UNITS[read[2]] if read else 0.0
        if not seconds > 0:
            self.fail(f"{value!r} is no time above 0. Write such as 5s, 500ms or 2min.", param, ctx)
        return seconds


@click.command()
@config_argument
@set_option
@click.option(
    "--every",
    "every_s",
    type=Duration(),
    default="5s",
    show_default=True,
    help="Mean time between two strikes; each differs from it by half of it at most.",
)
@click.option(
    "--role",
    "roles",
    type=click.Choice(_ROLES),
    multiple=True,
    help="Strike this role; repeatable. By default every role.",
)
@click.option(
    "--signal",
    "signal_name",
    type=click.Choice(tuple(_DONE)),
    default="KILL",
    show_default=True,
    help="What to strike with. STOP stops a role for about as long as --every says.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of whom to strike, and when.")
@click.option("--run-dir", type=FOLDER, help="Write results here, not into a new folder.")
@overwrite_option
@keys_option
@log_level_option
@click.option("-v", "--verbose", is_flag=True, help="Show all that is logged.")
def chaos(
    config_path: Path,
    overrides: tuple[str, ...],
    every_s: float,
    roles: tuple[str, ...],
    signal_name: str,
    seed: int,
    run_dir: Path | None,
    overwrite: bool,
    keys: Path | None,
    log_level: str,
    verbose: bool,
) -> None:
    """Train as `zdqn run` does, while random roles are killed.

    CONFIG is a TOML file. What is killed is started again, a learner from its newest checkpoint
    (see learner.checkpoint_period_updates); that is not counted in launch.max_restarts. The exit
    code is 0 if the run ended well, every role came back, and every block is accounted for.
    """
    import numpy as np

    from zdqn.cli.options import with_keys
    from zdqn.config import load_config
    from zdqn.errors import RoleFailedError, UsageError
    from zdqn.launch import entry
    from zdqn.launch.chaos import Chaos
    from zdqn.launch.chaos_report import (
        NO_ACCOUNT,
        account_fault,
        account_lines,
        closing_line,
        ended_without_learner,
        strike_table,
    )
    from zdqn.launch.logs import configure_logging
    from zdqn.launch.plan import RunArguments
    from zdqn.launch.strikes import SIGNALS, Strikes
    from zdqn.records.run_files import RunFiles, chosen_run_directory
    from zdqn.wire.keys.role_keys import open_keys

    configure_logging(log_level)
    chosen = [role for role in roles or _ROLES if signal_name != "TERM" or role != "learner"]
    if not chosen:
        raise UsageError(
            "--role is learner and --signal is TERM, but a learner that a signal tells to end ends "
            "the run. Take --signal KILL, or another role."
        )
    config = with_keys(load_config(config_path, overrides), keys)
    with (
        chosen_run_directory(
            run_dir, None, parent=config.run.directory, stem=config_path.stem
        ) as directory,
        stop_on_signals(sys.exit) as stop,
    ):
        click.echo(f"run directory: {directory}", err=True)
        strikes = Strikes(np.random.default_rng(seed), every_s=every_s, roles=chosen)
        with Chaos(
            strikes,
            SIGNALS[signal_name],
            run_directory=directory,
            stop=stop,
            keys=open_keys(config.security.keys, "operator"),
        ) as companion:
            try:
                result = entry.run_processes(
                    config,
                    RunArguments(run_directory=directory, overwrite=overwrite),
                    show=partial(companion.show, verbose=verbose),
                    log_level=log_level,
                    stop=stop,
                    companion=companion,
                )
            finally:
                for line in strike_table(companion.recoveries, _DONE[signal_name]):
                    click.echo(line)
    if companion.failure is not None:
        raise companion.failure
    if stop.is_set() and ended_without_learner(companion.recoveries, result.summary):
        click.echo(NO_ACCOUNT)
        return
    for line in account_lines(result.summary):
        click.echo(line)
    fault = account_fault(result.summary, companion.blocks_told)
    if fault:
        raise RoleFailedError(f"{fault} The logs are in {RunFiles(directory).logs}.")
    click.echo(closing_line(companion.recoveries))
