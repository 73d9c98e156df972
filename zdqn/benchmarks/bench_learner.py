"""Updates a second of a trainer that samples over TCP, beside one that is fed from a list."""

from __future__ import annotations

import tempfile
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say, alternate, divide, rate_of
from zdqn.benchmarks.processes import LearnerProcess, MemoryProcess
from zdqn.benchmarks.subjects import MEMORY_SETTINGS, VECTOR, seed_config
from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.data import Batch
from zdqn.errors import ConfigError
from zdqn.roles.building import build_trainer, use_threads
from zdqn.roles.learner.sample_stream import SampleStream
from zdqn.wire.addresses import parse_address
from zdqn.wire.membership import new_session
from zdqn.wire.node import Node

if TYPE_CHECKING:
    from zdqn.core.trainer import Trainer
    from zdqn.rl.training_batch import TrainingBatch

GOAL = Goal(0.95)

_ITEMS = 100_000
_WARM_UP_UPDATES = 20
_READY_BATCHES = 64


def measure(effort: Effort, say: Say) -> Result:
    """Measure both batch sizes, eager and compiled.

    Args:
        effort: how long.
        say: told what is going on.
    """
    result = Result()
    for compiled in (False, True):
        for batch_size in (32, 512):
            try:
                result.add(*measure_trainer(effort, say, batch_size, compiled=compiled))
            except ConfigError as error:
                result.notes.append(f"learner, compiled, is left out: {error}")
    return result


def measure_trainer(
    effort: Effort, say: Say, batch_size: int, *, compiled: bool, items: int = _ITEMS
) -> list[Figure]:
    """Measure one trainer.

    Args:
        effort: how long.
        say: told what is going on.
        batch_size: transitions in an update.
        compiled: whether to compile the update.
        items: transitions in the memory.

    Returns:
        Updates/s of the trainer fed over TCP, and of the learner role that also publishes, reports
        and serves; both with a bound, the trainer that is fed from a list. Then the first's ratio.
    """
    name = f"learner.{'compiled' if compiled else 'eager'}.{batch_size}"
    config = learner_config(batch_size, compiled=compiled, items=items)
    say(f"{name}: starting")
    with FedTrainer(config, items) as fed:
        say(f"{name}: the trainer")
        over_tcp, from_list = alternate(
            effort,
            lambda: fed.updates_per_s(effort.seconds),
            lambda: fed.updates_per_s_from_list(effort.seconds),
        )
    say(f"{name}: the role")
    role = _measure_role(effort, config, items)
    return [
        Figure(f"{name}.fed_over_tcp", "updates/s", over_tcp, from_list),
        Figure(f"{name}.role", "updates/s", role, from_list),
        Figure(f"{name}.fed_over_tcp_to_list", "", divide(over_tcp, from_list), goal=GOAL),
    ]


def _measure_role(effort: Effort, config: Config, items: int) -> tuple[float, ...]:
    """Measure the learner in a process of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder,
        MemoryProcess(config, VECTOR) as memory,
    ):
        memory.fill(items)
        with LearnerProcess(config, memory, Path(folder)) as learner:
            learner.wait_for_updates(_WARM_UP_UPDATES)
            (rates,) = alternate(effort, lambda: learner.updates_per_s(effort.seconds))
    return rates


def learner_config(batch_size: int, *, compiled: bool, items: int) -> Config:
    """Give the settings of a learner that only learns, and of its memory."""
    return seed_config(
        *MEMORY_SETTINGS,
        f"replay.capacity={items}",
        f"algorithm.batch_size={batch_size}",
        f"learner.compile={str(compiled).lower()}",
        "learner.report_period_s=0.1",
    )


class FedTrainer(Closing):
    """The real trainer in this process, and a memory process that feeds it.

    Args:
        config: of both.
        items: transitions in the memory.
    """

    def __init__(self, config: Config, items: int) -> None:
        use_threads(config.learner.threads)
        self._config = config
        self._memory = MemoryProcess(config, VECTOR)
        self._node = Node()
        self._stream = SampleStream(
            self._node.pipelined_client(
                parse_address(self._memory.samples, parameter="the memory")
            ),
            session=new_session(),
            spec=VECTOR,
            batch_size=config.algorithm.batch_size,
            batches_per_request=config.learner.batches_per_request,
            requests_in_flight=config.learner.requests_in_flight,
        )
        try:
            self._memory.fill(items)
            self._trainer: Trainer = build_trainer(config, None, VECTOR)
            self._list: list[TrainingBatch] = []
            while len(self._list) < _READY_BATCHES:
                self._list += self._prepare(self._sample())
            for batch in self._list[:_WARM_UP_UPDATES]:
                self._trainer.update(batch)
        except BaseException:
            self.close()
            raise

    def _sample(self) -> Batch:
        while (sampled := self._stream.receive(None)) is None:
            pass
        return sampled

    def _prepare(self, sampled: Batch) -> list[TrainingBatch]:
        return self._trainer.prepare(sampled, self._config.algorithm.batch_size, None)

    def updates_per_s(self, seconds: float) -> float:
        """Measure with batches that come over TCP."""

        def learn() -> float:
            batches = self._prepare(self._sample())
            for batch in batches:
                self._trainer.update(batch)
            return len(batches)

        return rate_of(learn, seconds)

    def updates_per_s_from_list(self, seconds: float) -> float:
        """Measure with batches that lie ready."""
        ready = cycle(self._list)

        def learn() -> float:
            self._trainer.update(next(ready))
            return 1

        return rate_of(learn, seconds)

    def close(self) -> None:
        """End the memory."""
        self._stream.close()
        self._node.close()
        self._memory.close()
