"""Transitions a second into a real memory, beside a loop that only receives the same messages.

Beside that: what the check costs that keeps numbers out of it which are not finite.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say, alternate
from zdqn.benchmarks.processes import (
    LOOPBACK,
    Link,
    MemoryProcess,
    Worker,
    connect_sender,
    make_node,
    tell_all,
)
from zdqn.benchmarks.subjects import FLOAT_IMAGE, IMAGE, VECTOR, Writer, make_block, memory_config
from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.core.intake import Intake
from zdqn.data import Block, EnvironmentSpec
from zdqn.roles.building_replay import build_store
from zdqn.wire.addresses import parse_address
from zdqn.wire.block_payload import are_finite
from zdqn.wire.node import Node
from zdqn.wire.sockets import Waiter
from zdqn.wire.transition_sockets import COPY_RECEIVED_BELOW_BYTES

GOALS = {("tcp", "vector", 1): Goal(100_000), ("tcp", "vector", 32): Goal(2_000_000)}

SENDERS = 2
_BLOCK_SIZES = (1, 32, 128)
_SUBJECTS = {
    "vector": (VECTOR, 200_000),
    "image": (IMAGE, 10_000),
    "float_image": (FLOAT_IMAGE, 2_500),
}
"""Name to environment and replay capacity."""
_MOST_BYTES = 128_000_000
"""Messages that a sender prepares before the clock starts."""
_CHECKED = ("vector", "float_image")
"""Those of which it is measured what it costs to find their frames finite."""
_CHECKED_BYTES = 64_000_000
_CHECKED_BLOCKS = 2_000
"""At most so much at a time."""
_BARE_HIGH_WATER_MARK = 1000
"""ZeroMQ's own: a bare loop has no reason to keep little on its way."""
_POLL_MS = 1000


def measure(effort: Effort, say: Say) -> Result:
    """Measure every combination of transport, observation and block size, and the check.

    Args:
        effort: how long.
        say: told what is going on.
    """
    result = Result()
    with tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder:
        for transport in ("tcp", "ipc"):
            for kind in _SUBJECTS:
                bind = LOOPBACK if transport == "tcp" else f"ipc://{folder}/{kind}"
                result.add(*measure_memory(effort, say, transport, kind, bind))
    for kind in _CHECKED:
        result.add(*measure_check(effort, say, kind))
    return result


def measure_memory(
    effort: Effort,
    say: Say,
    transport: str,
    kind: str,
    bind: str,
    block_sizes: tuple[int, ...] = _BLOCK_SIZES,
) -> list[Figure]:
    """Measure one memory process.

    Args:
        effort: how long.
        say: told what is going on.
        transport: "tcp" or "ipc".
        kind: "vector", "image" or "float_image".
        bind: where the memory listens.
        block_sizes: transitions a message.
    """
    spec, capacity = _SUBJECTS[kind]
    config = memory_config(f"replay.capacity={capacity}")
    bare_config = memory_config(f"memory.high_water_mark={_BARE_HIGH_WATER_MARK}")
    figures = []
    with (
        MemoryProcess(config, spec, bind=bind) as memory,
        Worker(_receive, bare_config, bind.replace(kind, f"{kind}-bare")) as bare,
    ):
        memory.fill(capacity)  # every page of its rings has been touched
        to_memory = BlockSenders(send_blocks, spec, config, memory.transitions)
        to_bare = BlockSenders(send_blocks, spec, bare_config, bare.receive())
        with to_memory, to_bare:
            for size in block_sizes:
                say(f"insert: {transport}, {kind}, {size} a message")
                figures += _measure_size(
                    effort, f"insert.{transport}.{kind}.{size}", size, memory, bare,
                    (to_memory, to_bare), GOALS.get((transport, kind, size)),
                )  # fmt: skip
        assert memory.status()["blocks_lost"] == 0
    return figures


def measure_check(
    effort: Effort, say: Say, kind: str, block_sizes: tuple[int, ...] = _BLOCK_SIZES
) -> list[Figure]:
    """Measure how long a block's frames take to be found finite, beside all of its insert.

    Args:
        effort: how long.
        say: told what is going on.
        kind: "vector" or "float_image".
        block_sizes: transitions a block.
    """
    spec, capacity = _SUBJECTS[kind]
    store = build_store(memory_config(f"replay.capacity={capacity}"))
    store.make_room(spec)
    intake = Intake(store, n_step=1)
    writer = Writer(spec)
    figures = []
    for size in block_sizes:
        say(f"insert: checks, {kind}, {size} a block")
        block = make_block(spec, size, np.random.default_rng(0))
        while store.size < capacity:
            store.insert(block)
        blocks = max(min(_CHECKED_BYTES // block.frames.nbytes, _CHECKED_BLOCKS), 1)

        def check(block: Block = block, blocks: int = blocks) -> float:
            started_s = time.perf_counter()
            for _ in range(blocks):
                assert are_finite(block.frames)
            return (time.perf_counter() - started_s) / blocks * 1e6

        def insert(block: Block = block, blocks: int = blocks) -> float:
            messages = list(writer.write(block, blocks))
            started_s = time.perf_counter()
            for message in messages:
                intake.insert(message)
            return (time.perf_counter() - started_s) / blocks * 1e6

        values, bound = alternate(effort, check, insert)
        figures.append(Figure(f"insert.check_finite.{kind}.{size}", "us", values, bound))
    return figures


def _measure_size(
    effort: Effort,
    name: str,
    size: int,
    memory: MemoryProcess,
    bare: Worker,
    senders: tuple[BlockSenders, BlockSenders],
    goal: Goal | None,
) -> list[Figure]:
    to_memory, to_bare = senders
    block = make_block(memory.spec, size, np.random.default_rng(0))
    message_bytes = len(next(Writer(memory.spec).write(block, 1)))
    most = _MOST_BYTES // message_bytes

    def into_memory(messages: int) -> float:
        return to_memory.insert_into(memory, size, messages)

    def into_nothing(messages: int) -> float:
        to_bare.prepare(size, messages)
        bare.send(messages * SENDERS)
        started_s = to_bare.send()
        bare.receive()
        return size * messages * SENDERS / (time.perf_counter() - started_s)

    trial = min(most, 400)
    per_sender = into_memory(trial) / size / SENDERS
    messages = max(trial, min(most, int(per_sender * effort.seconds)))
    values, bound = alternate(effort, lambda: into_memory(messages), lambda: into_nothing(messages))
    figure = Figure(name, "transitions/s", values, bound, goal)
    return [figure, figure.scaled(f"{name}.bytes", "GB/s", message_bytes / size / 1e9)]


class BlockSenders(Closing):
    """Two processes that send blocks as fast as they can.

    Args:
        send: what each does: `send_blocks`, or what takes and says the same through its link.
        arguments: of `send`, after the link.
    """

    def __init__(self, send: Callable[..., None], *arguments: Any) -> None:
        self._workers = [Worker(send, *arguments) for _ in range(SENDERS)]

    def prepare(self, size: int, messages: int) -> None:
        """Have each write so many messages of `size` transitions."""
        tell_all(self._workers, (size, messages))

    def send(self) -> float:
        """Have them sent, and give the time at which that began."""
        started_s = time.perf_counter()
        tell_all(self._workers, "send")
        return started_s

    def insert_into(self, memory: MemoryProcess, size: int, messages: int) -> float:
        """Have each insert so many messages of `size` transitions; gives transitions a second."""
        stored = memory.status()["transitions"]
        self.prepare(size, messages)
        started_s = self.send()
        sent = size * messages * SENDERS
        memory.wait_for(stored + sent)
        return sent / (time.perf_counter() - started_s)

    def close(self) -> None:
        """End both."""
        for worker in self._workers:
            worker.close()


def send_blocks(link: Link, spec: EnvironmentSpec, config: Config, address: str) -> None:
    """Write messages when told how many, send them when told to."""
    writer = Writer(spec)
    rng = np.random.default_rng(0)
    with make_node(config, "collector") as node, connect_sender(node, config, address) as sender:
        while True:
            size, count = link.recv()
            messages = list(writer.write(make_block(spec, size, rng), count))
            link.send("written")
            link.recv()
            for message in messages:
                sender.send(message, lambda: False)
            link.send("sent")


def _receive(link: Link, config: Config, bind: str) -> None:
    """Bind a bare PULL socket; receive so many messages when told to, and forget them."""
    address = parse_address(bind, parameter="bind", bind=True)
    with (
        Node() as node,
        node.receiver(
            address,
            high_water_mark=config.transition_high_water_mark,
            buffer_bytes=config.transition_buffer_bytes,
        ) as receiver,
    ):
        link.send(str(receiver.address))
        waiter = Waiter([receiver])
        while True:
            left = link.recv()
            copy = True
            while left:
                waiter.wait(_POLL_MS)
                while left and (message := receiver.receive(copy=copy)) is not None:
                    copy = len(message) < COPY_RECEIVED_BELOW_BYTES
                    left -= 1
            link.send("received")
