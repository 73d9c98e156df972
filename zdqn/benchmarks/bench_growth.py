"""Time per insert and per sample as the replay grows, beside bare copies of the same bytes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from zdqn.benchmarks.bench_sample import Subject, filled_broker
from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say, alternate, rate_of
from zdqn.benchmarks.subjects import VECTOR, Writer, make_block
from zdqn.core.broker import MemoryBroker
from zdqn.errors import RoleFailedError
from zdqn.wire import codec, payloads
from zdqn.wire.memory_messages import NotReady, SampleRequest

SIZES = (100_000, 1_000_000, 5_000_000)
"""Transitions stored; each replay is full, so that every insert evicts."""
QUICK_SIZES = (10_000, 100_000)

_SLACK = 1.2
_BATCH = 32
_BLOCK = 32
_INSERT_S = 40e-6
"""About what an insert takes; so many messages are written before the clock starts."""


def measure(effort: Effort, say: Say) -> Result:
    """Measure uniform and prioritized replays.

    Args:
        effort: how long.
        say: told what is going on.
    """
    result = Result()
    sizes = QUICK_SIZES if effort.quick else SIZES
    for replay in ("uniform", "prioritized"):
        result.add(*measure_replay(effort, say, replay, sizes))
    return result


def measure_replay(effort: Effort, say: Say, replay: str, sizes: tuple[int, ...]) -> list[Figure]:
    """Measure the memory's decisions, message in to message out, without its sockets.

    Args:
        effort: how long.
        say: told what is going on.
        replay: "uniform" or "prioritized" (a sample then writes priorities back, too).
        sizes: transitions stored, smallest first.

    Returns:
        Microseconds of an insert of 32 transitions and of a sample of 32, each with a bound, bare
        copies from arrays as large; and how much more the largest takes than the smallest.
    """
    say(f"growth: filling {replay} replays of {', '.join(map(str, sizes))}")
    brokers = [filled_broker(Subject(replay, "vector", VECTOR, size)) for size in sizes]
    figures = []
    sampler = _prioritized_sampler if replay == "prioritized" else _sampler
    inserts = [_insert_microseconds(broker, effort.seconds) for broker in brokers]
    samples = [_microseconds(sampler(broker), effort.seconds) for broker in brokers]
    for action, measures, bare in (
        ("insert", inserts, _bare_inserter),
        ("sample", samples, _bare_gatherer),
    ):
        say(f"growth: {replay}, {action}")
        bounds = [_microseconds(bare(size), effort.seconds) for size in sizes]
        columns = alternate(effort, *measures, *bounds)
        rows = [
            Figure(f"growth.{replay}.{action}.{size}", "us", values, bound)
            for size, values, bound in zip(
                sizes, columns[: len(sizes)], columns[len(sizes) :], strict=True
            )
        ]
        goal = Goal(round(_SLACK * _natural_growth(replay, sizes), 2), at_most=True)
        growth = rows[-1].over(rows[0], f"growth.{replay}.{action}.largest_to_smallest", goal)
        figures += [*rows, growth]
    return figures


def _natural_growth(replay: str, sizes: tuple[int, ...]) -> float:
    """Give what is allowed for: nothing, or the depth of the tree."""
    return math.log(sizes[-1]) / math.log(sizes[0]) if replay == "prioritized" else 1.0


def _microseconds(work: Callable[[], None], seconds: float) -> Callable[[], float]:
    def once() -> float:
        work()
        return 1

    return lambda: 1e6 / rate_of(once, seconds)


def _insert_microseconds(broker: MemoryBroker, seconds: float) -> Callable[[], float]:
    block = make_block(VECTOR, _BLOCK, np.random.default_rng(0))
    writer = Writer(VECTOR)

    def once() -> float:
        messages = list(writer.write(block, max(1, int(seconds / _INSERT_S))))
        started_s = time.perf_counter()
        for message in messages:
            broker.intake.insert(message)
        return 1e6 * (time.perf_counter() - started_s) / len(messages)

    return once


def _sampler(broker: MemoryBroker) -> Callable[[], None]:
    request = SampleRequest(batch_size=_BATCH)

    def sample() -> None:
        if isinstance(broker.sample(request), NotReady):
            raise RoleFailedError("A replay that was filled has nothing to sample.")

    return sample


def _prioritized_sampler(broker: MemoryBroker) -> Callable[[], None]:
    rng = np.random.default_rng(0)
    errors = rng.random(_BATCH, np.float32)
    request = SampleRequest(batch_size=_BATCH, priorities=_BATCH)
    spec = broker.store.spec
    assert spec is not None
    keys = np.zeros(_BATCH, np.int64)

    def sample() -> None:
        nonlocal keys
        message = codec.decode(codec.encode(request, (keys, errors)))
        broker.take_priorities(request, message)
        reply = broker.sample(request)
        if isinstance(reply, NotReady):
            raise RoleFailedError("A replay that was filled has nothing to sample.")
        keys = payloads.read_batches(codec.decode(reply.message.data), spec)[1].keys

    return sample


def _bare_inserter(size: int) -> Callable[[], None]:
    """Copy a block's frames and records into arrays of that size, in a ring."""
    frames = np.zeros((2 * size, *VECTOR.observation_shape), VECTOR.dtype)
    words = np.zeros((size, VECTOR.record_dtype.itemsize // 4), np.int32)
    new_frames, new_words = frames[: _BLOCK + 1].copy(), words[:_BLOCK].copy()
    at = 0

    def insert() -> None:
        nonlocal at
        frames[at : at + _BLOCK + 1] = new_frames
        words[at : at + _BLOCK] = new_words
        at = (at + _BLOCK) % (size - _BLOCK)

    return insert


def _bare_gatherer(size: int) -> Callable[[], None]:
    """Gather a batch's frames and records from arrays of that size."""
    frames = np.zeros((2 * size, *VECTOR.observation_shape), VECTOR.dtype)
    words = np.zeros((size, VECTOR.record_dtype.itemsize // 4), np.int32)
    frames += 1  # touch every page
    words += 1
    rng = np.random.default_rng(0)

    def gather() -> None:
        rows = rng.integers(0, size, _BATCH)
        words.take(rows, axis=0)
        frames.take(rows, axis=0)
        frames.take(rows + 1, axis=0)

    return gather
