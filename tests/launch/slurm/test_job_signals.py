"""What Slurm's signals ask of a job, and whether it comes back."""

import os
import signal

import pytest

from zdqn.errors import ConfigError
from zdqn.launch.slurm.job_signals import AT_LIMIT, leave, own_job, stop_on_job_signals
from zdqn.launch.slurm.slurm_commands import QueuedJob


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2, signal.SIGINT])
def test_the_first_signal_counts_and_the_second_ends_nothing(number):
    before = signal.getsignal(number)
    with stop_on_job_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(60)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason == signal.Signals(number).name
    assert signal.getsignal(number) is before


def test_a_job_and_a_task_know_their_numbers():
    assert own_job({}) == ""
    assert own_job({"SLURM_JOB_ID": "12"}) == "12"
    task = {"SLURM_JOB_ID": "14", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
    assert own_job(task) == "12_3"


def state(name):
    return [QueuedJob("12", "12", "", name, "n", "1", ""), QueuedJob("9", "9", "", "X", "", "", "")]


@pytest.mark.parametrize(
    ("why", "at_time_limit", "jobs", "queued"),
    [
        ("SIGTERM", "end", state("RUNNING"), ["12"]),  # preempted, with a time of grace
        ("SIGTERM", "end", state("COMPLETING"), []),  # cancelled, or queued again already
        ("SIGTERM", "end", [], []),
        (AT_LIMIT, "requeue", state("RUNNING"), ["12"]),
        (AT_LIMIT, "end", state("RUNNING"), []),
        ("", "requeue", state("RUNNING"), []),
    ],
)
def test_a_job_that_slurm_counts_as_running_queues_itself_again(why, at_time_limit, jobs, queued):
    again: list[str] = []
    leave(why, at_time_limit, job="12", listed=lambda: jobs, queue_again=again.append)
    assert again == queued


def test_outside_of_slurm_nobody_is_asked():
    leave("SIGTERM", "end", job="", listed=lambda: pytest.fail("asked"))


def test_a_job_ends_also_where_slurm_does_not_do_as_it_is_told(caplog):
    def refuse(job):
        raise ConfigError(f"no requeue of {job}")

    leave("SIGTERM", "end", job="12", listed=lambda: state("RUNNING"), queue_again=refuse)
    assert "could not be queued again: no requeue of 12" in caplog.text
