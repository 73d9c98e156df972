"""``zdqn status`` and ``zdqn stop``: a run that goes on somewhere else."""

from __future__ import annotations

import getpass
import json
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from zdqn.cli.closing_words import print_summary, say
from zdqn.cli.kept_runs import (
    end_kept_run,
    exit_with_the_worst,
    fetch_kept_results,
    finish_kept_run,
)
from zdqn.cli.options import json_option, keys_option
from zdqn.cli.signals import stop_on_signals

if TYPE_CHECKING:
    from zdqn.errors import ZdqnError
    from zdqn.launch.run_watch import RunWatch
    from zdqn.wire.keys.role_keys import RoleKeys
    from zdqn.wire.protocol import ServerRole

_LINKS: dict[ServerRole, str] = {"learner": "model", "memory": "samples"}
"""Server to the link on which it answers questions."""
_TIMEOUT_S = 2.0
_WATCH_PERIOD_S = 1.0
_LAST_FILES_S = 10.0
_TICK_S = 0.1

_target_argument = click.argument("target", metavar="[RUN_DIR|ADDR]", required=False)


@click.command()
@_target_argument
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
    from zdqn.errors import NotAllowedError

    directory = _run_directory(target)
    operator = _operator_keys(keys, directory)
    asked = _ask(target, operator)
    if not asked.answers:
        refused = [error for error in asked.failures if isinstance(error, NotAllowedError)]
        if refused:  # somebody is there
            raise refused[0]
        if directory is not None:
            ends = fetch_kept_results(directory)
            if _show_what_is_left(directory, as_json=as_json):
                exit_with_the_worst(ends)
        raise asked.failures[0]
    if as_json:
        click.echo(json.dumps(asked.answers, indent=2, default=str))
        return
    if everything:
        _show_everything(asked.answers)
    elif watch:
        over = _watch(target, directory, asked, operator)
        if over and directory is not None:
            _wait_for_the_end(directory)
            _show_what_is_left(directory, as_json=False)
        return
    else:
        _show_once(directory, asked)
    for failure in asked.failures:
        say(f"warning: {failure}", err=True)


@click.command()
@_target_argument
@keys_option
def stop(target: str | None, keys: Path | None) -> None:
    """End a running system cleanly; the learner tells all others.

    TARGET is a run directory or a server's address; by default the newest run in ./runs.
    """
    from zdqn.errors import PeerUnavailableError
    from zdqn.wire.remote_control import request_stop

    reason = f"zdqn stop by {getpass.getuser()} on {socket.gethostname()}"
    directory = _run_directory(target)
    operator = _operator_keys(keys, directory)
    addresses = _server_addresses(target)
    for server, address in addresses:
        try:
            request_stop(address, reason, _TIMEOUT_S, operator, server)
        except PeerUnavailableError:
            if address == addresses[-1][1] and not end_kept_run(directory):
                raise
        else:
            click.echo(f"asked {address} to stop")
            break
    if directory is not None:
        finish_kept_run(directory)


def _server_addresses(target: str | None) -> list[tuple[ServerRole | None, str]]:
    """Give the addresses of a run's servers, the learner's first, each with which one it is.

    Raises:
        UsageError: when there is no run to be found.
        FileError: when the run directory names no servers.
    """
    from zdqn.errors import FileError
    from zdqn.records.endpoints import read_endpoints
    from zdqn.records.run_files import RunFiles

    directory = _run_directory(target)
    if directory is None:
        return [(None, str(target))]
    endpoints = read_endpoints(directory)
    addresses: list[tuple[ServerRole | None, str]] = [
        (server, endpoints[server][link])
        for server, link in _LINKS.items()
        if link in endpoints.get(server, {})
    ]
    if not addresses:
        raise FileError(
            f"{RunFiles(directory).endpoints} names no server. Give an address instead."
        )
    return addresses


def _operator_keys(given: Path | None, directory: Path | None) -> RoleKeys | None:
    """Read the keys to ask with: from the folder that is given, or that the run was given.

    Raises:
        NotAllowedError: when one is missing, or others can read it.
    """
    from zdqn.config import load_config
    from zdqn.errors import ZdqnError
    from zdqn.launch.cluster.cluster_record import is_cluster, own_keys_of, read_record
    from zdqn.records.run_files import RunFiles
    from zdqn.wire.keys.role_keys import open_keys

    folder: Path | str | None = given
    if given is None and directory is not None and is_cluster(directory):
        folder = own_keys_of(directory) if read_record(directory).secure else None
    elif given is None and directory is not None:
        with suppress(ZdqnError):  # it is not there before training begins
            folder = load_config(RunFiles(directory).config).security.keys
    return open_keys(folder, "operator")


def _run_directory(target: str | None) -> Path | None:
    """Give the run directory that is meant; None when an address is given."""
    from zdqn.records.endpoints import newest_run_directory

    if target is not None and "://" in target:
        return None
    return Path(target) if target is not None else newest_run_directory(Path("runs"))


def _show_what_is_left(directory: Path, *, as_json: bool) -> bool:
    """Show how a run ended, or who trains it without a server; False if neither is known."""
    from zdqn.records.run_files import RunFiles, read_summary, was_killed
    from zdqn.records.run_lock import describe_holder

    files = RunFiles(directory)
    holder = describe_holder(files.lock) or describe_holder(files.launch_lock)
    summary = {} if holder or was_killed(files) else read_summary(directory)
    if not (holder or summary):
        if files.results():
            say(
                f"{directory}: no process uses it, and its last start left no summary: it was "
                f"killed. --resume {directory} goes on from its newest checkpoint, if it has one.",
                err=True,
            )
        return False
    if as_json:
        click.echo(json.dumps({"held_by": holder} if holder else {"summary": summary}, indent=2))
        return True
    if holder:
        say(f"{directory} is in use by {holder}, but no server answers there.")
        say(f"Its numbers are in {files.metrics}, if it trains in one process.")
        return True
    click.echo("the run has ended")
    print_summary(summary)
    return True


class _Asked(NamedTuple):
    """What servers have answered, by role, and why others have not."""

    answers: dict[str, dict[str, Any]]
    failures: list[ZdqnError]

    @property
    def in_vain(self) -> tuple[str, ...]:
        """Servers that did not answer, if any server did."""
        return tuple(role for role in _LINKS if self.failures and role not in self.answers)


def _ask(target: str | None, keys: RoleKeys | None) -> _Asked:
    """Ask every server that the target names."""
    from zdqn.errors import FileError, ZdqnError
    from zdqn.wire.remote_control import fetch_status

    asked = _Asked({}, [])
    try:
        addresses = _server_addresses(target)
    except FileError as error:
        addresses = []
        asked.failures.append(error)
    for server, address in addresses:
        try:
            answer = fetch_status(address, _TIMEOUT_S, keys, server)
        except ZdqnError as error:
            asked.failures.append(error)
        else:
            asked.answers[str(answer.pop("role"))] = {"address": address, **answer}
    return asked


def _watcher(directory: Path | None) -> RunWatch:
    """Give who puts answers together, with what the run's own configuration says of it."""
    from zdqn.config import load_config
    from zdqn.errors import ZdqnError
    from zdqn.launch.run_view import RunPlan
    from zdqn.launch.run_watch import RunWatch
    from zdqn.records.run_files import RunFiles

    plan = RunPlan()
    if directory is not None:
        with suppress(ZdqnError):  # it is not there before training begins
            plan = RunPlan.named(load_config(RunFiles(directory).config))
    return RunWatch(plan, directory)


def _take(watch: RunWatch, asked: _Asked) -> None:
    from zdqn.wire.status import LearnerStatus, MemoryStatus

    learner, memory = (asked.answers.get(role) for role in ("learner", "memory"))
    if learner is not None:
        watch.take_learner(LearnerStatus.read(learner))
    if memory is not None:
        watch.take_memory(MemoryStatus.read(memory))


def _show_once(directory: Path | None, asked: _Asked) -> None:
    from zdqn.launch.canvas import page_console, print_lines
    from zdqn.launch.status_page import draw_status

    watch = _watcher(directory)
    _take(watch, asked)
    console, glyphs = page_console()
    lines = draw_status(watch.view(), console.width, glyphs=glyphs, in_vain=asked.in_vain)
    print_lines(console, lines)


def _watch(
    target: str | None, directory: Path | None, asked: _Asked, keys: RoleKeys | None
) -> bool:
    """Show a run until nobody answers any more: True; or until Ctrl-C."""
    from zdqn.launch.canvas import choose_page, exit_at_once
    from zdqn.launch.status_page import draw_status

    watch, page = _watcher(directory), choose_page()
    with stop_on_signals(exit_at_once) as stop:  # an interrupt would cut a picture in two
        page.begin()
        try:
            while asked.answers:
                _take(watch, asked)
                width, height = page.size()
                view, in_vain = watch.view(), asked.in_vain
                page.draw(
                    draw_status(view, width, height=height, glyphs=page.glyphs, in_vain=in_vain)
                )
                if stop.wait(_WATCH_PERIOD_S):
                    return False
                asked = _ask(target, keys)
        finally:
            page.end()
    return True


def _wait_for_the_end(directory: Path) -> None:
    """Let those whose servers have gone write down how the run ended."""
    from zdqn.records.run_files import RunFiles
    from zdqn.records.run_lock import describe_holder

    files, deadline_s = RunFiles(directory), time.monotonic() + _LAST_FILES_S
    with suppress(KeyboardInterrupt):
        while time.monotonic() < deadline_s:
            if not (describe_holder(files.lock) or describe_holder(files.launch_lock)):
                return
            time.sleep(_TICK_S)


def _show_everything(answers: Mapping[str, dict[str, Any]]) -> None:
    from zdqn.launch.canvas import page_console
    from zdqn.launch.status_page import raw_tables

    console, _ = page_console()
    for table in raw_tables(answers):
        console.print(table)
