"""`zdqn chaos` with real processes: roles are killed, come back, and nothing goes amiss."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import zdqn
from tests.launch.views import collector, status
from tests.roles.conftest import DEADLINE_S, eventually
from zdqn.launch.chaos import Chaos
from zdqn.launch.plan import PlannedProcess
from zdqn.launch.strikes import Heard, Strikes
from zdqn.stopping import StopEvent
from zdqn.wire.status import LearnerStatus

ROOT = Path(zdqn.__path__[0]).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
SHORT = (
    "--set", "stop.evaluation_return=none", "--set", "stop.environment_steps=0",
    "--set", "network.hidden=[16]", "--set", "algorithm.batch_size=16",
    "--set", "learner.report_period_s=0.1", "--set", "links.ping_period_s=0.1",
    "--set", "replay.samples_per_insert=4", "--set", "replay.min_size=64",
    "--set", "learner.checkpoint_period_updates=50", "--set", "launch.collectors=1",
)  # fmt: skip


def chaos(folder, *words, timeout_s):
    """Run it to its end; give its exit code and output."""
    done = subprocess.run(
        [sys.executable, "-m", "zdqn", "chaos", ROOT / "configs" / "chaos.toml", *words],
        cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False,
        env=ENVIRONMENT,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("name", "role", "words", "works"),
    [
        ("KILL", "memory", "ended memory with SIGKILL; it is started again", "transitions again"),
        ("KILL", "learner", "it is started again, from its newest", "makes updates again"),
        ("TERM", "collector", "ended collector-0 with SIGTERM", "takes steps again"),
        ("STOP", "evaluator", "stopped evaluator-0 (SIGSTOP) for", "plays, or waits"),
    ],
)
def test_a_role_comes_back_and_the_account_is_exact(tmp_path, name, role, words, works):
    # one that ends just as the run is told to would be started again no more
    every = "10s" if role == "learner" else "1s"
    again = rf"chaos +\| {role}\S* .*{works}.*, after \d+\.\d s"
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "zdqn", "chaos", ROOT / "configs" / "chaos.toml", *SHORT,
             "--every", every, "--role", role, "--signal", name],
            cwd=tmp_path, env=ENVIRONMENT, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        eventually(lambda: re.search(again, log.read_text()), "it works again", 200)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    text = log.read_text()
    assert words in text
    assert re.search(rf"(?m)^{role} +[1-9]\d* +[1-9]", text), text
    assert "the account of blocks is exact" in text


# --- without processes --------------------------------------------------------------------------


class FakeChild:
    def __init__(self, role, name):
        self.planned, self.name = PlannedProcess(role, name), name
        self.assigned = True
        self.signals = []

    def signal(self, number):
        self.signals.append(number)

    strike = signal


class Scene:
    """A run of a memory, a learner and a collector, and what servers would answer."""

    def __init__(self, folder, number=signal.SIGKILL, roles=("learner",)):
        self.now_s = 100.0
        self.stop = StopEvent()
        roles_of = {"memory": "memory", "learner": "learner", "collector-0": "collector"}
        self.living = {name: FakeChild(role, name) for name, role in roles_of.items()}
        self.endpoints = {}
        self.folder = folder
        strikes = Strikes(np.random.default_rng(0), every_s=2.0, roles=roles)
        self.chaos = Chaos(
            strikes, number, run_directory=folder, stop=self.stop, clock=lambda: self.now_s
        )

    def hear(self, updates, phase="training", **row):
        told = {
            **status(phase, updates=updates).to_wire(), "clients": [collector(0, **row)]
        }  # fmt: skip
        heard = Heard(self.now_s - 0.01, self.now_s, LearnerStatus.read(told))
        self.chaos._heard["learner"] = heard

    def advance(self, seconds=0.0):
        self.now_s += seconds
        self.chaos.advance(self)

    def save_checkpoint(self):
        (self.folder / "checkpoints").mkdir()
        (self.folder / "checkpoints" / "update-000000050.pt").touch()


@pytest.fixture
def scene(tmp_path):
    scene = Scene(tmp_path)
    yield scene
    scene.chaos.close()


def test_nobody_is_struck_before_the_first_update_nor_a_learner_before_its_first_checkpoint(scene):
    scene.advance(100.0)
    scene.hear(0)
    scene.advance(100.0)
    scene.hear(1)
    scene.advance(100.0)
    scene.advance(100.0)
    assert scene.chaos.recoveries == []
    scene.save_checkpoint()
    scene.advance()
    assert scene.living["learner"].signals == [signal.SIGKILL]


@pytest.mark.parametrize("phase", ["waiting for evaluations", "finishing"])
def test_nobody_is_struck_after_the_training(scene, phase):
    scene.save_checkpoint()
    scene.hear(500, phase)
    for _ in range(5):
        scene.advance(10.0)
    assert scene.chaos.recoveries == []


def test_a_role_that_does_not_come_back_ends_the_run_with_a_sentence(scene):
    scene.save_checkpoint()
    scene.hear(500)
    scene.advance()
    scene.advance(10.0)
    assert len(scene.chaos.recoveries) == 1
    scene.advance(119.0)
    assert not scene.stop.is_set()
    scene.advance(2.0)
    assert scene.stop.reason == "zdqn chaos: learner has not come back"
    assert "121 s after SIGKILL it does not work. Its log is" in str(scene.chaos.failure)
    assert len(scene.chaos.recoveries) == 1, "it is not struck again as long as it is away"


def test_what_each_start_of_a_collector_said_is_added_up(tmp_path):
    scene = Scene(tmp_path, roles=("collector",))
    scene.hear(500, blocks_sent=30)
    scene.advance()
    scene.advance(10.0)
    assert scene.living["collector-0"].signals == [signal.SIGKILL]
    scene.hear(500, blocks_sent=32, last_seen_s=1.0)  # what it said before it was killed
    scene.advance()
    scene.now_s += 5.0
    scene.hear(500, blocks_sent=4)
    scene.advance()
    scene.hear(500, blocks_sent=6)
    scene.advance()
    assert scene.chaos.blocks_told == 30 + 6
    scene.chaos.close()


def test_one_that_is_stopped_is_let_go_on(tmp_path, monkeypatch):
    scene = Scene(tmp_path, signal.SIGSTOP, roles=("memory",))
    monkeypatch.setattr(Strikes, "pause_s", lambda _self: 0.01)
    scene.hear(500)
    scene.advance()
    scene.advance(10.0)
    (timer,) = scene.chaos._timers
    timer.join(60)
    assert scene.living["memory"].signals == [signal.SIGSTOP, signal.SIGCONT]
    scene.chaos.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_cartpole_is_solved_while_roles_are_killed(tmp_path):
    code, output, errors = chaos(tmp_path, "--every", "2s", timeout_s=380)
    assert code == 0, output + errors
    (best,) = re.findall(r"best (\d+\.?\d*)", output)
    assert float(best) >= 475
    assert "the account of blocks is exact" in output
    (struck,) = re.findall(r"(?m)^all +(\d+)", output)
    assert int(struck) >= 1
