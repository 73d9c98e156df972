"""Training from Python: `run` with all roles as local processes, `train` in this one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from zdqn.config import Config, from_dict, to_dict
from zdqn.experiments.plots import plot_learning_curve
from zdqn.launch.display import choose_display
from zdqn.launch.local_run import LocalRun
from zdqn.launch.plan import RunArguments
from zdqn.launch.run_view import RunPlan
from zdqn.records.given_functions import (
    check_environment_is_given,
    check_network_is_given,
    record_functions,
)
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_files import chosen_run_directory, read_summary
from zdqn.roles.building import build_limits
from zdqn.wire.addresses import check_bind, parse_address

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
    overwrite: bool = False,
    insecure: bool = False,
    log_level: str = "info",
    stop: threading.Event | None = None,
    progress: bool = True,
    verbose: bool = False,
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
        run_directory: where results go; by default a new folder in ``run.directory``, or that of
            `resume`.
        resume: run directory to go on from, with its newest checkpoint.
        overwrite: remove the run that is in `run_directory`, which is refused otherwise.
        insecure: allow servers to listen to other machines without encryption.
        log_level: "debug", "info", "warning" or "error".
        stop: set it to end the run cleanly.
        progress: show how it goes: a screen on a terminal or in a notebook, lines elsewhere.
        verbose: show on the screen all that is logged, and not warnings and errors alone.

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
    config = record_functions(config, environment=environment, network=network)
    resume = Path(resume) if resume is not None else None
    with (
        _chosen(config, run_directory, resume) as directory,
        RunClaim(directory, resume=resume, overwrite=overwrite, launching=True) as claim,
    ):
        arguments = RunArguments(
            run_directory=directory,
            environment=environment,
            network=network,
            resume=resume,
            overwrite=overwrite,
            insecure=insecure,
        )
        _check(config, arguments)
        claim.clear_servers()
        with (
            choose_display(
                RunPlan.of(config), directory, progress=progress, verbose=verbose, stop=stop
            ) as display,
            LocalRun(config, arguments, audience=display, log_level=log_level, stop=stop) as local,
        ):
            local.run()
            display.conclude()
        return finish(directory)


def train(
    config: Config,
    *,
    environment: Callable[..., Any] | None = None,
    network: Callable[..., Any] | None = None,
    run_directory: str | Path | None = None,
    resume: str | Path | None = None,
    overwrite: bool = False,
    stop: threading.Event | None = None,
    progress: bool = True,
    verbose: bool = False,
) -> dict[str, Any]:
    """Train in this process, without sockets; two runs of one configuration are identical.

    Args:
        config: of the run.
        environment: as for `run`.
        network: as for `run`.
        run_directory: as for `run`.
        resume: as for `run`; the run may have been one of several processes.
        overwrite: as for `run`.
        stop: set it, from another thread, to end the training cleanly.
        progress: as for `run`.
        verbose: as for `run`.

    Returns:
        What is in ``summary.json``, and ``run_directory``.

    Raises:
        ZdqnError: what ended the training, if it did not end well.
    """
    from zdqn.roles.single import Single

    resume = Path(resume) if resume is not None else None
    plan = RunPlan.of(config, one_process=True)
    with (
        _chosen(config, run_directory, resume) as directory,
        choose_display(plan, directory, progress=progress, verbose=verbose, stop=stop) as display,
        Single(
            config,
            run_directory=directory,
            environment=environment,
            network=network,
            resume=resume,
            overwrite=overwrite,
            stop=stop,
        ) as single,
    ):
        display.follow_training(single.status)
        single.run()
        display.conclude()
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
    except Exception as error:  # noqa: BLE001 - matplotlib's too, whatever it stumbles over
        logger.warning(
            "No learning curve was drawn: %s: %s The run itself has ended well.",
            type(error).__name__,
            error,
        )
        return None


def _check(config: Config, given: RunArguments) -> None:
    """Refuse, before anything starts or is written, what its processes would refuse later."""
    check_environment_is_given(config, given.environment)
    check_network_is_given(config, given.network)
    for parameter, bind in (
        ("memory.bind", config.memory.bind),
        ("learner.bind", config.learner.bind),
    ):
        address = parse_address(bind, parameter=parameter, bind=True)
        check_bind(address, parameter=parameter, insecure=given.insecure)
    if given.environment is None:
        from zdqn.envs.resolving import resolve

        resolve(config.environment.id)
    if given.resume is not None:
        from zdqn.records.resuming import load_resumption

        limits, directory = build_limits(config), given.run_directory
        load_resumption(given.resume, config, limits, into=directory, quiet=True)


def _chosen(
    config: Config, given: str | Path | None, resume: Path | None
) -> AbstractContextManager[Path]:
    stem = config.environment.id.rpartition("/")[2]
    return chosen_run_directory(
        Path(given) if given is not None else None,
        resume,
        parent=config.run.directory,
        stem=stem,
    )
