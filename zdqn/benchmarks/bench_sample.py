"""Batches a second out of a real memory, beside gathering the same in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say, alternate, rate_of
from zdqn.benchmarks.processes import MemoryProcess
from zdqn.benchmarks.subjects import MOST_TRANSITIONS, STACKED, VECTOR, make_block, memory_config
from zdqn.config import Config
from zdqn.core.broker import MemoryBroker
from zdqn.core.store import TransitionStore
from zdqn.data import EnvironmentSpec
from zdqn.roles.building_replay import build_broker
from zdqn.roles.learner.sample_stream import SampleStream
from zdqn.wire.addresses import parse_address
from zdqn.wire.membership import new_session
from zdqn.wire.node import Node

GOALS = {
    "uniform.vector.32": Goal(8_000),
    "uniform.vector.512": Goal(5_000),
    "uniform.image.32": Goal(1_000),
    "uniform.image.32.shared": Goal(1_200),
    "prioritized.vector.32": Goal(2_000),
    "prioritized.vector.512": Goal(800),
}
"""Each for the two ways in which a learner asks when it wants many batches: `GOAL_REQUESTS`."""

_LEARNER = Config().learner
AS_THE_LEARNER = (_LEARNER.batches_per_request, _LEARNER.requests_in_flight)
GOAL_REQUESTS = ((1, 4), AS_THE_LEARNER)
"""Most batches a reply, and requests in flight."""

_REQUESTS = ((1, 1), (1, 2), (1, 4), AS_THE_LEARNER)
_SILENCE_TRIES = 50


@dataclass(frozen=True)
class Subject:
    """A memory to sample from.

    Attributes:
        replay: "uniform" or "prioritized".
        kind: "vector" or "image".
        spec: of its environment.
        items: transitions that it holds.
        shared: whether the learner shares memory with it, as by itself it would on one host, and
            then reads what it is given; else everything goes over the socket.
    """

    replay: str
    kind: str
    spec: EnvironmentSpec
    items: int
    shared: bool = False

    @property
    def config(self) -> Config:
        """Its settings."""
        return memory_config(f"replay.kind={self.replay}", f"replay.capacity={self.items}")


SUBJECTS = (
    Subject("uniform", "vector", VECTOR, 1_000_000),
    Subject("prioritized", "vector", VECTOR, 1_000_000),
    Subject("uniform", "image", STACKED, 20_000),
    Subject("uniform", "image", STACKED, 20_000, shared=True),
)


def measure(effort: Effort, say: Say) -> Result:
    """Measure every combination of replay, observation, batch size and way of asking.

    Args:
        effort: how long.
        say: told what is going on.
    """
    result = Result()
    for subject in SUBJECTS:
        result.add(*measure_subject(effort, say, subject))
    return result


def measure_subject(
    effort: Effort,
    say: Say,
    subject: Subject,
    *,
    batch_sizes: tuple[int, ...] = (32, 512),
    requests: tuple[tuple[int, int], ...] = _REQUESTS,
) -> list[Figure]:
    """Measure one memory process.

    Args:
        effort: how long.
        say: told what is going on.
        subject: which memory.
        batch_sizes: transitions in a batch.
        requests: most batches a reply, and requests in flight. Where the learner would ask for
            fewer, as they are large, so does this; where that leaves one, it is left out.
    """
    figures = []
    store = filled_broker(subject).store
    with MemoryProcess(subject.config, subject.spec) as memory, Node() as node:
        memory.fill(subject.items)
        for size in batch_sizes:
            for most, in_flight in requests:
                stream = open_stream(node, memory, size, most, in_flight, shared=subject.shared)
                batches = stream.reply_size.most
                if batches == 1 < most:
                    stream.close()
                    continue
                case = f"{subject.replay}.{subject.kind}.{size}{'.shared' * subject.shared}"
                say(f"sample: {case}, {batches} a reply, {in_flight} in flight")
                values, bound = alternate(
                    effort,
                    _timed(make_sampler(stream, subject, size), effort.seconds),
                    _timed(_gatherer(store, subject, size, batches), effort.seconds),
                )
                stream.close()
                name = f"sample.{case}.{batches}_a_reply.{in_flight}_in_flight"
                goal = GOALS.get(case) if (most, in_flight) in GOAL_REQUESTS else None
                figures.append(Figure(name, "batches/s", values, bound, goal))
    return figures


def filled_broker(subject: Subject) -> MemoryBroker:
    """Make the same memory in this process, filled."""
    broker = build_broker(subject.config, session=1)
    broker.store.make_room(subject.spec)
    block = make_block(subject.spec, MOST_TRANSITIONS, np.random.default_rng(0))
    for _ in range(-(-subject.items // MOST_TRANSITIONS)):
        broker.store.insert(block)
    return broker


def _timed(work: Callable[[], float], seconds: float) -> Callable[[], float]:
    return lambda: rate_of(work, seconds)


def open_stream(
    node: Node,
    memory: MemoryProcess,
    batch_size: int,
    batches: int,
    in_flight: int,
    *,
    shared: bool = False,
) -> SampleStream:
    """Connect to a memory as a learner does, which need not say hello."""
    return SampleStream(
        node.pipelined_client(parse_address(memory.samples, parameter="the memory"), "memory"),
        session=new_session(),
        spec=memory.spec,
        batch_size=batch_size,
        batches_per_request=batches,
        requests_in_flight=in_flight,
        shared_memory="auto" if shared else False,
    )


def make_sampler(stream: SampleStream, subject: Subject, batch_size: int) -> Callable[[], float]:
    """Sample over the link, as a learner that computes nothing."""
    errors = np.random.default_rng(0).random(64 * batch_size, np.float32)

    def sample() -> float:
        for _ in range(_SILENCE_TRIES):
            batch = stream.receive(None)
            if batch is not None:
                break
        else:
            raise AssertionError(f"no batch came: {stream.waiting_for}")
        if subject.shared:
            batch.observations.max()
            batch.next_observations.max()
        if subject.replay == "prioritized":
            stream.write_back(batch.keys, errors[: len(batch)])
        return len(batch) / batch_size

    return sample


def _gatherer(
    store: TransitionStore, subject: Subject, batch_size: int, batches: int
) -> Callable[[], float]:
    """Sample in this process."""
    errors = np.random.default_rng(0).random(64 * batch_size, np.float32)

    def gather() -> float:
        batch = store.draw(batch_size, batches)
        if subject.replay == "prioritized":
            store.update_priorities(batch.keys, errors[: len(batch)])
        return batches

    return gather
