"""``zdqn logs`` and ``zdqn restart``: the roles of a run, from another terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import click

from zdqn.cli.closing_words import say
from zdqn.cli.kept_runs import ASKING_HOSTS
from zdqn.cli.signals import stop_on_signals

ReadLog: TypeAlias = Callable[[str, int, int], dict[str, Any]]
MainLogs: TypeAlias = Callable[[], list[str]]
_PERIOD_S = 0.5


@click.command()
@click.argument("run_dir", metavar="[RUN_DIR]", type=click.Path(path_type=Path), required=False)
@click.option("--role", "roles", metavar="NAME", multiple=True, help="Of this role; repeatable.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), default=10, show_default=True, help="Last lines."
)
def logs(run_dir: Path | None, roles: tuple[str, ...], follow: bool, lines: int) -> None:
    """Show the last lines that the roles of a run have logged.

    RUN_DIR is its folder; by default the newest run in ./runs.
    """
    directory = _directory(run_dir)
    with ExitStack() as stack:
        names, main, read = _logs_of(directory, stack)
        chosen = [_known(role, names) for role in roles] or main()
        ends = {name: _show(name, read(name, -1, lines), chosen) for name in chosen}
        if follow:
            stop = stack.enter_context(stop_on_signals())
            while not stop.wait(_PERIOD_S):
                ends = {name: _show(name, read(name, end, 0), chosen) for name, end in ends.items()}


def _logs_of(directory: Path, stack: ExitStack) -> tuple[list[str], MainLogs, ReadLog]:
    """Give the names of a run's logs, what names those to show, and what reads one."""
    from zdqn.errors import UsageError
    from zdqn.launch import keepers
    from zdqn.launch.cluster.rotated_log import read_log
    from zdqn.launch.waiting import shown_progress
    from zdqn.records.run_files import RunFiles

    if keepers.is_kept(directory):
        with shown_progress(ASKING_HOSTS):
            visit = stack.enter_context(keepers.visit(directory, _say))
        if names := visit.log_names():
            return names, visit.main_logs, visit.read_log
    files = RunFiles(directory)
    names = sorted(path.stem for path in files.logs.glob("*.log"))
    if not names:
        raise UsageError(
            f"{files.logs} holds no logs. Give the folder of a run of `zdqn run` or `zdqn launch`; "
            f"a role that was started alone logs to its own terminal, and jobs of Slurm from when "
            f"they begin (`zdqn status {directory}`)."
        )
    return names, lambda: names, lambda name, begin, tail: read_log(files.log_of(name), begin, tail)


def _known(role: str, names: Sequence[str]) -> str:
    from zdqn.errors import UsageError, did_you_mean

    if role not in names:
        raise UsageError(f'--role is "{role}". {did_you_mean(role, names, label="It has")}')
    return role


def _show(name: str, news: dict[str, Any], shown: Sequence[str]) -> int:
    """Print what has come to a log; gives where the next begins."""
    from zdqn.launch.lines import printable

    width = max(len(one) for one in shown)
    head = f"{name:<{width}} | " if len(shown) > 1 else ""
    for line in news["piece"].decode(errors="replace").splitlines():
        click.echo(f"{head}{printable(line)}")
    return int(news["end"])


@click.command()
@click.argument("role", metavar="ROLE")
@click.argument("run_dir", metavar="[RUN_DIR]", type=click.Path(path_type=Path), required=False)
def restart(role: str, run_dir: Path | None) -> None:
    """End a role of a run that was launched, and start it again.

    ROLE is its name, such as collector-0@host5; RUN_DIR the run's folder, by default the newest in
    ./runs.
    """
    from zdqn.launch.cluster.changes import change_run
    from zdqn.launch.waiting import shown_progress

    directory = _directory(run_dir)
    with shown_progress(f"restarting {role} of {directory}"):
        done = change_run(directory, "restart", role, _say)
    click.echo(done)


def _directory(given: Path | None) -> Path:
    from zdqn.records.endpoints import newest_run_directory

    return given if given is not None else newest_run_directory(Path("runs"))


def _say(line: str) -> None:
    say(line, err=True)
