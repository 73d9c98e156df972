"""A run on the machines of a lab, from its start to its end."""

from __future__ import annotations

import logging
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zdqn.closing import Closing
from zdqn.errors import FileError, PeerUnavailableError, ZdqnError
from zdqn.launch.cluster.agent_place import LAUNCH_ID
from zdqn.launch.cluster.cluster_hosts import ClusterHosts
from zdqn.launch.cluster.cluster_placement import ClusterPlacement
from zdqn.launch.cluster.cluster_plan import ClusterPlan, on_this_machine
from zdqn.launch.cluster.cluster_record import ClusterRecord, is_cluster, own_keys_of, write_record
from zdqn.launch.cluster.connecting import use_for
from zdqn.launch.cluster.detaching import check_detachable, start_all
from zdqn.launch.cluster.preflight import HostFinding, look_at_cluster, refuse_what_is_bad
from zdqn.launch.cluster.replay_need import find_replay_need
from zdqn.launch.cluster.run_mirror import RunMirror, mirror_of
from zdqn.launch.cluster.run_orders import RunOrders
from zdqn.launch.display import choose_display
from zdqn.launch.entry import finish
from zdqn.launch.local_run import LocalRun
from zdqn.launch.restarts import Restarts
from zdqn.launch.run_view import RunPlan
from zdqn.launch.waiting import shown_progress
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_files import RunFiles, chosen_run_directory, read_summary
from zdqn.records.run_result import RunResult
from zdqn.wire.keys.role_keys import RoleKeys, open_keys

logger = logging.getLogger("zdqn")


def chosen_folder(
    plan: ClusterPlan, given: Path | None, resume: Path | None, *, stem: str
) -> AbstractContextManager[Path]:
    """Choose the folder of a run on this machine; see `chosen_run_directory`.

    Raises:
        FileError: when it cannot be made, or there is no run to go on with.
    """
    if resume is not None and not is_cluster(resume):
        raise FileError(
            f"--resume is {resume}, which is no run of `zdqn launch`. Give the folder that it "
            f"printed, or leave --resume out to start anew."
        )
    return chosen_run_directory(given or resume, None, parent=plan.config.run.directory, stem=stem)


@dataclass(frozen=True)
class LaunchOptions:
    """How a run on several hosts is launched.

    Attributes:
        directory: of the run on this machine; its name is that of the folder on each host.
        local: play every host with a process of this machine, without ssh.
        secure: make keys, so that every link is encrypted and joined by this run's roles alone.
        resume: go on from the newest checkpoint on the learner's host.
        log_level: of all roles.
        progress: show how it goes.
        verbose: show all that is logged, and not warnings and errors alone.
    """

    directory: Path
    local: bool = False
    secure: bool = True
    resume: bool = False
    log_level: str = "info"
    progress: bool = True
    verbose: bool = False


class Launching(Closing):
    """The hosts of a run, ready for its roles: connected, looked at, and with keys.

    Args:
        plan: which host runs what.
        options: how it is launched.
        detached: whether it is to go on without this process.

    Attributes:
        hosts: of the run.
        placement: of its processes.
        record: of the launch.

    Raises:
        ZdqnError: what keeps the run from beginning.
    """

    def __init__(self, plan: ClusterPlan, options: LaunchOptions, *, detached: bool) -> None:
        directory = options.directory.absolute()
        with ExitStack() as stack:
            resume = directory if options.resume else None
            stack.enter_context(RunClaim(directory, resume=resume, launching=True))
            if options.local:
                plan = on_this_machine(plan, python=sys.executable, directory=directory.parent)
            self.record = ClusterRecord(
                plan,
                directory.name,
                secure=options.secure,
                local=options.local,
                detached=detached,
            )
            stack.enter_context(_marked(directory))
            self.hosts = ClusterHosts(
                plan,
                run=self.record.run,
                directory=directory,
                use=use_for(plan, local=options.local),
                secure=options.secure,
                say=_say_first,
            )
            stack.enter_context(self.hosts)
            with _visiting(plan, self.hosts, shown=options.progress) as doing:
                self.hosts.open()
                doing("looking at what a run needs there")
                refuse_what_is_bad(look_at_cluster(plan, self.hosts))
            write_record(directory, self.record)
            self.placement = ClusterPlacement(
                plan, self.hosts.places, directory=directory, resume=options.resume
            )
            self._open = stack.pop_all()

    @property
    def operator(self) -> RoleKeys | None:
        """The keys with which to ask how the run goes."""
        secure = self.record.secure
        return open_keys(own_keys_of(self.placement.directory), "operator") if secure else None

    def mirror(self) -> RunMirror:
        """Give what copies the files of the learner's host here, where they are not here anyway."""
        learner = self.record.plan.host_of("learner").name
        return mirror_of(self.placement.directory, self.hosts, learner)

    def close(self) -> None:
        """Let go of the hosts; agents that keep nothing end all that still runs."""
        self._open.close()


def launch(
    plan: ClusterPlan, options: LaunchOptions, *, stop: threading.Event | None = None
) -> RunResult:
    """Train on the hosts of a plan, and show how it goes.

    Args:
        plan: which host runs what.
        options: how it is launched.
        stop: set it to end the run cleanly.

    Returns:
        How it ended, and where its files are here.

    Raises:
        ZdqnError: what ended the run, or kept it from beginning.
    """
    with Launching(plan, options, detached=False) as ready:
        directory = ready.placement.directory
        restarts, before = Restarts(plan.config.launch.max_restarts), read_summary(directory)
        with (
            choose_display(
                RunPlan.of(plan.config),
                directory,
                progress=options.progress,
                verbose=options.verbose,
                stop=stop,
                keys=ready.operator,
            ) as display,
            ready.mirror() as mirror,
        ):
            ready.hosts.say = say = lambda line: display.log("run", line)
            with (
                RunOrders(directory, ready.record, ready.hosts, restarts, say),
                LocalRun(
                    ready.placement,
                    audience=display,
                    log_level=options.log_level,
                    start=ready.hosts.start,
                    restarts=restarts,
                    stop=stop,
                ) as run,
            ):
                try:
                    run.run()
                except PeerUnavailableError as error:
                    if not ready.hosts.answers(plan.host_of("learner").name):
                        _check_nothing_is_left_behind(plan, directory, before, f"{error} ")
                    raise
                finally:
                    _take_the_rest(mirror)
                display.conclude()
        _check_nothing_is_left_behind(plan, directory, before)
        return here(finish(directory))


def launch_detached(
    plan: ClusterPlan, options: LaunchOptions, *, stop: threading.Event | None = None
) -> None:
    """Start a run that its hosts keep when this process has ended.

    Args:
        plan: which host runs what.
        options: how it is launched.
        stop: set it to give up before all has started.

    Raises:
        ZdqnError: what kept it from beginning; nothing of it runs then.
    """
    if not options.local:  # whose servers take free ports
        check_detachable(plan)
    with Launching(plan, options, detached=True) as ready:
        start_all(
            ready.placement,
            ready.hosts,
            plan.processes,
            endpoints={},
            log_level=options.log_level,
            show=lambda _name, _line: None,
            stop=stop,
        )
        ready.hosts.keep(plan.config.launch.max_restarts)


def check(plan: ClusterPlan, *, local: bool = False) -> list[HostFinding]:
    """Look at every host of a plan, and at who reaches whom; nothing is started, or left there.

    Args:
        plan: of the run.
        local: play every host with a process of this machine.
    """
    if local:
        plan = on_this_machine(plan, python=sys.executable, directory=Path.cwd())
    with (
        ClusterHosts(
            plan,
            run="",
            directory=Path(),
            use=use_for(plan, local=local),
            secure=False,
            errand="look",
            say=_say_first,
        ) as hosts,
        _visiting(plan, hosts) as doing,
    ):
        hosts.open_what_can_be()
        doing("looking at what a run needs there")
        return look_at_cluster(plan, hosts, find_replay_need(plan.config))


def here(result: RunResult) -> RunResult:
    """Give a result that names the folder of this machine, whatever the learner called its own."""
    summary: dict[str, Any] = dict(result.summary)
    if summary:
        summary["run_directory"] = str(result.run_directory)
    return replace(result, summary=summary)


@contextmanager
def _visiting(
    plan: ClusterPlan, hosts: ClusterHosts, *, shown: bool = True
) -> Iterator[Callable[[str], object]]:
    """Show how many hosts are connected; gives what is told what is done besides."""
    if not shown:
        yield lambda _: None
        return
    count, unit = len(plan.hosts), "host" if len(plan.hosts) == 1 else "hosts"
    with shown_progress(
        "connecting", count, unit, alike=False, count=lambda: len(hosts.places)
    ) as progress:
        yield progress.doing


@contextmanager
def _marked(directory: Path) -> Iterator[None]:
    """Mark a launch's folder, so that a host that sees it on a shared disk knows it again."""
    mark = directory / LAUNCH_ID
    try:
        mark.write_text(secrets.token_hex(16))
    except OSError as error:
        raise FileError(f"Cannot write {mark}: {error.strerror}.") from error
    try:
        yield
    finally:
        if not is_cluster(directory):  # nothing has begun
            mark.unlink(missing_ok=True)
            shutil.rmtree(own_keys_of(directory), ignore_errors=True)


def _check_nothing_is_left_behind(
    plan: ClusterPlan, directory: Path, before: Mapping[str, Any], why: str = ""
) -> None:
    """Say where what was learned is, if the learner's host was away as the run ended.

    Raises:
        PeerUnavailableError: when training had begun, and no summary has come since.
    """
    if not RunFiles(directory).metrics.exists() or read_summary(directory) != before:
        return
    host = plan.host_of("learner")
    raise PeerUnavailableError(
        f"{why}The run has ended without a summary, as {host.name}, the host of its learner, is "
        f"away. Its checkpoints are there, in {host.directory}/{directory.name}: when that host is "
        f"back, --resume {directory} goes on from the newest."
    )


def _take_the_rest(mirror: RunMirror) -> None:
    try:
        mirror.finish()
    except (ZdqnError, OSError) as error:
        logger.warning("Not all files of the run could be copied here: %s", error)


def _say_first(line: str) -> None:
    logger.info("%s", line)
