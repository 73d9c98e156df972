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

    TARGET is a run directory or a server's address; by default the newest run in ./runs.
    """
    from zdqn.errors import ZdqnError
    from zdqn.wire.remote import fetch_status

    answers: dict[str, dict[str, Any]] = {}
    failures: list[ZdqnError] = []
    for address in _server_addresses(target):
        try:
            answer = fetch_status(address, _TIMEOUT_S)
        except ZdqnError as error:
            failures.append(error)
        else:
            answers[str(answer.pop("role"))] = {"address": address, **answer}
    if not answers:
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
    from zdqn.wire.remote import request_stop

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
    from zdqn.records.endpoints import newest_run_directory, read_endpoints
    from zdqn.records.run_files import RunFiles

    if target is not None and "://" in target:
        return [target]
    directory = Path(target) if target is not None else newest_run_directory(Path("runs"))
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
