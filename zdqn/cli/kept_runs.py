"""What ``zdqn status`` and ``zdqn stop`` do besides for a run that its hosts keep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from zdqn.cli.closing_words import print_summary, say

if TYPE_CHECKING:
    from zdqn.launch.cluster.visits import Visit

_END_S = 120.0


def is_kept(directory: Path | None) -> bool:
    """Whether a run was launched with ``--detach``."""
    from zdqn.launch.cluster.cluster_record import is_cluster, read_record

    return directory is not None and is_cluster(directory) and read_record(directory).detached


def fetch_kept_results(directory: Path) -> dict[str, int]:
    """Copy the files of a run here that its hosts keep, if they can be reached.

    Returns:
        Name of each of its processes that has ended to its exit code.
    """
    from zdqn.launch.cluster.visits import try_to_collect

    if not is_kept(directory):
        return {}
    ends = try_to_collect(directory, _say)
    if ends is None:
        _say(
            f"warning: not all hosts of {directory} answer: what follows is what was copied here "
            f"before, and the exit code does not tell how its roles ended."
        )
    return ends or {}


def exit_with_the_worst(ends: Mapping[str, int]) -> NoReturn:
    """End this command with the worst exit code of some processes, and name those that failed."""
    from zdqn.launch.cluster.visits import worst_code
    from zdqn.launch.plan import describe_exit

    for name, code in ends.items():
        if code:
            _say(f"{name} {describe_exit(code)}")
    click.get_current_context().exit(worst_code(ends))


def end_kept_run(directory: Path | None) -> bool:
    """Have the hosts of a run end what they keep; False if it is not such a run."""
    from zdqn.launch.cluster.visits import Visit

    if directory is None or not is_kept(directory):
        return False
    with Visit(directory, _say) as visit:
        visit.end_agents()
    click.echo("its servers do not answer; asked its hosts to end what they keep")
    return True


def finish_kept_run(directory: Path) -> None:
    """Wait for the end of a run that its hosts keep, fetch its results, and show how it ended.

    The exit code is the worst of its roles.
    """
    from zdqn.launch.cluster.visits import Visit

    if not is_kept(directory):
        return
    with Visit(directory, _say) as visit:
        ends = _finish(visit, directory)
    exit_with_the_worst(ends)


def _finish(visit: Visit, directory: Path) -> dict[str, int]:
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
    return visit.ends()


def _say(line: str) -> None:
    say(line, err=True)
