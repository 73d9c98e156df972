"""``zdqn status`` and ``zdqn stop``: a run that goes on somewhere else."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zdqn.cli.asked_servers import (
    BUSY_S,
    TIMEOUT_S,
    ask,
    check_is_meant,
    holder_of,
    is_unclaimed,
    operator_keys,
    run_directory_of,
    server_addresses,
    show_what_is_left,
    take,
    target_argument,
    wait_for_the_end,
    watch_of,
    why_no_summary,
)
from zdqn.cli.closing_words import say
from zdqn.cli.ended_runs import ends_of_ended, say_nothing_is_left, show_ended
from zdqn.cli.kept_runs import (
    describe_jobs,
    end_kept_run,
    exit_with_the_worst,
    fetch_kept_results,
    finish_kept_run,
    is_kept,
)
from zdqn.cli.options import json_option, keys_option
from zdqn.cli.signals import stop_on_signals

if TYPE_CHECKING:
    from zdqn.errors import PeerUnavailableError, ZdqnError
    from zdqn.launch.run_inquiry import Asked
    from zdqn.wire.keys.role_keys import RoleKeys
    from zdqn.wire.protocol import ServerRole

_WATCH_PERIOD_S = 1.0


@click.command()
@target_argument
@click.option("--watch", is_flag=True, help="Show it anew each second, until Ctrl-C.")
@click.option("--all", "everything", is_flag=True, help="Show every number that servers tell.")
@keys_option
@json_option
def status(
    target: str | None, watch: bool, everything: bool, keys: Path | None, as_json: bool
) -> None:
    """Show what every role of a running system does.

    TARGET is a run directory or a server's address; by default the newest run in ./runs. Of a run
    that has ended, show how.
    """
    from zdqn.launch.waiting import shown_progress

    directory = run_directory_of(target)
    if show_ended(directory, as_json=as_json):
        return
    operator = operator_keys(keys, directory)
    with shown_progress("asking the servers of the run"):
        asked = ask(target, operator)
    if not asked.answers:
        _show_without_servers(directory, asked, as_json=as_json)
        return
    if as_json:
        jobs = describe_jobs(directory)
        answers = {**asked.answers, **({"slurm": jobs} if jobs else {})}
        click.echo(json.dumps(answers, indent=2, default=str))
        return
    if everything:
        _show_everything(asked.answers)
    elif watch:
        over = _watch(target, directory, asked, operator)
        if over and directory is not None:
            wait_for_the_end(directory)
            show_what_is_left(directory, as_json=False, jobs=describe_jobs(directory))
        return
    else:
        _show_once(directory, asked)
    for line in describe_jobs(directory):
        click.echo(line)
    for failure in asked.failures:
        say(f"warning: {failure}", err=True)


@click.command()
@target_argument
@keys_option
def stop(target: str | None, keys: Path | None) -> None:
    """End a running system cleanly; the learner tells all others.

    TARGET is a run directory or a server's address; by default the newest run in ./runs. Of a run
    that has ended, say since when: there is nothing left to end.
    """
    from zdqn.errors import NotAllowedError, PeerUnavailableError
    from zdqn.wire.remote_control import request_stop

    reason = f"zdqn stop by {getpass.getuser()} on {socket.gethostname()}"
    directory = run_directory_of(target)
    ends = ends_of_ended(directory)
    if directory is not None and ends is not None:
        say_nothing_is_left(directory, ends)
    operator = operator_keys(keys, directory)
    addresses = _addresses_to_stop(target, directory)
    for server, address in addresses:
        try:
            check_is_meant(directory, server, address, operator)
            request_stop(address, reason, TIMEOUT_S, operator, server, BUSY_S)
        except NotAllowedError as error:
            raise _of_a_stranger(error, directory) from error
        except PeerUnavailableError as error:
            if address == addresses[-1][1] and not end_kept_run(directory):
                raise _nobody_to_stop(directory, error) from error
        else:
            click.echo(f"asked {address} to stop")
            if address != addresses[0][1]:  # evaluators hear of an end from the learner alone
                end_kept_run(directory)
            break
    if directory is not None:
        finish_kept_run(directory)


def _nobody_to_stop(directory: Path | None, error: PeerUnavailableError) -> PeerUnavailableError:
    """Say of a run of which nobody answers that it was killed, if that is known."""
    from zdqn.errors import PeerUnavailableError

    why = why_no_summary(directory) if directory is not None else ""
    return PeerUnavailableError(f"{error} {why} Nothing is left to end.") if why else error


def _of_a_stranger(error: ZdqnError, directory: Path | None) -> ZdqnError:
    """Say of who refuses to answer that it may be of another run, where nothing shows this one."""
    if directory is None or not is_unclaimed(directory):
        return error
    return type(error)(
        f"{error} No process uses {directory}: what answers there may be another run."
    )


def _addresses_to_stop(
    target: str | None, directory: Path | None
) -> list[tuple[ServerRole | None, str]]:
    """Give the addresses of a run's servers; of one that waits in a queue, end all and give none.

    Raises:
        UsageError: when one process trains, without servers.
        FileError: as `server_addresses` does.
    """
    from zdqn.errors import FileError, UsageError

    try:
        return server_addresses(target)
    except FileError as error:
        if is_kept(directory) and end_kept_run(directory):
            return []
        if directory is not None and (holder := holder_of(directory)):
            raise UsageError(
                f"{directory} is in use by {holder}, which has no server that could be asked. "
                f"End it where it runs: with Ctrl-C, or SIGTERM."
            ) from error
        raise


def _show_without_servers(directory: Path | None, asked: Asked, *, as_json: bool) -> None:
    """Show what is known of a run whose servers do not answer.

    Raises:
        ZdqnError: why they do not, where nothing is known.
    """
    from zdqn.errors import NotAllowedError

    refused = [error for error in asked.failures if isinstance(error, NotAllowedError)]
    if refused and not (directory is not None and is_unclaimed(directory)):  # somebody is there
        raise refused[0]
    if directory is not None:
        ends = fetch_kept_results(directory)
        jobs = describe_jobs(directory)
        if show_what_is_left(directory, as_json=as_json, jobs=jobs):
            exit_with_the_worst(ends)
    raise _of_a_stranger(refused[0], directory) if refused else asked.failures[0]


def _show_once(directory: Path | None, asked: Asked) -> None:
    from zdqn.launch.canvas import page_console, print_lines
    from zdqn.launch.status_page import draw_status

    watch = watch_of(directory)
    take(watch, asked)
    console, glyphs = page_console()
    lines = draw_status(watch.view(), console.width, glyphs=glyphs, in_vain=asked.in_vain)
    print_lines(console, lines)


def _watch(target: str | None, directory: Path | None, asked: Asked, keys: RoleKeys | None) -> bool:
    """Show a run until nobody answers any more: True; or until Ctrl-C."""
    from zdqn.launch.canvas import choose_page, exit_at_once
    from zdqn.launch.status_page import draw_status

    watch, page = watch_of(directory), choose_page()
    with stop_on_signals(exit_at_once) as stop:  # an interrupt would cut a picture in two
        page.begin()
        try:
            while asked.answers:
                take(watch, asked)
                width, height = page.size()
                view, in_vain = watch.view(), asked.in_vain
                page.draw(
                    draw_status(view, width, height=height, glyphs=page.glyphs, in_vain=in_vain)
                )
                if stop.wait(_WATCH_PERIOD_S):
                    return False
                asked = ask(target, keys)
        finally:
            page.end()
    return True


def _show_everything(answers: Mapping[str, dict[str, Any]]) -> None:
    from zdqn.launch.canvas import page_console
    from zdqn.launch.status_page import raw_tables

    console, _ = page_console()
    for table in raw_tables(answers):
        console.print(table)
