"""``zdqn status`` and ``zdqn stop``: a run that goes on somewhere else."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zdqn.cli.options import json_option

if TYPE_CHECKING:
    from rich.table import Table


_LINKS = {"learner": "model", "memory": "samples"}
"""Server to the link on which it answers questions."""
_TIMEOUT_S = 2.0
_CLIENT_COLUMNS = frozenset({"name", "role", "index", "state", "last_seen_s"})

_target_argument = click.argument("target", metavar="[RUN_DIR|ADDR]", required=False)


@click.command()
@_target_argument
@json_option
def status(target: str | None, as_json: bool) -> None:
    """Show what every role of a running system does.

    TARGET is a run directory or a server's address; by default the newest run in ./runs. Of a run
    that has ended, show how.
    """
    from zdqn.errors import FileError, ZdqnError
    from zdqn.wire.remote_control import fetch_status

    directory = _run_directory(target)
    answers: dict[str, dict[str, Any]] = {}
    failures: list[ZdqnError] = []
    try:
        addresses = _server_addresses(target)
    except FileError as error:
        addresses = []
        failures.append(error)
    for address in addresses:
        try:
            answer = fetch_status(address, _TIMEOUT_S)
        except ZdqnError as error:
            failures.append(error)
        else:
            answers[str(answer.pop("role"))] = {"address": address, **answer}
    if not answers:
        if directory is not None and _show_what_is_left(directory, as_json=as_json):
            return
        raise failures[0]
    if as_json:
        click.echo(json.dumps(answers, indent=2, default=str))
        return
    _print_status(answers)
    for failure in failures:
        click.echo(f"warning: {failure}", err=True)


@click.command()
@_target_argument
def stop(target: str | None) -> None:
    """End a running system cleanly; the learner tells all others.

    TARGET is a run directory or a server's address; by default the newest run in ./runs.
    """
    from zdqn.errors import PeerUnavailableError
    from zdqn.wire.remote_control import request_stop

    reason = f"zdqn stop by {getpass.getuser()} on {socket.gethostname()}"
    addresses = _server_addresses(target)
    for address in addresses:
        try:
            request_stop(address, reason, _TIMEOUT_S)
        except PeerUnavailableError:
            if address == addresses[-1]:
                raise
        else:
            click.echo(f"asked {address} to stop")
            return


def _server_addresses(target: str | None) -> list[str]:
    """Give the addresses of a run's servers, the learner's first.

    Raises:
        UsageError: when there is no run to be found.
        FileError: when the run directory names no servers.
    """
    from zdqn.errors import FileError
    from zdqn.records.endpoints import read_endpoints
    from zdqn.records.run_files import RunFiles

    directory = _run_directory(target)
    if directory is None:
        return [str(target)]
    endpoints = read_endpoints(directory)
    addresses = [
        endpoints[server][link]
        for server, link in _LINKS.items()
        if link in endpoints.get(server, {})
    ]
    if not addresses:
        raise FileError(
            f"{RunFiles(directory).endpoints} names no server. Give an address instead."
        )
    return addresses


def _run_directory(target: str | None) -> Path | None:
    """Give the run directory that is meant; None when an address is given."""
    from zdqn.records.endpoints import newest_run_directory

    if target is not None and "://" in target:
        return None
    return Path(target) if target is not None else newest_run_directory(Path("runs"))


def _show_what_is_left(directory: Path, *, as_json: bool) -> bool:
    """Show how a run ended, or who trains it without a server; False if neither is known."""
    from zdqn.launch.summary import summary_lines
    from zdqn.records.run_files import RunFiles, read_summary, was_killed
    from zdqn.records.run_lock import describe_holder

    files = RunFiles(directory)
    holder = describe_holder(files.lock) or describe_holder(files.launch_lock)
    summary = {} if holder or was_killed(files) else read_summary(directory)
    if not (holder or summary):
        if files.results():
            click.echo(
                f"{directory}: no process uses it, and its last start left no summary: it was "
                f"killed. --resume {directory} goes on from its newest checkpoint, if it has one.",
                err=True,
            )
        return False
    if as_json:
        click.echo(json.dumps({"held_by": holder} if holder else {"summary": summary}, indent=2))
        return True
    if holder:
        click.echo(f"{directory} is in use by {holder}, but no server answers there.")
        click.echo(f"Its numbers are in {files.metrics}, if it trains in one process.")
        return True
    click.echo("the run has ended")
    for line in summary_lines(summary):
        click.echo(line)
    return True


def _print_status(answers: Mapping[str, dict[str, Any]]) -> None:
    from rich.console import Console

    from zdqn.launch.display import progress_table
    from zdqn.wire.status import LearnerStatus

    console = Console()
    learner = answers.get("learner", {})
    if learner:
        console.print(f"learner at {learner['address']}", style="bold", highlight=False)
        console.print(progress_table(LearnerStatus.read(learner)))
    memory = answers.get("memory") or learner.get("memory")
    if memory:
        console.print(f"memory {memory.get('address', '')}", style="bold", highlight=False)
        console.print(_flat_table(memory))
    clients = [client for answer in answers.values() for client in answer.get("clients") or ()]
    if clients:
        console.print(_client_table({str(client.get("name")): client for client in clients}))


def _client_table(clients: Mapping[str, dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("name", "state", "seen", "numbers", box=None, padding=(0, 2, 0, 0))
    for name, client in clients.items():
        numbers = (
            f"{key.replace('_', ' ')} {_text(value)}"
            for key, value in client.items()
            if key not in _CLIENT_COLUMNS
        )
        seen = f"{_text(client.get('last_seen_s'))} s ago"
        table.add_row(name, _text(client.get("state")), seen, ", ".join(numbers))
    return table


def _flat_table(values: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for key, value in values.items():
        if key not in ("address", "role") and not isinstance(value, list | dict):
            table.add_row(key.replace("_", " "), _text(value))
    return table


def _text(value: Any) -> str:
    from zdqn.launch.display import number

    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    written = number(value, "{:,.0f}" if whole else "{:.4g}")
    return written or ("" if value is None else str(value))
