"""The jobs of a run as processes of this machine: preempted, started again, at their end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.launch.slurm.plans import tiny_slurm_plan
from zdqn.launch.slurm.batch_files import RunPlace
from zdqn.launch.slurm.run_stage import RunStage, read_stage, write_stage
from zdqn.launch.slurm.slurm_entry import Submission, submit_run
from zdqn.launch.slurm.slurm_record import read_slurm_record
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.remote_control import request_stop

pytestmark = pytest.mark.usefixtures("unlooked")

DEADLINE_S = 120.0


class Jobs:
    """Starts the jobs of a run as Slurm would; none outlives it."""

    def __init__(self, directory, slurm):
        self.directory = directory
        self._slurm = slurm
        self._started = []

    def starts(self, kind, *number):
        """Start a job that Slurm counts as running from now on; gives its process."""
        record = read_slurm_record(self.directory)
        name = "servers" if kind == "servers" else "collectors-0"
        job = record.jobs[name]
        self._slurm.set_states("RUNNING", array=job, node="here")
        environment = {"SLURM_JOB_ID": job}
        if number:
            environment |= {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": number[0]}
        log = (self.directory / "logs" / f"{kind}.log").open("a")
        command = [sys.executable, "-m", "zdqn.launch.slurm", kind, str(self.directory), *number]
        with log:
            process = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=log, stderr=log
            )
        self._started.append(process)
        return process

    def waits_for(self, holds, *processes):
        """Wait until something holds, while processes go on."""
        by_s = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < by_s, self.logs()
            assert all(process.poll() is None for process in processes), self.logs()
            time.sleep(0.02)

    def signals(self, process, number):
        """Signal all processes of a job, those that it has started before itself."""
        children = Path(f"/proc/{process.pid}/task").glob("*/children")
        for child in " ".join(path.read_text() for path in children).split():
            os.kill(int(child), number)
        process.send_signal(number)

    def ends(self, process):
        """Wait for the end of a job; gives its exit code."""
        try:
            return process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            pytest.fail(self.logs())

    def logs(self):
        return "\n".join(
            f"--- {path.name}\n{path.read_text()}" for path in (self.directory / "logs").iterdir()
        )

    def metrics(self):
        path = self.directory / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def close(self):
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait(DEADLINE_S)


@pytest.fixture
def jobs(tmp_path, slurm):
    directory = tmp_path / "run"
    plan = tiny_slurm_plan(**{"learner.report_period_s": 0.1})
    submit_run(plan, Submission(RunPlace(directory, tmp_path)))
    made = Jobs(directory, slurm)
    yield made
    made.close()


@pytest.mark.own_keys
@pytest.mark.timeout(300)
def test_a_preempted_run_goes_on_and_its_collectors_follow_it(jobs, slurm):
    servers, collector = jobs.starts("servers"), jobs.starts("collector", "0")
    jobs.waits_for(lambda: len(jobs.metrics()) > 2, servers, collector)

    jobs.signals(servers, signal.SIGTERM)  # as Slurm does, which is about to kill it
    assert jobs.ends(servers) == 0, jobs.logs()
    assert "gave no last numbers" not in jobs.logs()  # the memory has ended after the learner
    assert read_stage(jobs.directory).name == "suspended"
    assert not (jobs.directory / "endpoints.json").exists()
    before = json.loads((jobs.directory / "summary.json").read_text())
    assert list((jobs.directory / "checkpoints").glob("*.pt"))
    record = read_slurm_record(jobs.directory)
    assert slurm.called("scontrol") == [["requeue", record.servers_job]]
    assert collector.poll() is None, jobs.logs()

    again = jobs.starts("servers")
    jobs.waits_for(
        lambda: jobs.metrics()[-1]["updates"] > before["updates"] + 100, again, collector
    )
    assert read_stage(jobs.directory).start == 2
    said = (jobs.directory / "logs" / "collector.log").read_text()
    assert said.count(" info collected ") == 1  # it did not go back to who had gone

    collector.send_signal(signal.SIGTERM)  # and the collector is preempted, too
    assert jobs.ends(collector) == 0, jobs.logs()
    assert slurm.called("scontrol")[-1] == ["requeue", f"{record.jobs['collectors-0']}_0"]
    back = jobs.starts("collector", "0")
    steps = jobs.metrics()[-1]["environment_steps"]
    jobs.waits_for(lambda: jobs.metrics()[-1]["environment_steps"] > steps + 50, again, back)

    endpoints = json.loads((jobs.directory / "endpoints.json").read_text())
    keys = open_keys(jobs.directory / "keys", "operator")
    request_stop(endpoints["learner"]["model"], "enough", 10.0, keys, "learner")
    assert jobs.ends(again) == 0, jobs.logs()
    assert jobs.ends(back) == 0, jobs.logs()
    summary = json.loads((jobs.directory / "summary.json").read_text())
    assert summary["stop_reason"] == "enough"
    assert summary["updates"] > before["updates"]
    assert read_stage(jobs.directory).is_over
    assert len(slurm.called("scontrol")) == 2  # who has ended is not queued again


@pytest.mark.own_keys
def test_the_time_limit_ends_in_a_checkpoint(jobs, slurm):
    servers, collector = jobs.starts("servers"), jobs.starts("collector", "0")
    jobs.waits_for(lambda: len(jobs.metrics()) > 1, servers, collector)
    servers.send_signal(signal.SIGUSR2)
    assert jobs.ends(servers) == 0, jobs.logs()
    stage = read_stage(jobs.directory)
    assert (stage.name, stage.why) == ("suspended", "its time limit (at_time_limit: end)")
    assert list((jobs.directory / "checkpoints").glob("*.pt"))
    assert slurm.called("scontrol") == []


@pytest.mark.own_keys
def test_a_run_that_is_over_does_nothing_when_a_job_of_it_begins(jobs):
    write_stage(jobs.directory, RunStage("ended", 1, "the goal was reached"))
    for process in (jobs.starts("servers"), jobs.starts("collector", "0")):
        assert jobs.ends(process) == 0, jobs.logs()
    assert "the goal was reached" in (jobs.directory / "logs" / "servers.log").read_text()
    assert not (jobs.directory / "metrics.jsonl").exists()


@pytest.mark.own_keys
def test_what_fails_ends_the_run_for_all_of_its_jobs(jobs):
    record = read_slurm_record(jobs.directory)
    (jobs.directory / "keys" / "learner.secret").unlink()
    servers = jobs.starts("servers")
    assert jobs.ends(servers) == 77, jobs.logs()
    stage = read_stage(jobs.directory)
    assert (stage.name, stage.exit_code) == ("failed", 77)
    assert record.secure
    collector = jobs.starts("collector", "0")
    assert jobs.ends(collector) == 0, jobs.logs()
    assert "the run has failed" in (jobs.directory / "logs" / "collector.log").read_text()
