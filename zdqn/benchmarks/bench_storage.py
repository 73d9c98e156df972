"""Inserts and samples of a replay on disk, whose files fit the page cache, beside one in RAM."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say, alternate, rate_of
from zdqn.benchmarks.subjects import IMAGE, VECTOR, Writer, make_block, memory_config
from zdqn.core.broker import MemoryBroker
from zdqn.roles.building_replay import build_broker
from zdqn.roles.replay_keeping import ReplayKeeping
from zdqn.roles.replay_storage import keep_replay

GOAL = Goal(0.8)
"""Of what the same does in RAM."""

_SUBJECTS = {"vector": (VECTOR, 200_000), "image": (IMAGE, 20_000)}
"""Name to environment and replay capacity."""
_BLOCK = 32
_TOGETHER = 64
"""Messages that a memory reads in one go where many have come."""
_ROUND_MESSAGES = 640
_BATCHES, _BATCH = 8, 32


def measure(effort: Effort, say: Say) -> Result:
    """Measure inserts and samples, and how long it takes to come back.

    Args:
        effort: how long.
        say: told what is going on.
    """
    result = Result()
    for kind in _SUBJECTS:
        result.add(*measure_kind(effort, say, kind))
    return result


def measure_kind(effort: Effort, say: Say, kind: str) -> list[Figure]:
    """Measure one kind of observation.

    Args:
        effort: how long.
        say: told what is going on.
        kind: "vector" or "image".
    """
    spec, capacity = _SUBJECTS[kind]
    config = memory_config(
        f"replay.capacity={capacity}", "replay.kind=prioritized", "replay.sync_period_s=1"
    )
    figures = []
    with tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder:
        on_disk = config.replace({"replay.storage": "disk", "replay.path": folder + "/replay"})

        def make(keeping: ReplayKeeping) -> MemoryBroker:
            broker = build_broker(config, session=1, allocate=keeping.allocate, kept=keeping.kept)
            keeping.open(broker)
            return broker

        with keep_replay(on_disk, Path(folder)) as keeping, keep_replay(config, None) as nothing:
            disk, ram = make(keeping), make(nothing)
            messages = Writer(spec).write(make_block(spec, _BLOCK, np.random.default_rng(0)), 10**9)
            for broker, keeper in ((disk, keeping), (ram, nothing)):
                broker.store.make_room(spec)
                keeper.begin("")
                for one in islice(messages, -(-capacity // _BLOCK)):
                    broker.intake.insert(one)
            for together in (1, _TOGETHER):
                say(f"storage: {kind}, inserts, {together} at a time")
                values = alternate(
                    effort,
                    *(
                        _inserter(broker, keeper, messages, together, effort.seconds)
                        for broker, keeper in ((disk, keeping), (ram, nothing))
                    ),
                )
                figures += _compare(f"storage.insert.{kind}.{together}", "transitions/s", values)
            say(f"storage: {kind}, samples")
            values = alternate(
                effort,
                *(
                    _sampler(broker, keeper, effort.seconds)
                    for broker, keeper in ((disk, keeping), (ram, nothing))
                ),
            )
            figures += _compare(f"storage.sample.{kind}", "batches/s", values)
        say(f"storage: {kind}, coming back")
        seconds = []
        for _ in range(effort.repeats):
            started_s = time.perf_counter()
            with keep_replay(on_disk, Path(folder)) as keeping:
                assert make(keeping).store.size > 0
                seconds.append(time.perf_counter() - started_s)
        figures.append(Figure(f"storage.coming_back.{kind}", "s", tuple(seconds)))
    return figures


def _compare(name: str, unit: str, values: list[tuple[float, ...]]) -> list[Figure]:
    disk, ram = values
    ratios = tuple(one / other for one, other in zip(disk, ram, strict=True))
    return [Figure(name, unit, disk, ram), Figure(f"{name}.of_ram", "", ratios, goal=GOAL)]


def _inserter(
    broker: MemoryBroker,
    keeping: ReplayKeeping,
    messages: Iterator[bytes],
    together: int,
    seconds: float,
) -> Callable[[], float]:
    def insert() -> float:
        written = list(islice(messages, _ROUND_MESSAGES))
        inserted_s = done = 0.0
        while inserted_s < seconds:
            started_s = time.perf_counter()
            for first in range(0, len(written), together):
                broker.intake.insert_together(written[first : first + together])
                keeping.advance()
            inserted_s += time.perf_counter() - started_s
            done += _BLOCK * len(written)
            written = list(islice(messages, _ROUND_MESSAGES))
        return done / inserted_s

    return insert


def _sampler(broker: MemoryBroker, keeping: ReplayKeeping, seconds: float) -> Callable[[], float]:
    errors = np.random.default_rng(0).random(_BATCHES * _BATCH, np.float32)

    def sample() -> float:
        batch = broker.store.draw(_BATCH, _BATCHES)
        broker.store.update_priorities(batch.keys, errors)
        keeping.advance()
        return _BATCHES

    return lambda: rate_of(sample, seconds)
