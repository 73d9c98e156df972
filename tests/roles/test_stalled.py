"""Roles that live and make no progress: hung, or stopped by a signal. Who says so, and how."""

import re
import signal
import subprocess
import sys
import threading

import gymnasium
import pytest
import torch
from torch import nn

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from tests.roles.processes import ENVIRONMENT, Processes, updates_of
from zdqn.wire.remote_control import fetch_status, request_stop


@pytest.fixture
def soon(monkeypatch):
    """Call somebody stalled after half a second."""
    monkeypatch.setattr("zdqn.wire.stalls.STANDSTILL_S", 0.5)


class Hangs(nn.Module):
    """Stands still in an update, from when it is told to until it is released."""

    is_to = threading.Event()
    released = threading.Event()

    def __init__(self, _spec):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, observations):
        if torch.is_grad_enabled() and self.is_to.is_set():
            assert self.released.wait(DEADLINE_S)
        return self.layer(observations)


def test_a_learner_whose_update_does_not_come_back_says_so_itself(system, soon, caplog):
    config = quick_config("stop.updates=0", "collector.policy=remote")
    memory = system.memory(config)
    learner = system.learner(config, memory, network=Hangs)
    system.collector(config, learner)
    model = learner.role.endpoints["model"]
    updates_of(model, more_than=5)
    Hangs.is_to.set()
    try:

        def is_stalled():
            run = fetch_status(model, DEADLINE_S)["run"]
            return run["stalled_s"] >= 0.5 and run["last_did"].startswith("in an update, after ")

        eventually(is_stalled, "a stall")
        eventually(lambda: "the learner is stalled for" in caplog.text, "a word in the log")
        caplog.set_level("INFO", "zdqn.learner")
    finally:
        Hangs.released.set()
    eventually(lambda: "the learner goes on, after" in caplog.text, "another word")
    request_stop(model, "enough", DEADLINE_S)
    learner.result()


def test_an_evaluator_whose_environment_hangs_is_named_by_the_learner(system, soon, caplog):
    released, evaluates = threading.Event(), threading.Event()

    class Stuck(gymnasium.Wrapper):
        def step(self, action):
            evaluates.set()
            assert released.wait(DEADLINE_S)
            return self.env.step(action)

    config = quick_config("stop.updates=0", "evaluator.period_updates=10")
    memory = system.memory(config)
    learner = system.learner(config, memory)
    system.collector(config, learner)
    system.evaluator(
        config, learner, name="eva", environment=lambda **_: Stuck(gymnasium.make("CartPole-v1"))
    )
    try:
        assert evaluates.wait(DEADLINE_S)
        said = r"eva is stalled for .*evaluating snapshot 0, after 2 environment steps: a step or r"
        eventually(lambda: re.search(said, caplog.text), "a word in the log")
        rows = fetch_status(learner.role.endpoints["model"], DEADLINE_S)["clients"]
        (row,) = [row for row in rows if row["name"] == "eva"]
        assert row["idle_s"] >= 0.5
    finally:
        released.set()
    request_stop(learner.role.endpoints["model"], "enough", DEADLINE_S)
    learner.result()


# --- stopped processes ------------------------------------------------------------------------


@pytest.fixture
def processes(tmp_path):
    started = Processes(tmp_path, "links.dead_after_s=60")
    yield started
    started.close()


def status(processes):
    """Give what `zdqn status` prints of the run."""
    done = subprocess.run(
        [sys.executable, "-m", "zdqn", "status", "run"],
        cwd=processes.folder, env=ENVIRONMENT, capture_output=True, text=True, check=False,
        timeout=DEADLINE_S,
    )  # fmt: skip
    return " ".join((done.stdout + done.stderr).split())


def test_a_stopped_learner_is_missed_by_all_and_goes_on(processes):
    memory, samples = processes.memory(None, "--run-dir", "run")
    learner, model = processes.learner(samples)
    collector = processes.start("collector", "--learner", model)
    updates = updates_of(model)
    learner.process.send_signal(signal.SIGSTOP)
    try:
        collector.says(f"the learner at {model} does not answer; waiting for it: .* takes connect")
        said = eventually(
            lambda: "the memory heard of it" in (text := status(processes)) and text, "status"
        )
        assert "the learner does not answer; the memory heard of it" in said
        assert "it said last: training," in said
        assert "or stopped (SIGSTOP)" in said
    finally:
        learner.process.send_signal(signal.SIGCONT)
    collector.says("the learner at .* answers again")
    updates_of(model, more_than=updates + 20)
    request_stop(model, "enough", DEADLINE_S)
    assert [one.end() for one in (learner, memory, collector)] == [0, 0, 0]


def test_a_stopped_memory_is_missed_by_all_and_goes_on(processes):
    memory, samples = processes.memory(None, "--run-dir", "run")
    learner, model = processes.learner(samples)
    collector = processes.start("collector", "--learner", model)
    updates = updates_of(model)
    memory.process.send_signal(signal.SIGSTOP)
    try:
        for client in (learner, collector):
            client.says(f"the memory at {samples} does not answer; waiting for it: .* takes conn")
        eventually(lambda: fetch_status(model, DEADLINE_S)["memory"]["silent_s"] > 3, "it is told")
        eventually(lambda: "has not answered for" in status(processes), "status")
        learner.says(f"waiting for the memory at {samples}, which does not answer; 1 collector")
    finally:
        memory.process.send_signal(signal.SIGCONT)
    for client in (learner, collector):
        client.says("the memory at .* answers again")
    updates_of(model, more_than=updates + 20)
    request_stop(model, "enough", DEADLINE_S)
    assert [one.end() for one in (learner, memory, collector)] == [0, 0, 0]
    assert processes.summary()["memory_restarts"] == 0
