"""``zdqn top``: a run that somebody has started, live on the whole terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from zdqn.cli.asked_servers import (
    ask,
    operator_keys,
    run_directory_of,
    show_what_is_left,
    take,
    target_argument,
    wait_for_the_end,
    watch_of,
)
from zdqn.cli.ended_runs import show_ended
from zdqn.cli.kept_runs import fetch_kept_results
from zdqn.cli.options import keys_option
from zdqn.cli.signals import stop_on_signals

if TYPE_CHECKING:
    from zdqn.launch.run_inquiry import Asked
    from zdqn.launch.run_watch import RunWatch
    from zdqn.launch.top_screen import Sight


class _Shown(NamedTuple):
    """What is shown, and how news of it come."""

    watch: RunWatch
    look: Callable[[], Sight]


@click.command()
@target_argument
@click.option("--once", is_flag=True, help="Print one picture, and end.")
@keys_option
def top(target: str | None, once: bool, keys: Path | None) -> None:
    """Show a run live: roles, rates, queues, losses, and who limits it.

    TARGET is a run directory or a server's address; by default the newest run in ./runs. It makes
    no difference who started the run. q or Ctrl-C leaves; the run goes on.
    """
    from zdqn.errors import UsageError

    if not (once or sys.stdout.isatty()):
        raise UsageError(
            "zdqn top draws on a terminal, and standard output is none. --once prints one picture; "
            "`zdqn status --watch` prints one each second."
        )
    directory = run_directory_of(target)
    shown = _begin(target, directory, keys)
    if shown is None:
        return
    if once:
        _print(shown.watch, shown.look())
    elif _show(shown) and directory is not None:
        wait_for_the_end(directory)
        fetch_kept_results(directory)
        show_what_is_left(directory, as_json=False)


def _begin(target: str | None, directory: Path | None, keys: Path | None) -> _Shown | None:
    """Ask for the first time; None for a run that has ended, of which is shown how."""
    from zdqn.errors import NotAllowedError
    from zdqn.launch.top_screen import Sight

    if show_ended(directory):
        return None
    operator = operator_keys(keys, directory)
    asked = ask(target, operator)
    refused = [error for error in asked.failures if isinstance(error, NotAllowedError)]
    if refused and not asked.answers:  # somebody is there
        raise refused[0]
    if not asked.answers and not _is_held(directory):
        if directory is not None:
            fetch_kept_results(directory)
            if show_what_is_left(directory, as_json=False):
                return None
        raise asked.failures[0]
    if directory is not None and not asked.answers and (alone := _training(directory)):
        return alone
    watch = watch_of(directory)
    take(watch, asked)

    def look() -> Sight:
        news = ask(target, operator)
        take(watch, news)
        return Sight(_silent(news), _is_over(watch, news, directory))

    return _Shown(watch, look)


def _silent(asked: Asked) -> tuple[str, ...]:
    """Name who did not answer; of an address alone it is not known who is there."""
    return asked.in_vain or (() if asked.answers else ("learner", "memory"))


def _training(directory: Path) -> _Shown | None:
    """Give what the files of a training in one process say; None if servers are to come."""
    from zdqn.config import load_config
    from zdqn.errors import ZdqnError
    from zdqn.launch.file_watch import TrainingFiles
    from zdqn.launch.run_view import RunPlan
    from zdqn.launch.run_watch import RunWatch
    from zdqn.launch.top_screen import Sight
    from zdqn.records.run_files import RunFiles

    files = RunFiles(directory)
    if files.endpoints.exists():
        return None
    try:
        config = load_config(files.config)
    except ZdqnError:  # it is not there before training begins
        return None
    watch = RunWatch(RunPlan.of(config, one_process=True), directory)
    training = TrainingFiles(directory, config)

    def look() -> Sight:
        status = training.look()
        if status is not None:
            watch.take_learner(status)
        return Sight((), not _is_held(directory))

    look()
    return _Shown(watch, look)


def _is_held(directory: Path | None) -> bool:
    """Whether some process writes there."""
    from zdqn.records.run_files import RunFiles
    from zdqn.records.run_lock import describe_holder

    if directory is None:
        return False
    files = RunFiles(directory)
    return bool(describe_holder(files.lock) or describe_holder(files.launch_lock))


def _is_over(watch: RunWatch, asked: Asked, directory: Path | None) -> bool:
    """Whether a run has ended, and is not merely away.

    Its folder tells, where that is here; else the last that its learner said does.
    """
    from zdqn.records.run_files import has_ended

    if asked.answers:
        return False
    if directory is None:
        return watch.view().phase == "finishing"
    return has_ended(directory) and not _is_held(directory)


def _print(watch: RunWatch, sight: Sight) -> None:
    from zdqn.launch.canvas import page_console, print_lines
    from zdqn.launch.top_page import draw_top

    console, glyphs = page_console()
    view, in_vain = watch.view(), sight.in_vain
    height = console.height if console.is_terminal else 60
    print_lines(
        console, draw_top(view, console.width, height=height, glyphs=glyphs, in_vain=in_vain)
    )


def _show(shown: _Shown) -> bool:
    """Show it until somebody leaves, or the run is over: True."""
    from rich.console import Console

    from zdqn.launch.top_screen import FullScreen, TopScreen

    with stop_on_signals(sys.exit) as stop, FullScreen(Console()) as screen:
        return TopScreen(shown.watch, shown.look, screen).run(stop)
