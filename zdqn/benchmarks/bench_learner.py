"""Updates a second of a trainer that samples over TCP, beside one that is fed from a list."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zdqn.benchmarks.compiling_ahead import make_trainer, with_compile
from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say, alternate, divide, rate_of
from zdqn.benchmarks.processes import LearnerProcess, MemoryProcess
from zdqn.benchmarks.subjects import MEMORY_SETTINGS, VECTOR, seed_config
from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.data import Batch
from zdqn.errors import ConfigError
from zdqn.roles.compiling.loop_cache import LoopCache
from zdqn.roles.learner.sample_stream import SampleStream
from zdqn.wire.addresses import parse_address
from zdqn.wire.membership import new_session
from zdqn.wire.node import Node

if TYPE_CHECKING:
    from zdqn.core.trainer import Trainer
    from zdqn.rl.training_batch import TrainingBatch, TrainingBatches

GOAL = Goal(0.95)
COMPILED_GOAL = Goal(4.1)
"""Of compiled over eager updates: 0.7 of SBX's, which scans many in one compiled call."""

_BATCH = 32
_ITEMS = 100_000
_WARM_UP_UPDATES = 20
_READY_BATCHES = 64
_SETTLE_S = 0.25
"""What was stopped has its caches and its replies on their way again by then."""


def measure(effort: Effort, say: Say) -> Result:
    """Measure both batch sizes, eager and compiled.

    Args:
        effort: how long.
        say: told what is going on.
    """
    result = Result()
    try:
        result.add(*measure_compiling(effort, say))
    except ConfigError as error:
        result.notes.append(f"learner, compiling, is left out: {error}")
    for compiled in (False, True):
        for batch_size in (32, 512):
            try:
                result.add(*measure_trainer(effort, say, batch_size, compiled=compiled))
            except ConfigError as error:
                result.notes.append(f"learner, compiled, is left out: {error}")
    return result


def measure_compiling(effort: Effort, say: Say) -> list[Figure]:
    """Measure what compiling brings, and what it costs.

    Args:
        effort: how long.
        say: told what is going on.

    Returns:
        Updates/s of batches of 32 that lie ready, eager, compiled one a call and compiled 64 a
        call; the ratio of the last to the first; seconds until updates are compiled, without and
        with what an earlier run has left.

    Raises:
        ConfigError: if nothing can be compiled here.
    """
    config = learner_config(_BATCH, compiled=True, items=1000)
    say("learner: compiling")
    with tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder:
        cache = LoopCache(Path(folder))
        _, cold_s = make_trainer(config, cache)
        compiled, warm_s = make_trainer(config, cache)
    eager, _ = make_trainer(with_compile(config, False))
    batches = eager.prepare(_sampled(_BATCH * _READY_BATCHES), _BATCH, None)
    say("learner: eager and compiled updates")
    one_by_one, one_a_call, many_a_call = alternate(
        effort,
        lambda: _updates_per_s(eager, batches, 1, effort.seconds),
        lambda: _updates_per_s(compiled, batches, 1, effort.seconds),
        lambda: _updates_per_s(compiled, batches, _READY_BATCHES, effort.seconds),
    )
    name = f"learner.updates.{_BATCH}"
    plain = Figure(f"{name}.eager", "updates/s", one_by_one)
    best = Figure(f"{name}.compiled_{_READY_BATCHES}_a_call", "updates/s", many_a_call)
    return [
        plain,
        Figure(f"{name}.compiled_1_a_call", "updates/s", one_a_call),
        best,
        best.over(plain, f"{name}.compiled_to_eager", COMPILED_GOAL),
        Figure("learner.compiling.cold", "s", (cold_s,)),
        Figure("learner.compiling.warm", "s", (warm_s,)),
    ]


def _updates_per_s(
    trainer: Trainer, batches: TrainingBatches, at_once: int, seconds: float
) -> float:
    parts = cycle([batches[k : k + at_once] for k in range(0, len(batches), at_once)])

    def learn() -> float:
        return len(trainer.update_all(next(parts)))

    return rate_of(learn, seconds)


def _sampled(count: int) -> Batch:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(2, count, *VECTOR.stacked_shape)).astype(np.float32)
    return Batch(
        observations=numbers[0],
        actions=rng.integers(VECTOR.num_actions, size=count),
        rewards=rng.normal(size=count).astype(np.float32),
        discounts=np.full(count, 0.99, np.float32),
        next_observations=numbers[1],
        keys=np.arange(count),
        probabilities=np.ones(count),
        weight_versions=np.zeros(count, np.int64),
    )


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
        and serves; both with a bound, the trainer that is fed from a list. Then the two ratios.
    """
    name = f"learner.{'compiled' if compiled else 'eager'}.{batch_size}"
    config = learner_config(batch_size, compiled=compiled, items=items)
    say(f"{name}: starting")
    with FedTrainer(config, items) as fed, PausedLearner(config, items) as role:
        say(f"{name}: the trainer and the role")
        over_tcp, from_list, of_role = alternate(
            effort,
            lambda: fed.updates_per_s(effort.seconds),
            lambda: fed.updates_per_s_from_list(effort.seconds),
            lambda: role.updates_per_s(effort.seconds),
        )
    return [
        Figure(f"{name}.fed_over_tcp", "updates/s", over_tcp, from_list),
        Figure(f"{name}.role", "updates/s", of_role, from_list),
        Figure(f"{name}.fed_over_tcp_to_list", "", divide(over_tcp, from_list), goal=GOAL),
        Figure(f"{name}.role_to_list", "", divide(of_role, from_list), goal=GOAL),
    ]


class PausedLearner(Closing):
    """The learner role and its memory, a process each, which go on only while they are measured.

    So they are measured in turn with what they are compared with, on a machine that drifts.

    Args:
        config: of both.
        items: transitions in the memory.
    """

    def __init__(self, config: Config, items: int) -> None:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="zdqn-bench-"))
            memory = stack.enter_context(MemoryProcess(config, VECTOR))
            memory.fill(items)
            self._learner = stack.enter_context(LearnerProcess(config, memory, Path(folder)))
            self._learner.wait_for_updates(_WARM_UP_UPDATES)
            self._workers = (memory.worker, self._learner.worker)
            self._pause()
            self._open = stack.pop_all()

    def _pause(self) -> None:
        for worker in self._workers:
            worker.pause()

    def updates_per_s(self, seconds: float) -> float:
        """Measure, and stop them again."""
        for worker in self._workers:
            worker.go_on()
        try:
            time.sleep(_SETTLE_S)
            return self._learner.updates_per_s(seconds)
        finally:
            self._pause()

    def close(self) -> None:
        """End both."""
        for worker in self._workers:  # each is told of the other's end
            worker.go_on()
        self._open.close()


def learner_config(batch_size: int, *, compiled: bool, items: int) -> Config:
    """Give the settings of a learner that only learns, and of its memory."""
    return seed_config(
        *MEMORY_SETTINGS,
        f"replay.capacity={items}",
        f"algorithm.batch_size={batch_size}",
        f"learner.compile={str(compiled).lower()}",
    )


class FedTrainer(Closing):
    """The real trainer in this process, and a memory process that feeds it.

    Args:
        config: of both.
        items: transitions in the memory.
    """

    def __init__(self, config: Config, items: int) -> None:
        self._config = config
        self._memory = MemoryProcess(config, VECTOR)
        self._node = Node()
        self._stream = SampleStream(
            self._node.pipelined_client(
                parse_address(self._memory.samples, parameter="the memory"), "memory"
            ),
            session=new_session(),
            spec=VECTOR,
            batch_size=config.algorithm.batch_size,
            batches_per_request=config.learner.batches_per_request,
            requests_in_flight=config.learner.requests_in_flight,
            shared_memory=config.links.shared_memory,
        )
        try:
            self._memory.fill(items)
            # A learner role finds in the user's cache what is compiled here.
            self._trainer: Trainer = make_trainer(config)[0]
            from zdqn.rl.training_batch import TrainingBatches

            ready: list[TrainingBatch] = []
            while len(ready) < _READY_BATCHES:
                ready += self._prepare(self._sample())
            self._list = TrainingBatches.of(ready[:_READY_BATCHES])
            self._trainer.update_all(self._list[:_WARM_UP_UPDATES])
        except BaseException:
            self.close()
            raise

    def _sample(self) -> Batch:
        while (sampled := self._stream.receive(None)) is None:
            pass
        return sampled

    def _prepare(self, sampled: Batch) -> TrainingBatches:
        return self._trainer.prepare(sampled, self._config.algorithm.batch_size, None)

    def updates_per_s(self, seconds: float) -> float:
        """Measure with batches that come over TCP."""

        def learn() -> float:
            return len(self._trainer.update_all(self._prepare(self._sample())))

        return rate_of(learn, seconds)

    def updates_per_s_from_list(self, seconds: float) -> float:
        """Measure with batches that lie ready."""
        return _updates_per_s(self._trainer, self._list, _READY_BATCHES, seconds)

    def close(self) -> None:
        """End the memory."""
        self._stream.close()
        self._node.close()
        self._memory.close()
