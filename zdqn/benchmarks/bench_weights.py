"""What many subscribers of the weights cost the learner, and how soon the weights arrive."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zdqn.benchmarks.bench_learner import learner_config
from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say, divide
from zdqn.benchmarks.processes import (
    LOOPBACK,
    LearnerProcess,
    Link,
    MemoryProcess,
    Questioner,
    Worker,
)
from zdqn.benchmarks.subjects import VECTOR
from zdqn.config import Config
from zdqn.wire import codec, payloads
from zdqn.wire.addresses import parse_address
from zdqn.wire.model_messages import Weights
from zdqn.wire.node import Node
from zdqn.wire.sockets import Waiter
from zdqn.wire.weight_sockets import WeightPublisher, WeightSubscriber

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUBSCRIBERS = (1, 20, 200)
_QUICK_SUBSCRIBERS = (1, 20)
GOAL = Goal(0.95)
"""Speed that the learner keeps with the most subscribers."""

_ITEMS = 100_000
_LOOK_S = 0.05
"""How often a subscriber looks while the learner is measured; a collector does after each step."""
_PERIOD_S = 0.05
"""Between two broadcasts whose delivery is timed."""
_SETTLE_S = 0.5
_WAIT_MS = 100
_OF_A_CONNECTION = 50
"""Collectors that say hello on one connection: a learner takes no more than 64."""


def measure(effort: Effort, say: Say, *, items: int = _ITEMS) -> Result:
    """Measure a learner that trains and publishes, and the delivery of what is published.

    Args:
        effort: how long.
        say: told what is going on.
        items: transitions in the memory.

    Returns:
        For each number of subscribers: the speed that the learner keeps, with that of a bare PUB
        socket beside a busy loop as a bound; and the latency of a delivery.
    """
    config = learner_config(32, compiled=False, items=items)
    counts = _QUICK_SUBSCRIBERS if effort.quick else SUBSCRIBERS
    result = Result()
    with (
        tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder,
        MemoryProcess(config, VECTOR) as memory,
        LearnerProcess(config, memory, Path(folder)) as learner,
    ):
        memory.fill(items)
        learner.wait_for_updates(20)
        kept = {}
        for count in counts:
            say(f"weights: learner, {count} subscribers")
            kept[count] = _measure_learner(effort, learner, count)
        updates_per_s = learner.updates_per_s(effort.seconds)
    message, arrays = _weights_message(config)
    broadcasts_per_s = updates_per_s / config.publish_period_updates
    for count in counts:
        say(f"weights: bare and delivery, {count} subscribers")
        bound = _measure_bare(effort, message, broadcasts_per_s, count)
        median_ms, tail_ms = _measure_delivery(effort, arrays, count)
        goal = GOAL if count == SUBSCRIBERS[-1] else None
        name = f"weights.{count}"
        result.add(
            Figure(f"{name}.learner_speed_kept", "", kept[count], bound, goal),
            Figure(f"{name}.delivery_p50", "ms", median_ms),
            Figure(f"{name}.delivery_p99", "ms", tail_ms),
        )
    result.notes.append(
        f"All subscribers share this machine's cores with the learner, which broadcasts "
        f"{broadcasts_per_s:.0f} times {len(message) / 1e3:.0f} kB a second: "
        f"{broadcasts_per_s * len(message) * counts[-1] / 1e6:,.0f} MB/s to {counts[-1]} of them."
    )
    return result


def _measure_learner(effort: Effort, learner: LearnerProcess, count: int) -> tuple[float, ...]:
    """Give the speed with so many subscribers over that without any."""
    alone, watched = [], []
    for _ in range(effort.repeats):
        alone.append(learner.updates_per_s(effort.seconds))
        with Worker(_join, learner.model, learner.weights, count) as subscribers:
            subscribers.receive()
            time.sleep(_SETTLE_S)
            watched.append(learner.updates_per_s(effort.seconds))
    return divide(watched, alone)


def _measure_bare(
    effort: Effort, message: bytes, broadcasts_per_s: float, count: int
) -> tuple[float, ...]:
    """Give the same of a busy loop that broadcasts as often."""
    alone, watched = [], []
    for _ in range(effort.repeats):
        with Node() as node:
            publisher = node.publisher(parse_address(LOOPBACK, parameter="", bind=True))
            alone.append(_busy(publisher, message, broadcasts_per_s, effort.seconds))
            with Worker(_subscribe, str(publisher.address), count) as subscribers:
                subscribers.receive()
                time.sleep(_SETTLE_S)
                watched.append(_busy(publisher, message, broadcasts_per_s, effort.seconds))
            publisher.close()
    return divide(watched, alone)


def _busy(
    publisher: WeightPublisher, message: bytes, broadcasts_per_s: float, seconds: float
) -> float:
    """Compute and broadcast; give computations a second."""
    matrix = np.ones((64, 64), np.float32)
    computations = broadcasts = 0
    started_s = time.perf_counter()
    while (elapsed_s := time.perf_counter() - started_s) < seconds:
        if broadcasts < elapsed_s * broadcasts_per_s:
            publisher.publish(message)
            broadcasts += 1
        matrix @ matrix
        computations += 1
    return computations / elapsed_s


def _measure_delivery(
    effort: Effort, arrays: dict[str, NDArray[np.float32]], count: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Give median and 99th percentile in ms, from `publish` to the subscribers' hands."""
    medians, tails = [], []
    with Node() as node:
        publisher = node.publisher(parse_address(LOOPBACK, parameter="", bind=True))
        for _ in range(effort.repeats):
            with Worker(_time_deliveries, str(publisher.address), count) as subscribers:
                subscribers.receive()
                time.sleep(_SETTLE_S)
                end_s = time.monotonic() + effort.seconds
                while time.monotonic() < end_s:
                    publisher.publish(_encode(arrays, stamp_ns=time.monotonic_ns()))
                    time.sleep(_PERIOD_S)
                subscribers.send("enough")
                latencies = np.array(subscribers.receive()) / 1e6
            medians.append(float(np.median(latencies)))
            tails.append(float(np.percentile(latencies, 99)))
        publisher.close()
    return tuple(medians), tuple(tails)


def _weights_message(config: Config) -> tuple[bytes, dict[str, NDArray[np.float32]]]:
    """Write weights as the learner does."""
    from zdqn.rl.weight_arrays import weights_to_arrays
    from zdqn.roles.building import build_network

    arrays = weights_to_arrays(build_network(config, None, VECTOR))
    return _encode(arrays, stamp_ns=0), arrays


def _encode(arrays: dict[str, NDArray[np.float32]], *, stamp_ns: int) -> bytes:
    """Write weights; the count of environment steps carries the time at which it was done."""
    header = Weights(
        run_id="bench",
        weight_version=0,
        environment_steps=stamp_ns,
        updates=0,
        stopping=False,
        tensors=payloads.describe_tensors(arrays),
    )
    return codec.encode(header, tuple(arrays.values()))


def _subscribe(link: Link, address: str, count: int) -> None:
    """Subscribe so many times, and take the newest weights now and then."""
    with ExitStack() as stack:
        _watch(link, _connect(stack, address, count))


def _join(link: Link, learner: str, weights: str, count: int) -> None:
    """Subscribe as so many collectors do: the learner knows of each, and how many there are."""
    with ExitStack() as stack:
        for begun in range(0, count, _OF_A_CONNECTION):
            joining = min(_OF_A_CONNECTION, count - begun)
            stack.enter_context(_known_to(learner, joining))
        _watch(link, _connect(stack, weights, count))


@contextmanager
def _known_to(learner: str, count: int) -> Iterator[None]:
    """Say hello for so many collectors and, in the end, goodbye."""
    with Questioner(learner) as questioner:
        sessions = [questioner.join(VECTOR) for _ in range(count)]
        try:
            yield
        finally:
            for session in sessions:
                questioner.leave(session)


def _watch(link: Link, subscribers: list[WeightSubscriber]) -> None:
    """Take the newest weights now and then, until the benchmark hangs up."""
    link.send("subscribed")
    while not link.poll(_LOOK_S):
        for subscriber in subscribers:
            subscriber.latest()


def _time_deliveries(link: Link, address: str, count: int) -> None:
    """Subscribe so many times, and take the time of every message."""
    latencies = []
    with ExitStack() as stack:
        subscribers = _connect(stack, address, count)
        link.send("subscribed")
        waiter = Waiter(subscribers)
        while not link.poll():
            for subscriber in waiter.wait(_WAIT_MS):
                message = subscriber.latest() if isinstance(subscriber, WeightSubscriber) else None
                if message is not None:
                    header = codec.expect(codec.decode(message), Weights)
                    latencies.append(time.monotonic_ns() - header.environment_steps)
    link.recv()
    link.send(latencies)


def _connect(stack: ExitStack, address: str, count: int) -> list[WeightSubscriber]:
    node = stack.enter_context(Node())
    where = parse_address(address, parameter="the learner's weights")
    return [stack.enter_context(node.subscriber(where)) for _ in range(count)]
