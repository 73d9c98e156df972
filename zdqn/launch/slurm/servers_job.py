"""The job of the servers: memory, learner and evaluators, each start of it one part of the run."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from zdqn.errors import ZdqnError
from zdqn.launch.cluster.cluster_record import own_keys_of
from zdqn.launch.display import choose_display
from zdqn.launch.entry import finish
from zdqn.launch.local_run import LocalRun
from zdqn.launch.logs import configure_logging
from zdqn.launch.run_view import RunPlan
from zdqn.launch.slurm.job_signals import AT_LIMIT, leave, stop_on_job_signals
from zdqn.launch.slurm.run_stage import RunStage, read_stage, write_stage
from zdqn.launch.slurm.servers_placement import ServersPlacement
from zdqn.launch.slurm.slurm_record import SlurmRecord, read_slurm_record
from zdqn.launch.summary import describe_end, summary_lines
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_files import RunFiles
from zdqn.records.run_result import RunResult
from zdqn.stopping import reason_of
from zdqn.wire.keys.role_keys import open_keys

logger = logging.getLogger("zdqn")


def run_servers(directory: Path, say: Callable[[str], None]) -> int:
    """Run the servers of a run until it is over, or Slurm wants the job to end.

    Args:
        directory: of the run, absolute.
        say: told what a person should read in the job's log.

    Returns:
        The exit code.

    Raises:
        ZdqnError: what kept the start from beginning.
    """
    record = read_slurm_record(directory)
    configure_logging(record.log_level)
    before = read_stage(directory)
    if before.is_over:
        say(f"The run is over ({before.why}): nothing is left to do. `zdqn launch --slurm CLUSTER "
            f"--resume {directory}` goes on with it.")  # fmt: skip
        return 0
    with stop_on_job_signals() as stop:
        _forget_servers(directory)  # of an earlier start, which nobody is to look for
        stage = RunStage("running", before.start + 1, node=socket.gethostname())
        write_stage(directory, stage)
        end = _serve(record, directory, stop, say)
        write_stage(directory, replace(end, start=stage.start, node=stage.node))
        if end.name == "suspended":
            _forget_servers(directory)
            leave(reason_of(stop), record.plan.at_time_limit)
    return end.exit_code


def _forget_servers(directory: Path) -> None:
    RunFiles(directory).endpoints.unlink(missing_ok=True)


def _serve(
    record: SlurmRecord, directory: Path, stop: threading.Event, say: Callable[[str], None]
) -> RunStage:
    """Run all roles of the job; gives how far the run is then."""
    try:
        result = _run_roles(record, directory, stop, say)
    except ZdqnError as error:
        if not stop.is_set():
            say(f"error: {error}")
            return RunStage("failed", why=str(error), exit_code=error.exit_code)
        logger.warning("while the job was told to end: %s", error)
        return _suspended(record, reason_of(stop))
    for line in summary_lines(result.summary):
        say(line)
    reason = str(result.summary.get("stop_reason") or "")
    if stop.is_set() or reason.startswith("SIG"):  # Slurm signals all processes of a job
        return _suspended(record, reason_of(stop) or reason)
    return RunStage("ended", why=describe_end(result.summary) or "before training began")


def _suspended(record: SlurmRecord, signal: str) -> RunStage:
    if signal != AT_LIMIT:
        return RunStage("suspended", why=signal)
    return RunStage("suspended", why=f"its time limit (at_time_limit: {record.plan.at_time_limit})")


def _run_roles(
    record: SlurmRecord, directory: Path, stop: threading.Event, say: Callable[[str], None]
) -> RunResult:
    placement = ServersPlacement(record, directory)
    if placement.overwrite:
        say("An earlier start was killed before its first checkpoint: training begins anew.")
    claim = RunClaim(
        directory, resume=placement.resume, overwrite=placement.overwrite, launching=True
    )
    operator = open_keys(own_keys_of(directory), "operator") if record.secure else None
    with (
        claim,
        choose_display(
            RunPlan.of(placement.config), directory, stop=stop, keys=operator
        ) as display,
        LocalRun(placement, audience=display, log_level=record.log_level, stop=stop) as run,
    ):
        run.run()
        display.conclude()
        return finish(directory)
