"""Memories whose replay is kept, and a client that knows each transition."""

import os
import re
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from zdqn.config import to_toml
from zdqn.data import Block, EnvironmentSpec
from zdqn.errors import MismatchError
from zdqn.wire import block_payload, payloads
from zdqn.wire.addresses import parse_address
from zdqn.wire.asking import ask
from zdqn.wire.memory_messages import Batches, BlockHeader, SampleRequest
from zdqn.wire.node import Node
from zdqn.wire.protocol import ErrorReply, Hello, Spec, Stop, Welcome
from zdqn.wire.remote_control import fetch_status

SPEC = EnvironmentSpec((3,), "float32", 7)
STACKED = EnvironmentSpec((5, 5), "uint8", 7, 3)
MASKED = EnvironmentSpec((3,), "float32", 7, 2, action_masks=True)
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
    masks = None
    if spec.action_masks:  # of number n: the action of n, and of n + 2 and n + 3
        allowed = (numbers[:, None] + [0, 2, 3]) % 7
        newest = np.bitwise_or.reduce(1 << ((allowed - stack + 1) % 7), axis=1)
        masks = newest.astype(np.uint8)[:, None]
    return Block(frames, records, masks)


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
    if spec.action_masks:
        for offset, found in ((0, batch.allowed), (1, batch.next_allowed)):
            allowed = (numbers[:, None] + offset + [0, 2, 3]) % 7
            assert (np.sort(np.nonzero(found)[1].reshape(-1, 3)) == np.sort(allowed)).all()


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
        self._client = node.client(parse_address(endpoint, parameter="test"), "memory")
        hello = Hello(role="collector", name="by hand", session=5, spec=Spec.of(spec))
        self.welcome = self.ask(hello).header
        assert isinstance(self.welcome, Welcome), self.welcome
        self.sender = node.sender(
            parse_address(self.welcome.data_endpoint, parameter="test"),
            high_water_mark=1000, buffer_bytes=65536,
        )  # fmt: skip

    def ask(self, header):
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
        reply = self.ask(request)
        assert isinstance(reply.header, Batches), reply.header
        return payloads.read_batches(reply.message, self.spec)[1]

    def stop(self):
        self.ask(Stop(reason="enough"))

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
