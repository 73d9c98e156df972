"""DQN in one process, step by step, the same for the same seed: the reference for everything else.

This is the loop of Mnih et al. 2015, Nature 518, algorithm 1: act, mostly greedily (`_step`), and
store what happened (`collect`); draw a batch, lower its loss, and write back how much there was to
learn (`_learn_from`), as often as the samples-per-insert ratio allows (`learn`). What the loss of a
batch is stands in `zdqn.rl.objectives`: with these two files you have read DQN. The step along its
gradient is `zdqn.rl.optimizer`'s, and when the target network follows is `zdqn.core.trainer`'s.

The parts are those of the distributed system; only the links between them are function calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import numpy as np
from numpy.typing import NDArray

from zdqn.core.divergence import Divergence
from zdqn.core.rollout import Rollout
from zdqn.core.store import TransitionStore
from zdqn.core.trainer import Trainer
from zdqn.data import EnvironmentSpec, WeightVersion
from zdqn.rl.exploration import explore
from zdqn.rl.greedy import Greedy
from zdqn.rl.importance import importance_weights
from zdqn.rl.staleness import Staleness
from zdqn.rl.training_batch import TrainingBatch
from zdqn.rl.update_means import UpdateMeans
from zdqn.rl.update_rule import Update

_DRAWN_AT_ONCE = 16
"""Batches at most: for as many updates, of which compiled ones are made in one call."""


class Lockstep:
    """Alternates between steps of N environments and the updates that are then due.

    Args:
        rollout: the environments.
        spec: of them.
        store: the replay with its limiter, whose ratio decides when updates are due.
        trainer: the networks, and how they learn from a batch.
        policy: acts with the trainer's online network, whose mode it does not touch.
        batch_size: transitions of one update.
        prioritized: whether to weight by importance and to write priorities back.
        estimate: whether new transitions get the network's own TD error as priority.
        epsilon: environment steps so far to epsilon, one number or one per environment.
        importance_exponent: updates so far to beta.
        rng: for exploration.
        staleness: told what was learned from; a version is an update here.
        divergence: told of returns; ends training when it goes wrong.
        means: told what each update saw.

    Attributes:
        update: the newest update, or None.
    """

    def __init__(
        self,
        rollout: Rollout,
        spec: EnvironmentSpec,
        store: TransitionStore,
        trainer: Trainer,
        policy: Greedy,
        *,
        batch_size: int,
        prioritized: bool,
        estimate: bool,
        epsilon: Callable[[int], float | NDArray[np.float64]],
        importance_exponent: Callable[[int], float],
        rng: np.random.Generator,
        staleness: Staleness,
        divergence: Divergence,
        means: UpdateMeans,
    ) -> None:
        self._rollout = rollout
        self._spec = spec
        self._store = store
        self._trainer = trainer
        self._policy = policy
        self._batch_size = batch_size
        self._prioritized = prioritized
        self._estimate = estimate
        self._epsilon = epsilon
        self._importance_exponent = importance_exponent
        self._rng = rng
        self.update: Update | None = None
        self._staleness = staleness
        self._divergence = divergence
        self._means = means

    def collect(self, stop: Callable[[], object] = lambda: False) -> None:
        """Step the environments until a block is complete, and store it.

        Args:
            stop: asked before each step; if it says so, what there is makes the block.
        """
        rollout = self._rollout
        while not (rollout.full or stop()):
            self._step()
        block = rollout.take_block()
        if block is not None:
            self._store.insert(block)
            self._divergence.saw(block.records["reward"])

    def _step(self) -> None:
        rollout = self._rollout
        observations = rollout.observations
        epsilon = self._epsilon(rollout.environment_steps)
        allowed, actions = rollout.allowed, self._spec.num_actions
        exploration = explore(len(observations), actions, epsilon, self._rng, allowed)
        version = self._weight_version.pack()
        choice = self._policy.choose(
            observations, exploration, version, estimate=self._estimate, allowed=allowed
        )
        rollout.step(*choice)

    @property
    def _weight_version(self) -> WeightVersion:
        return WeightVersion(1, self._trainer.updates)

    def learn(self, most_updates: float = inf, stop: Callable[[], object] = lambda: False) -> int:
        """Make the updates that are due.

        Args:
            most_updates: how many at most.
            stop: asked before each update, or each call of compiled ones; if it says so, none is
                made any more.

        Returns:
            How many were made.

        Raises:
            RoleFailedError: when a priority is no number any more.
        """
        # Priorities that an update finds decide what is drawn for the next one.
        at_once = 1 if self._prioritized else _DRAWN_AT_ONCE
        updates = 0
        while updates < most_updates and not stop():
            wanted = int(min(at_once, most_updates - updates))
            count = self._store.allowed_batches(self._batch_size, wanted)
            if not count:
                break
            updates += self._learn_from(count, stop)
        return updates

    def _learn_from(self, count: int, stop: Callable[[], object]) -> int:
        """Draw batches, and make an update with each unless it is stopped after one."""
        batch = self._store.draw(self._batch_size, count)
        weights = None
        if self._prioritized:
            exponent = self._importance_exponent(self._trainer.updates)
            weights = importance_weights(batch.probabilities, exponent)
        prepared = self._trainer.prepare(batch, self._batch_size, weights)
        several = self._trainer.loops_over(prepared)
        versions = batch.weight_versions.reshape(count, -1)
        done = 0
        while done < count and not (done and stop()):
            part = prepared if several else (prepared[done],)
            self._update_with(part, versions[done : done + len(part)])
            done += len(part)
            if self._prioritized:  # then there is but this one
                self._write_back(batch.keys)
        return done

    def _update_with(self, batches: Sequence[TrainingBatch], versions: NDArray[np.int64]) -> None:
        """Make an update with each batch, collected with weights of `versions`, shape (K, B)."""
        epoch, version = self._weight_version
        for ahead, of_batch in enumerate(versions):
            self._staleness.add(of_batch, WeightVersion(epoch, version + ahead))
        seen = self._trainer.update_all(batches)
        self._means.add(seen)
        self.update = seen[-1]

    def _write_back(self, keys: NDArray[np.int64]) -> None:
        """Store how much there was to learn in the last update."""
        assert self.update is not None
        priorities = self.update.priorities.cpu().numpy()
        self._divergence.check_priorities(priorities, self._trainer.updates)
        self._store.update_priorities(keys, priorities)
