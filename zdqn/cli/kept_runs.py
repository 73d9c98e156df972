"""What ``zdqn status`` and ``zdqn stop`` do besides for a run that its hosts keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from zdqn.cli.asked_servers import why_no_summary
from zdqn.cli.closing_words import print_summary, say

if TYPE_CHECKING:
    from zdqn.launch.cluster.cluster_record import Ends
    from zdqn.launch.keepers import KeptRun

_END_S = 120.0
ASKING_HOSTS = "asking the hosts of the run"


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


def fetch_kept_results(directory: Path) -> Ends:
    """Copy the files of a run here that its hosts keep, if they can be reached.

    Returns:
        How each of its processes ended that has.
    """
    from zdqn.launch import keepers
    from zdqn.launch.cluster.visits import try_to_collect
    from zdqn.launch.slurm.slurm_record import is_slurm
    from zdqn.launch.waiting import shown_progress

    if not is_kept(directory):
        return {}
    with shown_progress(ASKING_HOSTS):
        if is_slurm(directory):  # its files are here
            with keepers.visit(directory, _say) as visit:
                return visit.ends()
        ends = try_to_collect(directory, _say)
    if ends is None:
        _say(
            f"warning: not all hosts of {directory} answer: what follows is what could be copied "
            f"here, and the exit code does not tell how its roles ended."
        )
    return ends or {}


def exit_with_the_worst(ends: Ends) -> NoReturn:
    """End this command with the worst exit code of some processes, and name those that failed."""
    from zdqn.launch.cluster.visits import worst_code
    from zdqn.launch.plan import describe_exit

    for name, code in ends.items():
        if code is None:
            _say(f"{name}: how it ended is not known, as its host or agent was killed before it")
        elif code:
            _say(f"{name} {describe_exit(code)}")
    click.get_current_context().exit(worst_code(ends))


def end_kept_run(directory: Path | None) -> bool:
    """Have the hosts of a run end what they keep; False if it is not such a run."""
    from zdqn.launch import keepers
    from zdqn.launch.waiting import shown_progress

    if directory is None or not is_kept(directory):
        return False
    with shown_progress(ASKING_HOSTS), keepers.visit(directory, _say) as visit:
        told = visit.end_agents()
    click.echo(told)
    return True


def finish_kept_run(directory: Path) -> None:
    """Wait for the end of a run that its hosts keep, fetch its results, and show how it ended.

    The exit code is the worst of its roles.
    """
    from zdqn.launch import keepers
    from zdqn.launch.cluster.cluster_entry import here
    from zdqn.launch.entry import finish
    from zdqn.launch.waiting import shown_progress

    if not is_kept(directory):
        return
    with shown_progress(ASKING_HOSTS) as progress, keepers.visit(directory, _say) as visit:
        progress.begin(f"waiting for the roles of the run to end, {_END_S:.0f} s at most")
        _wait_for_the_end(visit, directory)
        progress.begin("copying the files of the run here")
        visit.collect()
        if why := why_no_summary(directory):
            _say(why)
        else:
            print_summary(here(finish(directory)).to_dict())
        ends = visit.ends()
    exit_with_the_worst(ends)


def _wait_for_the_end(visit: KeptRun, directory: Path) -> None:
    from zdqn.errors import PeerUnavailableError

    if not visit.wait_for_the_end(_END_S):
        raise PeerUnavailableError(
            f"{', '.join(visit.living())}: some roles have not ended within {_END_S:.0f} s. "
            f"`zdqn logs {directory}` shows what they do; the same command again waits on."
        )


def _say(line: str) -> None:
    say(line, err=True)
