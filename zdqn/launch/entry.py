"""Training from Python: `run` with all roles as local processes, `train` in this one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zdqn.config import Config, from_dict, to_dict
from zdqn.errors import FileError
from zdqn.experiments.plots import plot_learning_curve
from zdqn.launch.display import choose_display
from zdqn.launch.local_run import LocalRun
from zdqn.launch.plan import RunArguments
from zdqn.records.run_files import choose_run_directory, read_summary

logger = logging.getLogger("zdqn")


def run(
    config: Config,
    *,
    environment: Callable[..., Any] | None = None,
    network: Callable[..., Any] | None = None,
    collectors: int | None = None,
    evaluators: int | None = None,
    run_directory: str | Path | None = None,
    resume: str | Path | None = None,
    insecure: bool = False,
    log_level: str = "info",
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Train with every role as a process of this machine, and show how it goes.

    Works from a script without a main guard, and from a notebook.

    Args:
        config: of the run.
        environment: called with ``environment.kwargs`` to make an environment, instead of
            ``environment.id``; a closure will do.
        network: called with the `EnvironmentSpec` to make a Q-network, instead of
            ``network.kind``; a closure will do.
        collectors: how many, instead of ``launch.collectors``.
        evaluators: how many, instead of ``launch.evaluators``.
        run_directory: where results go; by default a new folder in ``run.directory``.
        resume: checkpoint, or run directory, to go on from.
        insecure: allow servers to listen to other machines without encryption.
        log_level: "debug", "info", "warning" or "error".
        stop: set it to end the run cleanly.

    Returns:
        What is in ``summary.json``, and ``run_directory``.

    Raises:
        ZdqnError: what ended the run, if it did not end well.
    """
    counts = {"collectors": collectors, "evaluators": evaluators}
    given = {role: count for role, count in counts.items() if count is not None}
    values = to_dict(config)
    values["launch"].update(given)
    config = from_dict(values, source="zdqn.run")
    resume = Path(resume) if resume is not None else None
    directory = _choose(config, run_directory, resume)
    arguments = RunArguments(
        run_directory=directory,
        environment=environment,
        network=network,
        resume=resume,
        insecure=insecure,
    )
    with (
        choose_display() as display,
        LocalRun(config, arguments, audience=display, log_level=log_level, stop=stop) as local,
    ):
        local.run()
    return finish(directory)


def train(
    config: Config,
    *,
    environment: Callable[..., Any] | None = None,
    network: Callable[..., Any] | None = None,
    run_directory: str | Path | None = None,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Train in this process, without sockets; two runs of one configuration are identical.

    Args:
        config: of the run.
        environment: as for `run`.
        network: as for `run`.
        run_directory: as for `run`.
        stop: set it, from another thread, to end the training cleanly.

    Returns:
        What is in ``summary.json``, and ``run_directory``.

    Raises:
        ZdqnError: what ended the training, if it did not end well.
    """
    from zdqn.roles.single import Single

    directory = _choose(config, run_directory, None)
    with Single(
        config, run_directory=directory, environment=environment, network=network, stop=stop
    ) as single:
        single.run()
    return finish(directory)


def finish(run_directory: Path) -> dict[str, Any]:
    """Draw the learning curve of a run that has ended and give its summary.

    Returns:
        What is in ``summary.json``, ``run_directory``, and ``learning_curve`` if it was drawn.

    Raises:
        FileError: when a file cannot be read.
    """
    summary = read_summary(run_directory)
    picture = _draw(run_directory) if summary else None
    drawn = {"learning_curve": str(picture)} if picture is not None else {}
    return {**summary, "run_directory": str(run_directory), **drawn}


def _draw(run_directory: Path) -> Path | None:
    """Draw the learning curve; a run that has ended well does not fail for want of a picture."""
    try:
        return plot_learning_curve(run_directory)
    except FileError as error:
        logger.warning("%s The run itself has ended well.", error)
        return None


def _choose(config: Config, given: str | Path | None, resume: Path | None) -> Path:
    stem = config.environment.id.rpartition("/")[2]
    return choose_run_directory(
        Path(given) if given is not None else None,
        resume,
        parent=config.run.directory,
        stem=stem,
    )
