"""A memory whose replay is kept: killed under load, started again, and asked what it has."""

import logging
import os
import re
import signal
import subprocess
import sys
from functools import partial

import msgspec
import numpy as np
import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from zdqn.config import to_toml
from zdqn.data import Block, EnvironmentSpec
from zdqn.errors import ConfigError, FileError, MismatchError, RunDirectoryTakenError
from zdqn.roles.memory import Memory
from zdqn.wire import block_payload, payloads
from zdqn.wire.addresses import parse_address
from zdqn.wire.asking import ask
from zdqn.wire.memory_messages import Batches, BlockHeader, SampleRequest
from zdqn.wire.node import Node
from zdqn.wire.protocol import ErrorReply, Hello, Spec, Stop, Welcome
from zdqn.wire.remote_control import fetch_status

SPEC = EnvironmentSpec((3,), "float32", 7)
STACKED = EnvironmentSpec((5, 5), "uint8", 7, 3)
SETTINGS = (
    "replay.storage=disk", "replay.samples_per_insert=0", "replay.min_size=1",
    "replay.capacity=300", "collector.block_transitions=16", "algorithm.batch_size=16",
)  # fmt: skip


def numbered(spec, first, transitions):
    """Transitions first, first + 1, ..., each of which says in every part which it is."""
    stack = spec.frame_stack
    numbers = np.arange(first, first + transitions + stack)
    frames = np.zeros((len(numbers), *spec.observation_shape), spec.dtype)
    frames[...] = (numbers % 251).reshape(-1, *[1] * len(spec.observation_shape))
    records = np.zeros(transitions, spec.record_dtype)
    rows = np.arange(transitions)[:, None] + np.arange(stack)
    records["observation"], records["next_observation"] = rows, rows + 1
    records["action"] = numbers[:transitions] % 7
    records["reward"] = numbers[:transitions]
    records["discount"] = 0.5
    records["priority"] = -1.0
    return Block(frames, records)


def check(batch, spec, end):
    """Every transition is one of those of `numbered`, before `end`."""
    numbers = batch.rewards.astype(int)
    assert (numbers >= 0).all()
    assert (numbers < end).all()
    assert np.array_equal(batch.actions, numbers % 7)
    for offset, stacks in ((0, batch.observations), (1, batch.next_observations)):
        frames = stacks.reshape(len(numbers), spec.frame_stack, -1)
        for place in range(spec.frame_stack):
            wished = (numbers + place + offset) % 251
            assert (frames[:, place] == wished[:, None]).all()


def ask_of(client, header):
    reply = ask(client, header, server="memory", timeout_s=DEADLINE_S)
    assert reply is not None
    if isinstance(reply.header, ErrorReply):
        raise MismatchError(reply.header.message)
    return reply


class Client:
    """A collector and a learner by hand."""

    def __init__(self, node, endpoint, spec):
        self.spec = spec
        self.sequence = self.transitions = 0
        self._node = node
        self._client = node.client(parse_address(endpoint, parameter="test"))
        hello = Hello(role="collector", name="by hand", session=5, spec=Spec.of(spec))
        self.welcome = self._ask(hello).header
        assert isinstance(self.welcome, Welcome), self.welcome
        self.sender = node.sender(
            parse_address(self.welcome.data_endpoint, parameter="test"),
            high_water_mark=1000, buffer_bytes=65536,
        )  # fmt: skip

    def _ask(self, header):
        return ask_of(self._client, header)

    def push(self, blocks):
        for _ in range(blocks):
            count = 1 + self.sequence % 16
            block = numbered(self.spec, self.transitions, count)
            self.transitions += count
            header = BlockHeader(
                session=5, sequence=self.sequence, origin=self.spec.digest,
                frames=len(block.frames), transitions=count, environment_steps=self.transitions,
                episodes=0,
            )  # fmt: skip
            self.sequence += 1
            message = block_payload.encode_block(header, block)
            assert self.sender.send(message, lambda: False)

    def sample(self, batches=20):
        request = SampleRequest(batch_size=16, batches=batches, wait_ms=10_000)
        reply = self._ask(request)
        assert isinstance(reply.header, Batches), reply.header
        return payloads.read_batches(reply.message, self.spec)[1]

    def stop(self):
        self._ask(Stop(reason="enough"))

    def close(self):
        self.sender.close()
        self._client.close()


class Killable:
    """`zdqn memory` as a process."""

    def __init__(self, folder, number, settings):
        config = folder / "run.toml"
        config.write_text(to_toml(quick_config(*SETTINGS, *settings)))
        self._log = folder / f"memory-{number}.log"
        arguments = [str(config), "--bind", "tcp://127.0.0.1:0", "--run-dir", str(folder / "run")]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "zdqn", "memory", *arguments], stdout=log, stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        pattern = r"serving samples at (\S+)"
        self.endpoint = eventually(
            lambda: re.search(pattern, self.log) or self.process.poll(), "it serves"
        )[1]

    @property
    def log(self):
        return self._log.read_text()

    def came_back_with(self):
        (held,) = re.findall(r"came back with (\d+) transitions", self.log)
        return int(held)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_S)


@pytest.fixture
def start(tmp_path):
    started: list[Killable] = []

    def begin(*settings):
        started.append(Killable(tmp_path, len(started), settings))
        return started[-1]

    yield begin
    for memory in started:
        if memory.process.poll() is None:
            memory.kill()


def stored(endpoint, transitions):
    status = fetch_status(endpoint, DEADLINE_S)
    return status if status["transitions"] == transitions else None


@pytest.mark.parametrize("spec", [SPEC, STACKED])
@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_killed_under_load_it_comes_back_with_what_it_had_and_nothing_torn(start, spec, kind):
    memory = start(f"replay.kind={kind}", "replay.sync_period_s=0.05")
    sequence = transitions = 0
    for blocks in (5, 130, 400):
        with Node() as node:
            client = Client(node, memory.endpoint, spec)
            client.sequence, client.transitions = sequence, transitions
            client.push(blocks // 2)
            client.sample()
            client.push(blocks - blocks // 2)
            memory.kill()  # while it reads
            sent, numbers = client.sequence, client.transitions
            client.close()
        memory = start(f"replay.kind={kind}", "replay.sync_period_s=0.05")
        with Node() as node:
            client = Client(node, memory.endpoint, spec)
            status = fetch_status(memory.endpoint, DEADLINE_S)
            assert status["size"] == memory.came_back_with() > 0
            assert status["blocks"] <= sent
            check(client.sample(), spec, numbers)
            # all of it once more: what is stored is known
            client.push(sent)
            status = eventually(partial(stored, memory.endpoint, numbers), "the rest is stored")
            assert status["blocks"] == sent
            check(client.sample(), spec, numbers)
            sequence, transitions = client.sequence, client.transitions
            client.close()


@pytest.fixture
def keeper(system, tmp_path):
    """Starts a memory in this process, with its replay on disk."""

    def start(*settings, **options):
        config = quick_config(*SETTINGS, *settings)
        return system.memory(config, run_directory=tmp_path, **options)

    return start


def fill(memory, spec=SPEC, blocks=10):
    with Node() as node:
        client = Client(node, memory.role.endpoints["samples"], spec)
        client.push(blocks)
        eventually(partial(stored, memory.role.endpoints["samples"], client.transitions), "stored")
        client.close()
    return client.transitions


@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_after_an_orderly_end_it_draws_what_it_would_have_drawn_without(keeper, tmp_path, kind):
    def draw(memory):
        with Node() as node:
            client = Client(node, memory.role.endpoints["samples"], SPEC)
            batch = client.sample()
            client.close()
        return batch

    def draw_twice(path, storage, end):
        settings = (f"replay.kind={kind}", f"replay.path={path}", f"replay.storage={storage}")
        memory = keeper(*settings)
        fill(memory)
        first = draw(memory)
        if end:
            memory.stop()
            memory = keeper(*settings)
        return first, draw(memory)

    wished = draw_twice("", "ram", end=False)
    for end in (False, True):
        drawn = draw_twice(tmp_path / f"ended-{end}", "disk", end=end)
        for one, other in zip(drawn, wished, strict=True):
            for part in ("keys", "probabilities", "rewards", "observations"):
                assert np.array_equal(getattr(one, part), getattr(other, part))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ("replay.capacity=301", "replay.capacity: there 300, here 301"),
        ("algorithm.n_step=2", "algorithm.n_step: there 1, here 2"),
        ("environment.frame_stack=2", "environment.frame_stack: there 1, here 2"),
        ("replay.kind=prioritized", "replay.kind: there 'uniform', here 'prioritized'"),
    ],
)
def test_a_replay_of_another_configuration_is_refused_with_the_way_out(keeper, settings, named):
    memory = keeper()
    fill(memory)
    memory.stop()
    with pytest.raises(ConfigError, match=re.escape(named) + ".*replay.path, or remove"):
        keeper(settings)


def test_two_memories_do_not_share_a_folder(keeper):
    keeper()
    with pytest.raises(RunDirectoryTakenError, match=r"in use by .*replay\.path"):
        keeper()


def test_a_damaged_replay_is_refused_and_named(keeper, tmp_path):
    memory = keeper()
    fill(memory)
    memory.stop()
    frames = tmp_path / "replay" / "frames.array"
    os.truncate(frames, frames.stat().st_size // 2)
    with pytest.raises(FileError, match=r"replay cannot be gone on with: frames\.array has not"):
        keeper()


def test_without_a_folder_it_says_what_to_give():
    with pytest.raises(ConfigError, match=r"--run-dir\), or set replay\.path"):
        Memory(quick_config(*SETTINGS), bind="tcp://127.0.0.1:0")


def test_a_learner_of_another_run_is_told_where_the_old_replay_is(keeper, tmp_path):
    memory = keeper()
    fill(memory)
    with Node() as node:
        learner = node.client(parse_address(memory.role.endpoints["samples"], parameter="test"))
        hello = Hello(
            role="learner", name="a learner", session=7, spec=Spec.of(SPEC), run_id="one",
            learner_epoch=1,
        )  # fmt: skip
        ask_of(learner, hello)
        memory.stop()
        memory = keeper()
        learner.close()
        learner = node.client(parse_address(memory.role.endpoints["samples"], parameter="test"))
        other = msgspec.structs.replace(hello, run_id="two", session=8)
        with pytest.raises(MismatchError, match=f"belongs to run one.*without {tmp_path}/replay"):
            ask_of(learner, other)
        ask_of(learner, hello)
        learner.close()


def test_a_period_of_0_never_waits_for_the_disk(keeper, tmp_path, monkeypatch):
    synced: list[int] = []
    monkeypatch.setattr("zdqn.records.replay_files.os.fdatasync", synced.append)
    memory = keeper("replay.sync_period_s=0")
    fill(memory)
    begun = len(synced)  # with the first state
    fetch_status(memory.role.endpoints["samples"], DEADLINE_S)
    assert len(synced) == begun
    memory.stop()
    assert len(synced) > begun
    after = len(synced)
    memory = keeper("replay.sync_period_s=0.01")
    eventually(lambda: len(synced) > after, "it syncs")


def test_a_disk_that_fails_later_is_told_and_the_memory_goes_on(keeper, monkeypatch, caplog):
    memory = keeper("replay.sync_period_s=0.01")
    fill(memory)

    def fail(_descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("zdqn.records.replay_files.os.fdatasync", fail)
    with caplog.at_level(logging.WARNING):
        eventually(lambda: "did not reach the disk: Input/output error" in caplog.text, "it says")
    assert fetch_status(memory.role.endpoints["samples"], DEADLINE_S)["size"] > 0


# --- snapshots ----------------------------------------------------------------------------------

SNAPSHOTS = ("replay.storage=ram", "replay.snapshot_period_s=0.02")


@pytest.mark.parametrize("spec", [SPEC, STACKED])
@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_killed_while_snapshots_are_made_under_load_it_comes_back_with_the_newest(
    start, tmp_path, spec, kind
):
    settings = (*SNAPSHOTS, f"replay.kind={kind}")
    memory = start(*settings)
    snapshots = tmp_path / "run" / "replay"
    with Node() as node:
        client = Client(node, memory.endpoint, spec)
        client.push(30)
        eventually(lambda: any(snapshots.glob("snapshot-*/state.json")), "the first snapshot")
        for _ in range(40):
            client.push(20)
            client.sample(1)
        memory.kill()
        client.close()
    again = start(*settings)
    assert "begun" in again.log
    assert "what came later is lost" in again.log
    with Node() as node:
        client_again = Client(node, again.endpoint, spec)
        status = fetch_status(again.endpoint, DEADLINE_S)
        assert status["size"] == status["came_back_with"] == again.came_back_with() > 0
        assert status["transitions"] == status["blocks"] == 0  # it counts anew, as another memory
        check(client_again.sample(), spec, client.transitions)
        client_again.close()


def test_an_orderly_end_makes_a_last_snapshot_with_everything(keeper):
    memory = keeper("replay.storage=ram", "replay.snapshot_period_s=1000")
    inserted = fill(memory)
    memory.stop()
    memory = keeper("replay.storage=ram", "replay.snapshot_period_s=1000")
    status = fetch_status(memory.role.endpoints["samples"], DEADLINE_S)
    assert status["size"] == inserted


def test_a_period_of_0_makes_no_snapshot(keeper, tmp_path):
    memory = keeper("replay.storage=ram", "replay.snapshot_period_s=0")
    fill(memory)
    memory.stop()
    assert not (tmp_path / "replay").exists()


def test_a_snapshot_that_finds_no_room_leaves_the_one_before(keeper, monkeypatch, caplog):
    memory = keeper(*SNAPSHOTS)
    inserted = fill(memory)
    memory.stop()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zdqn.records.replay_files.os.posix_fallocate", full)
    memory = keeper(*SNAPSHOTS)
    eventually(lambda: "There is no new snapshot" in caplog.text, "it says")
    memory.stop()
    assert "No space left on device" in caplog.text
    monkeypatch.undo()
    memory = keeper(*SNAPSHOTS)
    status = fetch_status(memory.role.endpoints["samples"], DEADLINE_S)
    assert status["size"] == inserted
