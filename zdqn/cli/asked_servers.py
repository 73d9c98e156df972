"""Asks the servers of a run how it goes, for the commands that show it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from zdqn.cli.closing_words import print_summary, say

if TYPE_CHECKING:
    from zdqn.errors import ZdqnError
    from zdqn.launch.run_watch import RunWatch
    from zdqn.wire.keys.role_keys import RoleKeys
    from zdqn.wire.protocol import ServerRole

_LINKS: dict[ServerRole, str] = {"learner": "model", "memory": "samples"}
"""Server to the link on which it answers questions."""
TIMEOUT_S = 2.0
"""For which a server is waited for."""
_LAST_FILES_S = 10.0
_TICK_S = 0.1

target_argument = click.argument("target", metavar="[RUN_DIR|ADDR]", required=False)


def run_directory_of(target: str | None) -> Path | None:
    """Give the run directory that is meant; None when an address is given."""
    from zdqn.records.endpoints import newest_run_directory

    if target is not None and "://" in target:
        return None
    return Path(target) if target is not None else newest_run_directory(Path("runs"))


def server_addresses(target: str | None) -> list[tuple[ServerRole | None, str]]:
    """Give the addresses of a run's servers, the learner's first, each with which one it is.

    Raises:
        UsageError: when there is no run to be found.
        FileError: when the run directory names no servers.
    """
    from zdqn.errors import FileError
    from zdqn.records.endpoints import read_endpoints
    from zdqn.records.run_files import RunFiles

    directory = run_directory_of(target)
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


def operator_keys(given: Path | None, directory: Path | None) -> RoleKeys | None:
    """Read the keys to ask with: from the folder that is given, or that the run was given.

    Raises:
        NotAllowedError: when one is missing, or others can read it.
    """
    from zdqn.config import load_config
    from zdqn.errors import ZdqnError
    from zdqn.launch.cluster.cluster_record import is_cluster, own_keys_of, read_record
    from zdqn.launch.slurm.slurm_record import is_slurm, read_slurm_record
    from zdqn.records.run_files import RunFiles
    from zdqn.wire.keys.role_keys import open_keys

    folder: Path | str | None = given
    if given is None and directory is not None and is_slurm(directory):
        folder = own_keys_of(directory) if read_slurm_record(directory).secure else None
    elif given is None and directory is not None and is_cluster(directory):
        folder = own_keys_of(directory) if read_record(directory).secure else None
    elif given is None and directory is not None:
        with suppress(ZdqnError):  # it is not there before training begins
            folder = load_config(RunFiles(directory).config).security.keys
    return open_keys(folder, "operator")


class Asked(NamedTuple):
    """What servers have answered, by role, and why others have not."""

    answers: dict[str, dict[str, Any]]
    failures: list[ZdqnError]

    @property
    def in_vain(self) -> tuple[str, ...]:
        """Servers that did not answer, if any server did."""
        return tuple(role for role in _LINKS if self.failures and role not in self.answers)


def ask(target: str | None, keys: RoleKeys | None) -> Asked:
    """Ask every server that the target names."""
    from zdqn.errors import FileError, ZdqnError
    from zdqn.wire.remote_control import fetch_status

    asked = Asked({}, [])
    try:
        addresses = server_addresses(target)
    except FileError as error:
        addresses = []
        asked.failures.append(error)
    for server, address in addresses:
        try:
            answer = fetch_status(address, TIMEOUT_S, keys, server)
        except ZdqnError as error:
            asked.failures.append(error)
        else:
            asked.answers[str(answer.pop("role"))] = {"address": address, **answer}
    return asked


def watch_of(directory: Path | None) -> RunWatch:
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


def take(watch: RunWatch, asked: Asked) -> None:
    """Tell a watch what was answered."""
    from zdqn.wire.status import LearnerStatus, MemoryStatus

    learner, memory = (asked.answers.get(role) for role in ("learner", "memory"))
    if learner is not None:
        watch.take_learner(LearnerStatus.read(learner))
    if memory is not None:
        watch.take_memory(MemoryStatus.read(memory))


def show_what_is_left(directory: Path, *, as_json: bool, jobs: Sequence[str] = ()) -> bool:
    """Show how a run ended, or who trains it without a server; False if neither is known.

    Args:
        directory: of the run.
        as_json: show it as JSON.
        jobs: lines about its jobs, where it is a run of Slurm.
    """
    from zdqn.records.run_files import RunFiles, read_summary, was_killed
    from zdqn.records.run_lock import describe_holder

    files = RunFiles(directory)
    holder = describe_holder(files.lock) or describe_holder(files.launch_lock)
    summary = {} if holder or was_killed(files) else read_summary(directory)
    if not (holder or summary or jobs):
        if files.results():
            say(
                f"{directory}: no process uses it, and its last start left no summary: it was "
                f"killed. --resume {directory} goes on from its newest checkpoint, if it has one.",
                err=True,
            )
        return False
    if as_json:
        left = {"held_by": holder} if holder else {"summary": summary}
        click.echo(json.dumps({**left, **({"slurm": jobs} if jobs else {})}, indent=2))
        return True
    for line in jobs:
        click.echo(line)
    if holder:
        say(f"{directory} is in use by {holder}, but no server answers there.")
        say(f"Its numbers are in {files.metrics}, if it trains in one process.")
        return True
    if not jobs:
        click.echo("the run has ended")
    if summary:
        print_summary(summary)
    return True


def wait_for_the_end(directory: Path) -> None:
    """Let those whose servers have gone write down how the run ended."""
    from zdqn.records.run_files import RunFiles
    from zdqn.records.run_lock import describe_holder

    files, deadline_s = RunFiles(directory), time.monotonic() + _LAST_FILES_S
    with suppress(KeyboardInterrupt):
        while time.monotonic() < deadline_s:
            if not (describe_holder(files.lock) or describe_holder(files.launch_lock)):
                return
            time.sleep(_TICK_S)
