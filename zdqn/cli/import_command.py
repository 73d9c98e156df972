"""``zdqn import``: experience that exists already, into a running memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zdqn.cli.closing_words import say
from zdqn.cli.options import keys_option, log_level_option, optional_config_argument, set_option
from zdqn.cli.signals import exit_code_of, stop_on_signals

if TYPE_CHECKING:
    from zdqn.records.experience import Experience
    from zdqn.roles.importer import ImportResult


@click.command("import")
@click.argument("dataset", metavar="DATASET")
@optional_config_argument
@set_option
@click.option("--memory", metavar="ADDR", required=True, help="Where the memory is.")
@click.option(
    "--count",
    is_flag=True,
    help="Have the learner sample what is imported replay.samples_per_insert times, as what is "
    "collected, and wait for it.",
)
@keys_option
@log_level_option
def import_(
    dataset: str,
    config_path: Path | None,
    overrides: tuple[str, ...],
    memory: str,
    count: bool,
    keys: Path | None,
    log_level: str,
) -> None:
    """Send experience that exists already to a memory.

    DATASET is an .npz file, or the name or folder of a Minari data set; docs/python.md says what
    must be in it. CONFIG is the run's configuration; without it the memory says what it must know,
    once anybody has told it what the environment looks like.

    All of it is checked before anything is sent. What is imported counts as nobody's environment
    steps, and unless --count is given, no samples are owed for it.
    """
    from zdqn.errors import MismatchError, PeerUnavailableError, UsageError
    from zdqn.launch.canvas import exit_at_once
    from zdqn.launch.logs import configure_logging
    from zdqn.launch.waiting import shown_progress
    from zdqn.records.experience import open_experience
    from zdqn.roles.importer import Importer

    configure_logging(log_level)
    config = None
    if config_path is not None:
        from zdqn.config import load_config

        config = load_config(config_path, overrides)
    elif overrides:
        raise UsageError(
            f'--set "{overrides[0]}" needs a CONFIG file to change: without one the memory says '
            f"what must be known. Name the file that the memory was given."
        )
    with shown_progress(f"reading {dataset}") as progress:
        experience = open_experience(dataset)
        with stop_on_signals(exit_at_once) as stop:
            progress.begin("importing", experience.steps - experience.left_out, "steps")
            with Importer(
                experience,
                config,
                memory=memory,
                counts=count,
                keys=keys,
                on_progress=progress,
                stop=stop,
            ) as role:
                result = role.run()
    _say_what_came_of_it(dataset, experience, result)
    if result.blocks_refused:
        raise click.exceptions.Exit(MismatchError.exit_code)
    if not result.complete:
        code = exit_code_of(stop.reason) if stop.reason else PeerUnavailableError.exit_code
        raise click.exceptions.Exit(code)


def _say_what_came_of_it(dataset: str, experience: Experience, result: ImportResult) -> None:
    refused = f", refused {result.blocks_refused:,}" if result.blocks_refused else ", refused none"
    missing = f", and has not confirmed {result.blocks_missing:,}" if result.blocks_missing else ""
    left_out = ""
    if experience.left_out:
        left_out = (
            f" {experience.left_out:,} more were left out: nothing is known of what was observed "
            f"after them."
        )
    say(
        f"sent {result.transitions_sent:,} transitions, of {result.steps:,} steps of {dataset}, in "
        f"{result.blocks_sent:,} blocks; the memory stored {result.blocks_stored:,} of these"
        f"{refused}{missing}.{left_out}"
    )
