"""A run of Slurm, seen from another terminal: its jobs, and how they are ended and begun again."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from zdqn.closing import Closing
from zdqn.errors import PeerUnavailableError, UsageError, did_you_mean
from zdqn.launch.cluster.rotated_log import read_log
from zdqn.launch.slurm import slurm_commands
from zdqn.launch.slurm.batch_files import SERVERS, array_name
from zdqn.launch.slurm.run_stage import read_stage
from zdqn.launch.slurm.slurm_commands import QueuedJob
from zdqn.launch.slurm.slurm_entry import add_collectors
from zdqn.launch.slurm.slurm_record import read_slurm_record
from zdqn.records.run_files import RunFiles

_TICK_S = 1.0
_ADDITION = re.compile(r"collectors=(\d{1,4})")
_WITHIN = ("memory", "learner", "evaluator")


class SlurmVisit(Closing):
    """A look at the jobs of a run.

    Args:
        directory: of the run.
        say: told what a person should know.

    Attributes:
        record: of the run.

    Raises:
        FileError: when it is no run of Slurm.
    """

    def __init__(self, directory: Path, say: Callable[[str], None]) -> None:
        self._directory = directory.absolute()
        self._say = say
        self.record = read_slurm_record(self._directory)

    # --- what is there ----------------------------------------------------------------------------

    def log_names(self) -> list[str]:
        """Name the logs that there are."""
        return sorted(path.stem for path in RunFiles(self._directory).logs.glob("*.log"))

    def main_logs(self) -> list[str]:
        """Name those of jobs; what roles of the servers log is in that of their job, too."""
        within = {process.name for process in self.record.plan.processes}
        return [name for name in self.log_names() if name not in within]

    def read_log(self, name: str, begin: int, tail: int) -> dict[str, Any]:
        """Read what has come to a log; see `zdqn.launch.cluster.rotated_log`."""
        return read_log(RunFiles(self._directory).log_of(name), begin, tail)

    def jobs(self) -> list[QueuedJob]:
        """List the jobs of the run that have not ended."""
        return slurm_commands.of_run(slurm_commands.queued_jobs(), self.record.jobs.values())

    def living(self) -> list[str]:
        """Name the jobs that have not ended."""
        return [f"job {job.job}" for job in self.jobs()]

    def describe(self) -> list[str]:
        """Say how far the run is, and what Slurm says of its jobs, a line each."""
        stage, queued = read_stage(self._directory), self.jobs()
        why = f" ({stage.why})" if stage.why else ""
        lines = [f"Slurm: the run is {stage.name}{why}, start {stage.start} of its servers"]
        width = max(len(name) for name in self.record.jobs) if self.record.jobs else 0
        for name, number in self.record.jobs.items():
            states = describe_states(job for job in queued if job.array == number)
            lines.append(f"  {name:<{width}}  job {number}  {states}")
        return lines

    # --- changes ----------------------------------------------------------------------------------

    def restart(self, name: str) -> str:
        """Have a job end and wait in the queue again: ``servers``, or a collector by its name.

        Raises:
            UsageError: when there is none of that name.
            ConfigError: when Slurm does not do so, as where it does not run.
        """
        name = name.partition("@")[0]  # as a status has it, with its node
        numbers = {
            collector: f"{self.record.jobs[array_name(array)]}_{array.first + place}"
            for array in self.record.plan.arrays
            for place, collector in enumerate(array.names)
        }
        known = {SERVERS: self.record.servers_job, **numbers}
        if name.partition("-")[0] in _WITHIN:
            raise UsageError(
                f"The {name} is in the job of the servers, which is restarted as a whole, from a "
                f"checkpoint: `zdqn restart {SERVERS} {self._directory}`."
            )
        if name not in known:
            raise UsageError(
                f'There is no "{name}" in this run. {did_you_mean(name, known, label="It has")}'
            )
        slurm_commands.requeue(known[name])
        return f"{name} (job {known[name]}) was told to end, and waits in the queue again"

    def add(self, text: str) -> str:
        """Submit another array of collectors.

        Raises:
            UsageError: when it is no number of collectors.
            PeerUnavailableError: when the servers' job has ended.
            ZdqnError: when Slurm refuses it.
        """
        match = _ADDITION.fullmatch(text)
        if match is None or not int(match[1]):
            raise UsageError(
                f'--add is "{text}"; of a run of Slurm it must be collectors=COUNT, such as '
                f"collectors=8: Slurm chooses the nodes. More evaluators are in the servers' job "
                f"from the next submission: --slurm CLUSTER --resume {self._directory}."
            )
        if all(job.array != self.record.servers_job for job in self.jobs()):
            raise PeerUnavailableError(
                f"--add is {text}, but job {self.record.servers_job} of the servers is in Slurm's "
                f"queue no more. Go on with the run: --slurm CLUSTER --resume {self._directory}."
            )
        self.record, name = add_collectors(self._directory, int(match[1]))
        first, *more = self.record.plan.arrays[-1].names
        to = f" to {more[-1]}" if more else ""
        return f"added {first}{to}, job {self.record.jobs[name]}"

    def remove(self, host: str) -> str:
        """Refuse it: Slurm chooses nodes.

        Raises:
            UsageError: always, with the way out.
        """
        arrays = [number for name, number in self.record.jobs.items() if name != SERVERS]
        raise UsageError(
            f"--remove is {host}, but Slurm chooses the nodes of this run. `scancel` ends tasks of "
            f"its collectors, such as `scancel {arrays[0]}_0`; or give its array fewer at a time: "
            f"`scontrol update JobId={arrays[0]} ArrayTaskThrottle=4`."
        )

    # --- the end ----------------------------------------------------------------------------------

    def end_agents(self) -> str:
        """Cancel all jobs: for a run whose servers do not answer, or have not begun."""
        slurm_commands.cancel(list(self.record.jobs.values()))
        return "its servers do not answer; cancelled its jobs"

    def wait_for_the_end(self, timeout_s: float) -> bool:
        """Wait for the end of the servers' job, and cancel what is left then.

        Returns:
            Whether no job is left.
        """
        pause, waited_s = threading.Event(), 0.0
        cancelled = False
        while left := self.jobs():
            if waited_s >= timeout_s:
                return False
            if not cancelled and all(job.array != self.record.servers_job for job in left):
                slurm_commands.cancel(sorted({job.array for job in left}))
                cancelled = True
            pause.wait(_TICK_S)
            waited_s += _TICK_S
        return True

    def ends(self) -> dict[str, int]:
        """Give the exit code of the servers, once they have ended for good."""
        stage = read_stage(self._directory)
        return {"servers": stage.exit_code} if stage.is_over else {}

    def collect(self) -> None:
        """Do nothing: the files of the run are here."""

    def close(self) -> None:
        """Do nothing: a look holds nothing."""


def describe_states(jobs: Iterable[QueuedJob]) -> str:
    """Put the states of a job, or of the tasks of an array, into a few words."""
    counts: dict[str, int] = {}
    tasks = list(jobs)
    for job in tasks:
        where = f" on {job.node} for {job.time}" if job.node and len(tasks) == 1 else ""
        reason = job.reason.strip("()")
        why = f" ({reason})" if job.state == "PENDING" and reason != "None" else ""
        words = f"{job.state}{where}{why}"
        counts[words] = counts.get(words, 0) + 1
    if not counts:
        return "not in the queue any more"
    if len(tasks) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {words}" for words, count in counts.items())
