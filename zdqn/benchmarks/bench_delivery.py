"""What acknowledged delivery costs: inserts that are acknowledged, beside the same that are not."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from zdqn.benchmarks.bench_insert import SENDERS, BlockSenders, send_blocks
from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say, alternate
from zdqn.benchmarks.processes import (
    Link,
    MemoryProcess,
    connect_sender,
    make_node,
)
from zdqn.benchmarks.subjects import VECTOR, Writer, make_block, memory_config
from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.roles.acting.acked_link import AckedLink
from zdqn.roles.acting.arrivals_inquiry import ArrivalsInquiry
from zdqn.wire.addresses import parse_address

SHARE = Goal(0.7)

_TRANSITIONS = 32
"""In a message."""
_CAPACITY = 200_000
_TRIAL = 400


def measure(effort: Effort, say: Say) -> Result:
    """Measure inserts into two memories, one of which acknowledges them, in turn.

    Args:
        effort: how long.
        say: told what is going on.
    """
    result = Result()
    result.add(*measure_subject(effort, say, VECTOR, _CAPACITY))
    return result


def measure_subject(effort: Effort, say: Say, spec: EnvironmentSpec, capacity: int) -> list[Figure]:
    """Measure one kind of observations.

    Args:
        effort: how long.
        say: told what is going on.
        spec: of the environment.
        capacity: of the replay, which is full.
    """
    say(f"delivery: insert, {_TRANSITIONS} a message")
    name = f"delivery.insert.vector.{_TRANSITIONS}"
    with ExitStack() as stack:
        plain, acked = (_Side(stack, spec, capacity, delivery) for delivery in ("plain", "acked"))
        messages = max(int(plain.insert(_TRIAL) * effort.seconds / _TRANSITIONS / SENDERS), _TRIAL)
        values, bound = alternate(
            effort, lambda: acked.insert(messages), lambda: plain.insert(messages)
        )
        assert acked.lost() == plain.lost() == 0
    figure = Figure(name, "transitions/s", values, bound)
    return [figure, figure.over(Figure(name, "", bound), f"{name}.share", SHARE)]


class _Side:
    """A memory process and those who insert; closed by the stack."""

    def __init__(self, stack: ExitStack, spec: EnvironmentSpec, capacity: int, way: str) -> None:
        config = memory_config(f"replay.capacity={capacity}", f"links.delivery={way}")
        self._memory = memory = stack.enter_context(MemoryProcess(config, spec))
        memory.fill(capacity)
        if way == "plain":
            senders = BlockSenders(send_blocks, spec, config, memory.transitions)
        else:
            places = memory.transitions, memory.samples
            senders = BlockSenders(_send_acked, spec, config, *places)
        self._senders = stack.enter_context(senders)

    def insert(self, messages: int) -> float:
        """Have each sender insert so many messages, and give transitions a second."""
        return self._senders.insert_into(self._memory, _TRANSITIONS, messages)

    def lost(self) -> int:
        """Count blocks that were lost, or came twice."""
        status = self._memory.status()
        return int(status["blocks_lost"] + status["blocks_duplicated"])


def _send_acked(
    link: Link, spec: EnvironmentSpec, config: Config, address: str, samples: str
) -> None:
    """Write messages when told how many, send them when told to."""
    writer = Writer(spec, acked=True)
    rng = np.random.default_rng(0)
    memory = parse_address(samples, parameter="the samples address")
    with (
        make_node(config, "collector") as node,
        connect_sender(node, config, address, watched=True) as sender,
        node.pipelined_client(memory, "memory") as client,
    ):
        inquiry = ArrivalsInquiry(client, session=writer.session)
        acked = AckedLink(sender, inquiry, paced=False)
        sent = 0
        while True:
            size, count = link.recv()
            messages = list(writer.write(make_block(spec, size, rng), count))
            link.send("written")
            link.recv()
            for message in messages:
                acked.wait(sent, _never)
                acked.send(message, _never)
                sent += 1
                acked.note_sent(sent)
            acked.finish(_never)
            link.send("sent")


def _never() -> bool:
    return False
