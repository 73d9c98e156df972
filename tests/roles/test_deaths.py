"""Roles as real processes: killed, restarted, told to stop."""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import torch

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from tests.roles.processes import ENVIRONMENT, Processes, updates_of
from zdqn.config import to_toml
from zdqn.records.checkpoints import CheckpointDirectory
from zdqn.wire.remote_control import fetch_status, request_stop

FREE = "tcp://127.0.0.1:0"


@pytest.fixture
def processes(tmp_path):
    started = Processes(tmp_path)
    yield started
    started.close()


def test_four_processes_by_hand_with_port_0_train_and_stop_cleanly(processes):
    memory, samples = processes.memory(FREE)
    learner, model = processes.learner(samples, FREE)
    collector = processes.start("collector", "--learner", model, "--memory", samples)
    evaluator = processes.start("evaluator", "--learner", model)
    updates_of(model)
    request_stop(model, "enough", DEADLINE_S)
    assert [one.end() for one in (learner, memory, collector, evaluator)] == [0, 0, 0, 0]
    assert processes.summary()["stop_reason"] == "enough"
    for one in (learner, memory, collector, evaluator):
        assert "Traceback" not in one.log


def test_a_killed_memory_comes_back_from_disk_with_all_that_it_held(processes):
    processes.keep_on_disk()
    memory, samples = processes.memory()
    learner, model = processes.learner(samples)
    processes.start("collector", "--learner", model)
    before = updates_of(model)
    memory.kill()
    held = fetch_status(model, DEADLINE_S)["progress"]["transitions"]
    again, _ = processes.memory(samples)
    came = int(again.says(r"came back with (\d+) transitions")[1])
    assert came >= held > 0
    updates_of(model, more_than=before + 100)
    told = int(learner.says(r"the memory was restarted: it came back with (\d+) transitions")[1])
    assert told == came
    request_stop(model, "enough", DEADLINE_S)
    assert learner.end() == again.end() == 0
    summary = processes.summary()
    assert summary["memory_restarts"] == 1
    # what the first one counted is counted once
    assert summary["transitions"] <= summary["environment_steps"] <= 2 * summary["transitions"]
    assert "not whole" not in again.log


def test_a_killed_memory_comes_back_empty_and_training_goes_on(processes):
    memory, samples = processes.memory()
    learner, model = processes.learner(samples)
    processes.start("collector", "--learner", model)
    before = updates_of(model)
    memory.kill()
    learner.says("the memory at .* does not answer")
    again, _ = processes.memory(samples)
    updates_of(model, more_than=before + 100)
    learner.says("the memory was restarted: what it held is lost")
    request_stop(model, "enough", DEADLINE_S)
    assert learner.end() == again.end() == 0
    summary = processes.summary()
    assert summary["memory_restarts"] == 1
    assert summary["environment_steps"] >= summary["transitions"]


def test_sent_is_stored_lost_refused_or_in_flight_however_often_the_memory_dies(processes):
    memory, samples = processes.memory()
    learner, model = processes.learner(samples)
    collectors = [processes.start("collector", "--learner", model) for _ in range(2)]
    updates = updates_of(model)
    for deaths in range(1, 5):
        memory.kill()
        memory, _ = processes.memory(samples)
        learner.says(rf"(?s)(the memory was restarted.*){{{deaths}}}")
        updates = updates_of(model, more_than=updates + 20)
    collectors[0].kill()
    request_stop(model, "enough", DEADLINE_S)
    assert [one.end() for one in (learner, memory, collectors[1])] == [0, 0, 0]
    summary = processes.summary()
    counts = {name: summary[f"blocks_{name}"] for name in ("sent", "lost", "refused", "in_flight")}
    assert min(counts.values()) >= 0
    assert counts["refused"] == 0
    assert counts["sent"] == summary["blocks"] + counts["lost"] + counts["in_flight"]
    (sent,) = re.findall(r"sent (\d+) blocks", collectors[1].log)
    assert counts["sent"] > int(sent) > 0
    assert summary["memory_restarts"] == 4


def test_of_a_memory_that_comes_back_from_a_snapshot_it_is_said_what_came_later(processes):
    kept = ("replay.snapshot_period_s=0.5", f"replay.path={processes.folder}/replay")
    (processes.folder / "run.toml").write_text(to_toml(quick_config(*kept)))
    memory, samples = processes.memory()
    learner, model = processes.learner(samples)
    collector = processes.start("collector", "--learner", model)
    updates = updates_of(model)
    states = [processes.folder / "replay" / f"snapshot-{i}" / "state.json" for i in (0, 1)]
    began_s = time.time()
    eventually(
        lambda: any(path.exists() and path.stat().st_mtime > began_s + 0.5 for path in states),
        "a snapshot with something in it",
    )
    memory.kill()
    again, _ = processes.memory(samples)
    held = again.says(r"came back with (\d+) transitions of a snapshot")[1]
    learner.says(rf"the memory was restarted: it came back with {held} transitions")
    updates_of(model, more_than=updates + 20)
    request_stop(model, "enough", DEADLINE_S)
    assert [one.end() for one in (learner, again, collector)] == [0, 0, 0]
    summary = processes.summary()
    parts = ("blocks", "blocks_lost", "blocks_refused", "blocks_in_flight")
    assert summary["blocks_sent"] == sum(summary[key] for key in parts)
    (sent,) = re.findall(r"sent (\d+) blocks", collector.log)
    assert summary["blocks_sent"] == int(sent)


def test_a_memory_that_goes_away_is_waited_for_however_often(processes):
    memory, samples = processes.memory()
    learner, model = processes.learner(samples)
    collector = processes.start("collector", "--learner", model)
    updates = updates_of(model)
    for _ in range(5):  # each ping or hello that it answers last is another chance to go wrong
        assert memory.kill(signal.SIGTERM) == 0
        assert "going away: SIGTERM" in memory.log
        memory, _ = processes.memory(samples)
        updates = updates_of(model, more_than=updates + 20)
    assert "run is over" not in learner.log + collector.log
    request_stop(model, "enough", DEADLINE_S)
    assert [one.end() for one in (learner, memory, collector)] == [0, 0, 0]
    assert processes.summary()["stop_reason"] == "enough"


def test_a_memory_that_is_asked_to_stop_ends_the_run_and_everybody_knows_why(processes):
    memory, samples = processes.memory()
    learner, model = processes.learner(samples)
    collector = processes.start("collector", "--learner", model)
    evaluator = processes.start("evaluator", "--learner", model)
    updates_of(model)
    request_stop(samples, "enough of it", DEADLINE_S)
    assert [one.end() for one in (memory, learner, collector, evaluator)] == [0, 0, 0, 0]
    assert "stopping: enough of it" in memory.log
    assert "says that the run is over" in learner.log
    assert processes.summary()["stop_reason"] == "the memory was asked to stop"


def test_a_learner_that_a_signal_ends_ends_the_run_and_names_it(processes):
    memory, samples = processes.memory()
    learner, model = processes.learner(samples)
    collector = processes.start("collector", "--learner", model)
    updates_of(model)
    assert learner.kill(signal.SIGTERM) == 0
    assert [one.end() for one in (memory, collector)] == [0, 0]
    assert processes.summary()["stop_reason"] == "SIGTERM"


SHARED = ("--set", "links.shared_memory=true")  # these observations are small


def shared_by(process):
    """Count the descriptors and mappings of shared memory that a process has."""
    folder = Path("/proc") / str(process.process.pid)
    descriptors = 0
    for path in (folder / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            descriptors += "zdqn-samples" in str(path.readlink())
    return descriptors, (folder / "maps").read_text().count("zdqn-samples")


def shares(address):
    """Wait until a memory is shared memory with."""
    return eventually(lambda: fetch_status(address, DEADLINE_S).get("sharing"), "shared memory")


def test_shared_memory_outlives_killed_memories_and_nothing_of_it_is_left(processes):
    memory, samples = processes.memory()
    learner, model = processes.learner(samples, None, *SHARED)
    processes.start("collector", "--learner", model)
    updates = updates_of(model)
    assert shares(samples)
    before = shared_by(learner)
    for deaths in range(1, 3):
        memory.kill()
        memory, _ = processes.memory(samples)
        learner.says(rf"(?s)(the memory was restarted.*){{{deaths}}}")
        updates = updates_of(model, more_than=updates + 20)
        assert shares(samples)
        assert shared_by(learner) == before, "that of the connection before was let go"
    assert learner.log.count("frames of samples come through shared memory") == 1
    request_stop(model, "enough", DEADLINE_S)
    assert [one.end() for one in (learner, memory)] == [0, 0]
    assert not list(Path("/dev/shm").glob("zdqn-samples*"))


def test_a_memory_lets_go_of_what_a_killed_learner_shared_and_takes_the_next_ones(processes):
    memory, samples = processes.memory()
    every = ("--set", "learner.checkpoint_period_updates=50")
    learner, model = processes.learner(samples, None, *SHARED, *every)
    processes.start("collector", "--learner", model)
    updates_of(model, more_than=60)
    assert shares(samples)
    learner.kill()
    eventually(
        lambda: not fetch_status(samples, DEADLINE_S)["sharing"], "the learner was taken for dead"
    )
    assert shared_by(memory) == (0, 0)
    again, _ = processes.learner(samples, model, *SHARED, "--resume", "run")
    updates_of(model, more_than=int(again.says(r"resuming from .* at (\d+) updates")[1]) + 20)
    assert shares(samples)
    request_stop(model, "enough", DEADLINE_S)
    assert [one.end() for one in (again, memory)] == [0, 0]


def test_a_memory_that_stood_still_writes_to_nothing_that_is_read(processes):
    memory, samples = processes.memory()
    learner, model = processes.learner(samples, None, *SHARED)
    processes.start("collector", "--learner", model)
    updates = updates_of(model)
    memory.process.send_signal(signal.SIGSTOP)
    learner.says("the memory at .* does not answer")  # and has connected anew, with new memory
    memory.process.send_signal(signal.SIGCONT)
    updates_of(model, more_than=updates + 50)
    eventually(lambda: shared_by(memory)[1] == 1, "one mapping")
    assert shares(samples)
    request_stop(model, "enough", DEADLINE_S)
    assert [one.end() for one in (learner, memory)] == [0, 0]
    assert "Traceback" not in learner.log + memory.log


def test_a_memory_without_descriptors_says_so(processes):
    log = processes.folder / "memory.log"
    with log.open("w") as output:
        memory = subprocess.Popen(
            [sys.executable, "-m", "zdqn", "memory", "run.toml", "--bind", "tcp://127.0.0.1:0"],
            stdout=output, stderr=output, env=ENVIRONMENT, cwd=processes.folder,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60)),
        )  # fmt: skip
    try:
        text = eventually(lambda: re.search(r"at tcp://127.0.0.1:(\d+)\n", log.read_text()), "port")
        with ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(socket.create_connection(("127.0.0.1", int(text[1]))))
            eventually(lambda: "no file descriptor is left of the 60" in log.read_text(), "a word")
        eventually(lambda: "has file descriptors again" in log.read_text(), "another word")
    finally:
        memory.terminate()
        assert memory.wait(DEADLINE_S) == 0


def test_a_killed_collector_is_noticed_and_its_place_taken(processes):
    _, samples = processes.memory()
    learner, model = processes.learner(samples)
    first = processes.start("collector", "--learner", model, "--name", "first")
    second = processes.start("collector", "--learner", model, "--name", "second")
    updates_of(model)
    learner.says("second has joined")
    index = learner.says(r"first has joined as collector (\d)")[1]
    first.kill()
    learner.says("first has been silent for .* taken for dead")
    updates = updates_of(model)
    updates_of(model, more_than=updates + 20)  # the other one goes on
    processes.start("collector", "--learner", model, "--name", "third")
    learner.says(f"third has joined as collector {index}")
    request_stop(model, "enough", DEADLINE_S)
    assert learner.end() == 0
    assert second.end() == 0
    assert processes.summary()["blocks_duplicated"] == 0


def test_a_killed_learner_resumes_and_its_weights_are_newer(processes):
    _, samples = processes.memory()
    learner, model = processes.learner(
        samples, None, "--set", "learner.checkpoint_period_updates=50"
    )
    collector = processes.start("collector", "--learner", model)
    updates_of(model, more_than=120)
    learner.kill()
    collector.says("the learner at .* does not answer")
    checkpoints = CheckpointDirectory(processes.folder / "run" / "checkpoints")
    before = checkpoints.newest().checkpoint
    still = ("--set", "algorithm.learning_rate=0", "--set", "learner.checkpoint_period_updates=50")
    again, _ = processes.learner(samples, model, "--resume", "run", *still)
    resumed = int(again.says(r"resuming from .* at (\d+) updates")[1])
    assert resumed == before.counters.updates >= 50
    updates_of(model, more_than=resumed + 50)
    collector.says("the learner was started anew; joined it again as collector 0")
    request_stop(model, "enough", DEADLINE_S)
    assert again.end() == 0
    assert collector.end() == 0
    summary = processes.summary()
    assert summary["learner_epoch"] == 2
    assert summary["updates"] > resumed + 50
    after = checkpoints.newest().checkpoint
    assert after.counters.updates > resumed
    for name, tensor in before.online.items():  # it has learned nothing more, and lost nothing
        assert torch.equal(tensor, after.online[name]), name
    # the memory lived on, and what it had counted before is not counted twice
    assert summary["environment_steps"] == summary["transitions"]


def test_an_older_learner_is_fenced_out(processes):
    _, samples = processes.memory()
    old, model = processes.learner(samples, None, "--set", "learner.checkpoint_period_updates=50")
    processes.start("collector", "--learner", model)
    updates_of(model, more_than=120)
    copied = processes.folder / "elsewhere" / "run"  # as on a machine that does not see the lock
    old.process.send_signal(signal.SIGSTOP)  # no checkpoint comes or goes while they are copied
    shutil.copytree(processes.folder / "run", copied)
    old.process.send_signal(signal.SIGCONT)
    processes.learner(samples, None, "--run-dir", copied, "--resume", copied)
    assert old.end() == 75
    assert "a newer learner (epoch 2) has taken over" in old.log
    assert "Traceback" not in old.log


def test_a_run_directory_has_one_learner_at_a_time_and_a_killed_one_lets_go(processes):
    first, _ = processes.learner("tcp://127.0.0.1:1")
    second = processes.start(
        "learner", "run.toml", "--memory", "tcp://127.0.0.1:1", "--bind", "tcp://127.0.0.1:0",
        "--run-dir", "run",
    )  # fmt: skip
    assert second.end() == 73
    assert f"(process {first.process.pid} on " in second.log
    assert "zdqn learner run.toml" in second.log
    assert first.process.poll() is None
    first.kill()
    processes.learner("tcp://127.0.0.1:1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_each_role_cleanly_while_it_waits(processes, number):
    memory, _ = processes.memory()
    nobody = "tcp://127.0.0.1:1"
    roles = [
        memory,
        processes.learner(nobody)[0],
        processes.start("collector", "run.toml", "--learner", nobody),
        processes.start("evaluator", "run.toml", "--learner", nobody),
    ]
    for role in roles[1:]:
        role.says("waiting for the")
    assert [role.kill(number) for role in roles] == [0, 0, 0, 0]
    for role in roles:
        assert "Traceback" not in role.log


def test_an_environment_that_raises_ends_its_collector_alone(processes, monkeypatch):
    (processes.folder / "broken.py").write_text(
        "import gymnasium\n"
        "class Broken(gymnasium.Wrapper):\n"
        "    def step(self, action):\n"
        "        raise ValueError('the simulator caught fire')\n"
        "def make():\n"
        "    return Broken(gymnasium.make('CartPole-v1'))\n"
    )
    _, samples = processes.memory()
    _, model = processes.learner(samples)
    good = processes.start("collector", "--learner", model)
    updates = updates_of(model)
    path = os.pathsep.join(filter(None, (str(processes.folder), ENVIRONMENT.get("PYTHONPATH"))))
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", path)
    broken = processes.start(
        "collector", "--learner", model, "run.toml", "--set", "environment.id=broken:make"
    )
    assert broken.end() in (2, 76, 70)
    updates_of(model, more_than=updates + 20)
    assert good.process.poll() is None
