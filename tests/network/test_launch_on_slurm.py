"""`zdqn launch --slurm` on a Slurm of two nodes: what a person types, and what is left behind."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.network.slurm_laboratory import SlurmLaboratory
from zdqn.launch.slurm.run_stage import read_stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.own_keys]

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120.0
ODD = 'a lab\'s $(touch pwned) `touch pwned`; 100%a "x" #y'
"""A name in which a shell, or sbatch, would do something, if anybody forgot to quote it."""

LAB = """\
[config.environment]
id = "CartPole-v1"
[config.stop]
environment_steps = {steps}
[config.replay]
capacity = 10_000
min_size = 500
samples_per_insert = 1.0
[config.learner]
compile = false
checkpoint_period_updates = 1_000
report_period_s = 0.5
[config.evaluator]
period_environment_steps = 20_000
episodes = 2

[defaults]
python = "{python}"
setup = ['export PYTHONPATH="{root}"', "# $(touch pwned)"]
environment = {{ OMP_NUM_THREADS = "1", ODD = {odd} }}

[slurm]
{keys}
[slurm.servers]
partition = "long"
[slurm.collectors]
partition = "spare"

[[collectors]]
count = 2
[[evaluators]]
count = 1
"""


@pytest.fixture(scope="module")
def laboratory():
    with tempfile.TemporaryDirectory(prefix="zdqn-") as folder:  # sockets have short paths
        try:
            made = SlurmLaboratory(Path(folder))
        except OSError as error:
            pytest.skip(f"no Slurm of two nodes can be made here: {error}")
        yield made
        made.close()


class Person:
    """Types commands on `alpha`, in a folder of a name that has to be quoted."""

    def __init__(self, laboratory, folder):
        self.laboratory = laboratory
        self.home = folder / ODD
        self.home.mkdir()
        self.run = self.home / "runs" / "a"

    def writes(self, *, steps=0, keys=""):
        """Write the cluster's file."""
        text = LAB.format(
            steps=steps, keys=keys, python=sys.executable, root=ROOT, odd=json.dumps(ODD)
        )
        (self.home / "lab.toml").write_text(text)

    def types(self, *words, code=0):
        """Type a command that is to end with a code; gives all that it prints."""
        done = subprocess.run(
            [*self.laboratory.on("near"), sys.executable, "-m", "zdqn", *map(str, words)],
            cwd=self.home, env={**self.laboratory.environment, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=DEADLINE_S * 2, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == code, f"{said}\n{self.logs()}"
        return said

    def launches(self):
        self.types("launch", "--slurm", "lab.toml", "--run-dir", self.run)
        return json.loads((self.run / "slurm.json").read_text())["jobs"]

    def waits_for(self, holds, what):
        self.laboratory.wait_for(holds, what=f"{what}\n{self.logs()}")

    def waits_for_training(self, *, beyond=0):
        """Wait until there are more updates; gives how many."""
        self.waits_for(lambda: self.updates() > beyond, f"more than {beyond} updates")
        return self.updates()

    def updates(self):
        path = self.run / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return json.loads(lines[-1])["updates"] if lines else -1

    def logs(self):
        logs = sorted((self.run / "logs").glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text()[-2000:]}" for path in logs)

    def log_of(self, name):
        path = self.run / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def states(self, job):
        """Give the states of a job, or of the tasks of an array."""
        said = self.laboratory.ask("squeue", "-h", "-r", "-o", "%F %T")
        return [line.split()[1] for line in said.splitlines() if line.split()[0] == job]

    def summary(self):
        return json.loads((self.run / "summary.json").read_text())


@pytest.fixture
def person(laboratory, tmp_path):
    laboratory.ask("scontrol", "update", "NodeName=alpha", "State=RESUME")
    one = Person(laboratory, tmp_path)
    yield one
    laboratory.ask("scancel", "--full", "--user=root", "--signal=KILL")
    laboratory.ask("scancel", "--user=root")
    laboratory.wait_for(lambda: not laboratory.processes(), what="the end of all jobs")
    laboratory.wait_for(lambda: not laboratory.ask("squeue", "-h"), what="an empty queue")
    assert not list(tmp_path.rglob("pwned"))


def test_a_run_outlives_the_preemption_of_all_its_jobs(person, laboratory):
    person.writes()
    assert "Slurm would take it" in person.types("launch", "--slurm", "lab.toml", "--check")
    jobs = person.launches()
    servers, collectors = jobs["servers"], jobs["collectors-0"]
    updates = person.waits_for_training()
    shown = person.types("status", person.run)
    assert "learner" in shown
    assert f"job {servers}  RUNNING on alpha" in shown
    assert f"job {collectors}  2 RUNNING" in shown

    # somebody with more rights takes the collectors' node for a while
    urgent = laboratory.ask(
        "sbatch", "--parsable", "--partition=urgent", "--exclusive", "--output=/dev/null",
        "--wrap=exec sleep 1000",
    )  # fmt: skip
    person.waits_for(lambda: person.states(urgent) == ["RUNNING"], "the urgent job")
    assert person.states(collectors) == ["PENDING", "PENDING"]
    assert person.states(servers) == ["RUNNING"]
    laboratory.ask("scancel", urgent)
    person.waits_for(lambda: person.states(collectors) == ["RUNNING"] * 2, "collectors again")
    updates = person.waits_for_training(beyond=person.updates() + 100)

    # the servers' node is drained, and they go on with the run on the other
    laboratory.ask("scontrol", "update", "NodeName=alpha", "State=DRAIN", "Reason=test")
    said = person.types("restart", "servers", person.run)
    assert f"job {servers}" in said
    person.waits_for(lambda: read_stage(person.run).start == 2, "the second start")
    assert person.summary()["updates"] >= updates
    endpoints = (person.run / "endpoints.json").read_text
    person.waits_for(
        lambda: (person.run / "endpoints.json").exists() and "learner" in endpoints(), "servers"
    )
    assert "//beta:" in endpoints()
    assert "//alpha:" not in endpoints()
    updates = person.waits_for_training(beyond=person.summary()["updates"] + 500)
    assert person.states(collectors) == ["RUNNING", "RUNNING"]
    assert "resuming from" in person.log_of("learner")
    assert "gave no last numbers" not in person.logs()  # SIGTERM has not ended the memory first

    said = person.types("stop", person.run)
    assert "asked tcp://beta:" in said
    assert "zdqn stop by" in said
    assert laboratory.processes() == []
    assert person.states(servers) == person.states(collectors) == []
    assert person.summary()["updates"] >= updates
    assert json.loads((person.run / "config.toml").with_name("slurm.json").read_text())["secure"]
    shown = person.types("status", person.run)
    assert "the run is ended" in shown
    assert f"job {servers}  not in the queue any more" in shown


def test_a_run_reaches_its_end_and_its_jobs_with_it(person, laboratory):
    person.writes(steps=30_000)
    jobs = person.launches()
    person.waits_for(lambda: read_stage(person.run).is_over, "the end of the run")
    person.waits_for(lambda: not laboratory.processes(), "the end of its jobs")
    assert person.summary()["stop_reason"] == "environment_steps"
    assert person.summary()["blocks_lost"] == 0
    person.waits_for(lambda: not any(map(person.states, jobs.values())), "an empty queue")
    assert "stop.environment_steps was reached" in person.types("stop", person.run)
    assert "environment steps" in person.types("logs", person.run, "--role", "servers")


def test_cancelled_jobs_leave_nothing_and_a_checkpoint_to_go_on_from(person, laboratory):
    person.writes()
    jobs = person.launches()
    person.waits_for_training()
    laboratory.ask("scancel", *jobs.values())
    person.waits_for(lambda: not any(map(person.states, jobs.values())), "an empty queue")
    person.waits_for(lambda: not laboratory.processes(), "the end of its jobs")
    assert read_stage(person.run).name == "suspended"
    before = person.summary()["updates"]
    person.types("launch", "--slurm", "lab.toml", "--resume", person.run)
    person.waits_for_training(beyond=before + 100)
    person.types("stop", person.run)
    assert laboratory.processes() == []


def test_a_run_goes_on_beyond_the_time_limit_of_a_job(person):
    person.writes(keys='time = "2"\ncheckpoint_s = 10\nat_time_limit = "requeue"')
    person.launches()
    person.waits_for_training()
    person.waits_for(lambda: read_stage(person.run).start == 1, "the first start")
    laboratory = person.laboratory
    for _ in range(2):  # each wait has a deadline that is shorter than the limit
        if read_stage(person.run).start == 1:
            try:
                laboratory.wait_for(lambda: read_stage(person.run).start == 2)
            except AssertionError:
                continue
    assert read_stage(person.run).start == 2, person.logs()
    person.waits_for_training(beyond=person.summary()["updates"] + 100)
    person.types("stop", person.run)
    assert laboratory.processes() == []
