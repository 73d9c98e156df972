"""Training from Python: `run` with all roles as local processes, `train` in this one."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from zdqn.config import Config, as_config, from_dict, to_dict
from zdqn.errors import UsageError, did_you_mean
from zdqn.experiments.plots import plot_learning_curve
from zdqn.launch.display import Display, choose_display
from zdqn.launch.local_run import Companion, LocalRun
from zdqn.launch.logs import LEVELS
from zdqn.launch.placement import ThisMachine
from zdqn.launch.plan import RunArguments
from zdqn.launch.run_view import RunPlan
from zdqn.launch.waiting import shown_progress
from zdqn.records.configured_sinks import check_sinks
from zdqn.records.given_functions import (
    check_environment_is_given,
    check_network_is_given,
    environment_name,
    record_functions,
)
from zdqn.records.resuming import load_resumption
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_files import chosen_run_directory, read_summary
from zdqn.records.run_result import RunResult
from zdqn.records.sinks import Sink
from zdqn.roles.building import EnvironmentFactory, NetworkFactory, build_limits
from zdqn.roles.metrics_endpoint import parse_place
from zdqn.wire.addresses import check_bind, parse_address
from zdqn.wire.keys.allow_list import KEY_ROLES
from zdqn.wire.keys.role_keys import RoleKeys, open_keys

logger = logging.getLogger("zdqn")


def run(
    config: Config | str | Path | Mapping[str, Any],
    *,
    environment: EnvironmentFactory | None = None,
    network: NetworkFactory | None = None,
    collectors: int | None = None,
    evaluators: int | None = None,
    run_directory: str | Path | None = None,
    resume: str | Path | None = None,
    overwrite: bool = False,
    insecure: bool = False,
    keys: str | Path | None = None,
    log_level: str = "info",
    sinks: Sequence[Sink] = (),
    stop: threading.Event | None = None,
    progress: bool = True,
    verbose: bool = False,
) -> RunResult:
    """Train with every role as a process of this machine, and show how it goes.

    Works from a script without a main guard, and from a notebook. The learner is a process of its
    own, so that sinks hear of metrics, evaluations (without weights), checkpoints and the summary a
    moment later than there, and of no single update.

    Args:
        config: of the run: a `zdqn.Config`, the path of a TOML file, or a dictionary of sections.
        environment: called with ``environment.kwargs`` to make a `gymnasium.Env`, instead of
            ``environment.id``; a closure will do.
        network: called with the `zdqn.EnvironmentSpec` to make a Q-network, instead of
            ``network.kind``: a `torch.nn.Module` from observations (B, *spec.stacked_shape) of the
            environment's dtype to action values (B, spec.num_actions) float32. A closure will do.
        collectors: how many, instead of ``launch.collectors``.
        evaluators: how many, instead of ``launch.evaluators``.
        run_directory: where results go; by default a new folder in ``run.directory``, or that of
            `resume`.
        resume: run directory to go on from, with its newest checkpoint.
        overwrite: remove the run that is in `run_directory`, which is refused otherwise.
        insecure: allow servers to listen to other machines without encryption.
        keys: folder of keys, instead of ``security.keys``.
        log_level: "debug", "info", "warning" or "error".
        sinks: told of each row of metrics, each evaluation, each checkpoint and the summary, in the
            thread that called. False, returned by one, ends the run cleanly; so does what one
            raises, but for a `FileError`.
        stop: set it to end the run cleanly.
        progress: show how it goes: a screen on a terminal or in a notebook, lines elsewhere.
        verbose: show on the screen all that is logged, and not warnings and errors alone.

    Returns:
        How it ended, and where its files are.

    Raises:
        ConfigError: when the configuration, or what it names, cannot work.
        NotAllowedError: when a key is missing, or others can read it.
        RunDirectoryTakenError: when another run, or another process, has the run directory.
        ZdqnError: what ended the run, if it did not end well; `zdqn.errors` lists them.
        KeyboardInterrupt: if it came, once the run has ended cleanly.
    """
    if log_level not in LEVELS:
        raise UsageError(f"log_level is {log_level!r}. {did_you_mean(str(log_level), LEVELS)}")
    counts = {"collectors": collectors, "evaluators": evaluators}
    given = {role: count for role, count in counts.items() if count is not None}
    values = to_dict(as_config(config, source="zdqn.run"))
    values["launch"].update(given)
    if keys := keys or values["security"]["keys"]:  # each process finds it, wherever it starts
        values["security"]["keys"] = str(Path(keys).expanduser().absolute())
    config = from_dict(values, source="zdqn.run")
    config = record_functions(config, environment=environment, network=network)
    resume = Path(resume) if resume is not None else None
    with _chosen(environment_name(config), config, run_directory, resume) as directory:
        arguments = RunArguments(
            run_directory=directory,
            environment=environment,
            network=network,
            resume=resume,
            overwrite=overwrite,
            insecure=insecure,
            tells=bool(sinks),
        )
        return run_processes(
            config,
            arguments,
            show=partial(choose_display, progress=progress, verbose=verbose),
            log_level=log_level,
            stop=stop,
            sinks=sinks,
            progress=progress,
        )


class ShowRun(Protocol):
    """Makes what shows a run, as `zdqn.launch.display.choose_display` does."""

    def __call__(
        self,
        plan: RunPlan,
        directory: Path,
        /,
        *,
        stop: threading.Event | None,
        keys: RoleKeys | None,
    ) -> Display:
        """Make it; the arguments are those of `choose_display`."""


def run_processes(
    config: Config,
    arguments: RunArguments,
    *,
    show: ShowRun,
    log_level: str = "info",
    stop: threading.Event | None = None,
    companion: Companion | None = None,
    sinks: Sequence[Sink] = (),
    progress: bool = True,
) -> RunResult:
    """Claim a run's folder, and run it with every role as a process of this machine.

    Args:
        config: of the run.
        arguments: what its roles get besides.
        show: makes what shows it.
        log_level: of all roles.
        stop: set it to end the run cleanly.
        companion: of the `LocalRun`.
        sinks: of the `LocalRun`.
        progress: whether to show what is loaded before there is anything else to show.

    Raises: as `run` does.
    """
    directory = arguments.run_directory
    with RunClaim(
        directory, resume=arguments.resume, overwrite=arguments.overwrite, launching=True
    ) as claim:
        what = f"loading the checkpoint of {arguments.resume}"
        with shown_progress(what) if arguments.resume and progress else nullcontext():
            operator = _check(config, arguments)
        claim.clear_servers()
        claim.clear_replay()
        with (
            show(RunPlan.of(config), directory, stop=stop, keys=operator) as display,
            LocalRun(
                ThisMachine(config, arguments),
                audience=display,
                log_level=log_level,
                stop=stop,
                companion=companion,
                sinks=sinks,
            ) as local,
            _concluded(display),
        ):
            local.run()
        return finish(directory)


def train(
    config: Config | str | Path | Mapping[str, Any],
    *,
    environment: EnvironmentFactory | None = None,
    network: NetworkFactory | None = None,
    run_directory: str | Path | None = None,
    resume: str | Path | None = None,
    overwrite: bool = False,
    insecure: bool = False,
    sinks: Sequence[Sink] = (),
    stop: threading.Event | None = None,
    progress: bool = True,
    verbose: bool = False,
) -> RunResult:
    """Train in this process, without sockets; two runs of one configuration are identical.

    Args:
        config: as for `run`.
        environment: as for `run`.
        network: as for `run`.
        run_directory: as for `run`.
        resume: as for `run`; the run may have been one of several processes.
        overwrite: as for `run`.
        insecure: allow ``sinks.prometheus`` an address that other machines can reach.
        sinks: told of each row of metrics, each evaluation and the summary, as they come. False,
            returned by one, ends the training cleanly.
        stop: set it, from another thread, to end the training cleanly.
        progress: as for `run`.
        verbose: as for `run`.

    Returns:
        How it ended, and where its files are.

    Raises:
        ConfigError: when the configuration, or what it names, cannot work.
        RunDirectoryTakenError: when another run, or another process, has the run directory.
        ZdqnError: what ended the training, if it did not end well; `zdqn.errors` lists them.
        KeyboardInterrupt: if it came, once the summary is written; the newest checkpoint is from
            before it.
    """
    from zdqn.roles.single import Single

    config = as_config(config, source="zdqn.train")
    resume = Path(resume) if resume is not None else None
    plan = RunPlan.of(config, environment=environment, one_process=True)
    with (
        _chosen(plan.environment, config, run_directory, resume) as directory,
        choose_display(plan, directory, progress=progress, verbose=verbose, stop=stop) as display,
        Single(
            config,
            run_directory=directory,
            environment=environment,
            network=network,
            resume=resume,
            overwrite=overwrite,
            insecure=insecure,
            sinks=sinks,
            stop=stop,
        ) as single,
    ):
        display.follow_training(single.status)
        with _concluded(display):
            single.run()
        return finish(directory)


@contextmanager
def _concluded(display: Display) -> Iterator[None]:
    """Have a display show how a run has ended; that it was interrupted is an end too."""
    try:
        yield
    except KeyboardInterrupt:
        display.conclude()
        raise
    display.conclude()


def finish(run_directory: Path) -> RunResult:
    """Draw the learning curve of a run that has ended and give its result.

    Raises:
        FileError: when a file cannot be read.
    """
    result = RunResult(run_directory, read_summary(run_directory))
    if result.summary:
        _draw(run_directory)
    return result


def _draw(run_directory: Path) -> None:
    """Draw the learning curve; a run that has ended well does not fail for want of a picture."""
    try:
        plot_learning_curve(run_directory)
    except Exception as error:  # noqa: BLE001 - matplotlib's too, whatever it stumbles over
        logger.warning(
            "No learning curve was drawn: %s: %s The run itself has ended well.",
            type(error).__name__,
            error,
        )


def _check(config: Config, given: RunArguments) -> RoleKeys | None:
    """Refuse, before anything starts or is written, what its processes would refuse later.

    Returns:
        The keys with which to ask how the run goes, if it has keys.
    """
    check_environment_is_given(config, given.environment)
    check_network_is_given(config, given.network)
    check_sinks(config)
    if config.sinks.prometheus:
        parse_place(config.sinks.prometheus, insecure=given.insecure)
    keys = {role: open_keys(config.security.keys, role) for role in KEY_ROLES}
    for parameter, bind in (
        ("memory.bind", config.memory.bind),
        ("learner.bind", config.learner.bind),
    ):
        address = parse_address(bind, parameter=parameter, bind=True)
        check_bind(
            address,
            parameter=parameter,
            insecure=given.insecure,
            has_keys=keys["operator"] is not None,
        )
    if given.environment is None:
        from zdqn.envs.resolving import resolve

        resolve(config.environment.id)
    load_resumption(
        given.resume, config, build_limits(config), into=given.run_directory, quiet=True
    )
    return keys["operator"]


def _chosen(
    environment: str, config: Config, given: str | Path | None, resume: Path | None
) -> AbstractContextManager[Path]:
    # of "suite/Name-v0" the last part, and of a function's "module:outer.<locals>.name" too
    stem = re.sub(r"[<>]", "", re.split(r"[/:.]", environment)[-1])
    return chosen_run_directory(
        Path(given) if given is not None else None,
        resume,
        parent=config.run.directory,
        stem=stem,
    )
