"""What ``zdqn status`` and ``zdqn stop`` do besides for a run that its hosts keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zdqn.cli.closing_words import print_summary, say

if TYPE_CHECKING:
    from zdqn.launch.keepers import KeptRun

_END_S = 120.0


def is_kept(directory: Path | None) -> bool:
    """Whether a run was launched with ``--detach``, or as jobs of Slurm."""
    from zdqn.launch import keepers

    return directory is not None and keepers.is_kept(directory)


def describe_jobs(directory: Path | None) -> list[str]:
    """Say what Slurm says of a run's jobs, a line each; nothing of another run."""
    from zdqn.errors import ZdqnError
    from zdqn.launch.slurm.slurm_record import is_slurm
    from zdqn.launch.slurm.slurm_visit import SlurmVisit

    if directory is None or not is_slurm(directory):
        return []
    try:
        return SlurmVisit(directory, _say).describe()
    except ZdqnError as error:
        return [f"Slurm: {error}"]


def fetch_kept_results(directory: Path) -> None:
    """Copy the files of a run here that its hosts keep, if they can be reached."""
    from zdqn.launch.cluster.visits import try_to_collect
    from zdqn.launch.slurm.slurm_record import is_slurm

    if is_kept(directory) and not is_slurm(directory):
        try_to_collect(directory, _say)


def end_kept_run(directory: Path | None) -> bool:
    """Have the hosts of a run end what they keep; False if it is not such a run."""
    from zdqn.launch import keepers

    if directory is None or not is_kept(directory):
        return False
    with keepers.visit(directory, _say) as visit:
        click.echo(visit.end_agents())
    return True


def finish_kept_run(directory: Path) -> None:
    """Wait for the end of a run that its hosts keep, fetch its results, and show how it ended.

    The exit code is the worst of its roles.
    """
    from zdqn.launch import keepers

    if not is_kept(directory):
        return
    with keepers.visit(directory, _say) as visit:
        code = _finish(visit, directory)
    click.get_current_context().exit(code)


def _finish(visit: KeptRun, directory: Path) -> int:
    from zdqn.errors import PeerUnavailableError
    from zdqn.launch.cluster.cluster_entry import here
    from zdqn.launch.entry import finish

    if not visit.wait_for_the_end(_END_S):
        raise PeerUnavailableError(
            f"{', '.join(visit.living())}: some roles have not ended within {_END_S:.0f} s. "
            f"`zdqn logs {directory}` shows what they do; the same command again waits on."
        )
    visit.collect()
    print_summary(here(finish(directory)).to_dict())
    return visit.worst_code()


def _say(line: str) -> None:
    say(line, err=True)
