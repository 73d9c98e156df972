"""Asks the servers of a run how it goes, for the commands that show it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zdqn.cli.closing_words import print_summary, say

if TYPE_CHECKING:
    from zdqn.launch.run_inquiry import Asked, ServerAddress
    from zdqn.launch.run_watch import RunWatch
    from zdqn.wire.keys.role_keys import RoleKeys
    from zdqn.wire.protocol import ServerRole

TIMEOUT_S = 2.0
"""For which a server is waited for."""
BUSY_S = 10.0
"""And so long besides, if it takes connections."""
_LAST_FILES_S = 60.0
_TICK_S = 0.1

target_argument = click.argument("target", metavar="[TARGET]", required=False)


def run_directory_of(target: str | None) -> Path | None:
    """Give the run directory that is meant; None when an address is given."""
    from zdqn.launch.run_inquiry import directory_of_target

    return directory_of_target(target)


def server_addresses(target: str | None) -> list[ServerAddress]:
    """Give the addresses of a run's servers, the learner's first, each with which one it is.

    Raises:
        UsageError: when there is no run to be found.
        FileError: when the run directory names no servers.
    """
    from zdqn.launch import run_inquiry

    return run_inquiry.server_addresses(target, run_directory_of(target))


def operator_keys(given: Path | None, directory: Path | None) -> RoleKeys | None:
    """Read the keys to ask with: from the folder that is given, or that the run was given.

    Raises:
        NotAllowedError: when one is missing, or others can read it.
    """
    from zdqn.launch import run_inquiry

    return run_inquiry.operator_keys(given, directory)


def ask(target: str | None, keys: RoleKeys | None) -> Asked:
    """Ask every server that the target names."""
    from zdqn.errors import FileError
    from zdqn.launch.run_inquiry import Asked, ask_servers, identity_of

    try:
        addresses = server_addresses(target)
    except FileError as error:
        return Asked({}, [error])
    return ask_servers(addresses, keys, identity_of(run_directory_of(target)))


def check_is_meant(
    directory: Path | None, server: ServerRole | None, address: str, keys: RoleKeys | None
) -> None:
    """Refuse to go on with a server that is another run's than that of a folder, by now.

    Raises:
        PeerUnavailableError: when it is, or nothing answers.
        ZdqnError: as asking a server for its status does.
    """
    from zdqn.launch.run_inquiry import fetch_own_status, identity_of

    if run_id := identity_of(directory):
        fetch_own_status(address, keys, server, run_id)


def watch_of(directory: Path | None) -> RunWatch:
    """Give who puts answers together, with what the run's own configuration says of it."""
    from zdqn.launch.run_inquiry import plan_of
    from zdqn.launch.run_watch import RunWatch

    return RunWatch(plan_of(directory), directory)


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
    from zdqn.records.run_files import RunFiles

    files, holder = RunFiles(directory), holder_of(directory)
    summary = how_it_ended(directory)
    if not (holder or summary or jobs):
        if why := why_no_summary(directory):
            say(why, err=True)
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
        if "run_directory" in summary:  # as it is called here, not where the learner was
            summary["run_directory"] = str(directory)
        print_summary(summary)
    return True


def how_it_ended(directory: Path) -> dict[str, Any]:
    """Give the summary of a run's last start; empty while it goes on, and if it was killed."""
    from zdqn.records.run_files import read_summary

    return {} if holder_of(directory) else read_summary(directory)


def why_no_summary(directory: Path) -> str:
    """Say that a run was killed; "" if it goes on, has ended in order, or never began."""
    from zdqn.records.run_files import RunFiles

    if holder_of(directory) or how_it_ended(directory) or not RunFiles(directory).results():
        return ""
    return (
        f"{directory}: no process uses it, and its last start left no summary: it was killed. "
        f"--resume {directory} goes on from its newest checkpoint, if it has one."
    )


def holder_of(directory: Path) -> str:
    """Say which process trains a run, or launches it; "" if none does."""
    from zdqn.records.run_files import RunFiles
    from zdqn.records.run_lock import describe_holder

    files = RunFiles(directory)
    return describe_holder(files.lock) or describe_holder(files.launch_lock)


def is_unclaimed(directory: Path) -> bool:
    """Whether nothing shows that a run goes on: what answers at its addresses may be another."""
    from zdqn.launch.cluster.cluster_record import is_cluster
    from zdqn.launch.slurm.slurm_record import is_slurm

    return not (holder_of(directory) or is_cluster(directory) or is_slurm(directory))


def wait_for_the_end(directory: Path) -> None:
    """Let those whose servers have gone write down how the run ended."""
    deadline_s = time.monotonic() + _LAST_FILES_S
    with suppress(KeyboardInterrupt):
        while time.monotonic() < deadline_s and holder_of(directory):
            time.sleep(_TICK_S)
