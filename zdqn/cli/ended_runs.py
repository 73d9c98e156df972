"""Runs that have ended, as their folders tell: nobody is asked about them, on whatever machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from zdqn.cli.asked_servers import holder_of, how_it_ended, show_what_is_left, why_no_summary
from zdqn.cli.closing_words import say
from zdqn.cli.kept_runs import exit_with_the_worst, is_kept

if TYPE_CHECKING:
    from zdqn.launch.cluster.cluster_record import Ends


def ends_of_ended(directory: Path | None) -> Ends | None:
    """Say how the roles of a run ended that is known to have; None of one that may go on.

    Nothing is told of roles that a launcher looked after, as that has said it. What hosts keep
    has its files there: that it has ended is known once it was seen, and all was copied here.
    """
    if directory is None or holder_of(directory):
        return None
    if is_kept(directory):
        from zdqn.launch.keepers import recorded_ends

        return recorded_ends(directory)
    return {} if how_it_ended(directory) else None


def show_ended(directory: Path | None, *, as_json: bool = False) -> bool:
    """Show how a run ended that is known to have; False of one that may go on.

    Of a run that its hosts kept, this command ends with the worst exit code of its roles.
    """
    ends = ends_of_ended(directory)
    if directory is None or ends is None:
        return False
    show_what_is_left(directory, as_json=as_json)
    if is_kept(directory):
        exit_with_the_worst(ends)
    return True


def say_nothing_is_left(directory: Path, ends: Ends) -> NoReturn:
    """End ``zdqn stop`` of a run that has ended before, saying since when.

    Raises:
        PeerUnavailableError: as no server of it answers; not of a run that its hosts kept: there
            the exit code is the worst of its roles, as of the stop that ended it.
    """
    from zdqn.errors import PeerUnavailableError

    found = f"The run in {directory} has ended already{_how(directory)}: nothing is left to end."
    if not is_kept(directory):
        raise PeerUnavailableError(f"{found} Name the run that is meant: zdqn stop RUN_DIR.")
    say(found)
    if why := why_no_summary(directory):
        say(why, err=True)
    exit_with_the_worst(ends)


def _how(directory: Path) -> str:
    from zdqn.launch.summary import describe_end
    from zdqn.records.run_files import RunFiles

    summary = how_it_ended(directory)
    if not summary:
        return ""
    ended_s = RunFiles(directory).summary.stat().st_mtime
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ended_s))
    return f" ({describe_end(summary) or 'for an unknown reason'}, on {since})"
