"""Single-core DQN: one process, no sockets, bit-exact for a seed."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zdqn.closing import Closing
from zdqn.config import Config, to_toml
from zdqn.core.agenda import NOTHING, Agenda, Counters
from zdqn.data import WeightVersion
from zdqn.errors import ConfigError
from zdqn.records.recorder import Recorder
from zdqn.records.run_directory import RunDirectory
from zdqn.records.snapshots import Evaluation, FrozenSnapshot
from zdqn.records.totals import RunTotals
from zdqn.records.training_result import TrainingResult
from zdqn.roles.acting.epsilon import EpsilonSource
from zdqn.roles.building import (
    EnvironmentFactory,
    NetworkFactory,
    build_environments,
    build_importance_schedule,
    build_limits,
    build_periods,
    build_policy,
    build_trainer,
    evaluation_seed,
    use_threads,
)
from zdqn.roles.replaying import build_store
from zdqn.wire.memory_messages import Progress
from zdqn.wire.status import CollectorStatistics

if TYPE_CHECKING:
    from zdqn.core.lockstep import Lockstep
    from zdqn.core.rollout import Rollout
    from zdqn.core.trainer import Trainer
    from zdqn.rl.greedy import Greedy

logger = logging.getLogger("zdqn.learner")

_RECENT_EPISODES = 20


class Single(Closing):
    """Lockstep training as ``zdqn train`` runs it.

    Collecting, learning and evaluating take turns, in the order that the configuration implies:
    two runs with the same seed on the same machine end with the same weights, bit for bit.

    Args:
        config: of the run.
        run_directory: where its files go; made if it is missing.
        environment: makes an environment in place of ``environment.id``.
        network: makes the Q-network in place of ``network.kind``.
        stop: set it to end `run`.

    Raises:
        ConfigError: when the configuration does not say when to learn, or cannot be built.
        FileError: when the run directory cannot be written.
    """

    def __init__(
        self,
        config: Config,
        *,
        run_directory: Path,
        environment: EnvironmentFactory | None = None,
        network: NetworkFactory | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        if config.replay.samples_per_insert == 0:
            raise ConfigError(
                "replay.samples_per_insert is 0, which lets collecting and learning run free of "
                "each other; one process must know when to do which. Set it to the samples per "
                "transition, such as 3.2 for one update of 32 every 10 steps."
            )
        self._config = config
        self._network = network
        self._stop = stop or threading.Event()
        self._directory = RunDirectory(run_directory)
        self._directory.write_config(to_toml(config))
        use_threads(config.learner.threads)
        evaluator, collector = config.evaluator, config.collector
        self._environments, self._spec = build_environments(
            config, environment, count=collector.environments, vectorization=collector.vectorization
        )
        self._evaluation_environments, _ = build_environments(
            config,
            environment,
            count=min(evaluator.environments, evaluator.episodes),
            vectorization=evaluator.vectorization,
        )
        self._trainer: Trainer = build_trainer(config, network, self._spec)
        self._recorder = Recorder(config, self._directory)
        periods = replace(build_periods(config), publish_updates=0, republish_s=0.0)  # to nobody
        self._agenda = Agenda(periods, build_limits(config))
        self._returns: list[float] = []
        self._rollout, self._lockstep = self._build()

    def _build(self) -> tuple[Rollout, Lockstep]:
        from zdqn.core.lockstep import Lockstep
        from zdqn.core.rollout import Rollout
        from zdqn.rl.torch_policy import GreedyPolicy

        config = self._config
        seeds = np.random.SeedSequence((config.run.seed, 0, 0)).spawn(2)
        rollout = Rollout(
            self._environments,
            self._spec,
            n_step=config.algorithm.n_step,
            discount=config.algorithm.discount,
            block_transitions=config.collector.block_transitions,
            seed=int(seeds[0].generate_state(1)[0]),
            label="train",
        )
        self._store = build_store(config)
        self._store.make_room(self._spec)
        epsilons = EpsilonSource(config)
        prioritized = config.replay.kind == "prioritized"
        self._policy = GreedyPolicy(self._trainer.online)
        lockstep = Lockstep(
            rollout,
            self._spec,
            self._store,
            self._trainer,
            self._policy,
            batch_size=config.algorithm.batch_size,
            prioritized=prioritized,
            estimate=prioritized and config.replay.initial_priority == "collector",
            epsilon=lambda environment_steps: epsilons.at(environment_steps, 1, 0),
            importance_exponent=build_importance_schedule(config),
            rng=np.random.default_rng(seeds[1]),
            staleness=self._recorder.metrics.staleness,
            divergence=self._recorder.divergence,
        )
        self._epsilons = epsilons
        return rollout, lockstep

    def run(self) -> TrainingResult:
        """Train until an end condition is met or `stop` is set.

        Returns:
            How it ended.

        Raises:
            EnvironmentFailedError: when the environment raises or misbehaves.
            RoleFailedError: when a loss or priority is no number any more.
        """
        from zdqn.rl.torch_seeding import seeded

        logger.info("run directory %s", self._directory.path)
        logger.info("environment: %s", self._spec.describe())
        with seeded(self._config.run.seed, self._trainer.device):
            return self._train()

    def _train(self) -> TrainingResult:
        self._do_what_is_due()
        while not (reason := self._end()) and not self._stop.is_set():
            self._lockstep.collect()
            episodes = self._rollout.take_episodes()
            self._returns = [*self._returns, *(episode.total_reward for episode in episodes)][
                -_RECENT_EPISODES:
            ]
            left = self._agenda.updates_left(self._trainer.updates)
            self._lockstep.learn(inf if left is None else left)
            self._do_what_is_due()
        return self._finish(reason)

    @property
    def _counters(self) -> Counters:
        return Counters(
            environment_steps=self._rollout.environment_steps,
            updates=self._trainer.updates,
            episodes=self._rollout.episodes,
            transitions=self._store.limiter.inserts,
            evaluation_return=self._recorder.metrics.last_return,
        )

    def _end(self) -> str:
        return self._agenda.end(self._recorder.metrics.wall_s, self._counters)

    def _do_what_is_due(self) -> None:
        due = self._agenda.due(self._recorder.metrics.wall_s, self._counters)
        if due is NOTHING:
            return
        update = self._lockstep.update
        if update is not None and (due.snapshot or due.checkpoint):
            self._recorder.divergence.check_loss(update.loss, self._trainer.updates)
        if due.snapshot:
            self._evaluate()
        if due.checkpoint:
            self._save_checkpoint()
        if due.report:
            self._report()

    def _evaluate(self) -> None:
        version = WeightVersion(1, self._trainer.updates)
        snapshot = self._recorder.freeze(self._trainer.weights(), self._counters, version)
        self._score(self._policy, snapshot)

    def _evaluate_best_again(self) -> None:
        """Score the best network on fresh episodes; it was chosen for a lucky score perhaps."""
        best = self._recorder.freeze_best()
        if best is None:
            return
        policy = build_policy(
            self._config, self._network, self._spec, self._evaluation_environments.num_envs
        )
        policy.load(best.arrays)
        self._score(policy, best)

    def _score(self, policy: Greedy, snapshot: FrozenSnapshot) -> None:
        from zdqn.core.evaluation import evaluate
        from zdqn.rl.exploration import epsilon_greedy

        section = self._config.evaluator
        seed = evaluation_seed(self._config.run.seed, snapshot.number)
        rng = np.random.default_rng(seed)
        started_s = time.monotonic()
        scores = evaluate(
            self._evaluation_environments,
            self._spec,
            lambda observations: epsilon_greedy(
                policy.greedy_actions(observations), self._spec.num_actions, section.epsilon, rng
            ),
            episodes=section.episodes,
            seed=seed,
            label="train",
            stop=self._stop.is_set,
        )
        if scores is None:
            return
        duration_s = time.monotonic() - started_s
        self._recorder.add_evaluation(Evaluation(snapshot, scores, "train", duration_s), self._spec)

    def _report(self) -> None:
        epsilon = self._epsilons.at(self._rollout.environment_steps, 1, 0)
        statistics = CollectorStatistics(
            epsilon=float(np.mean(epsilon)),
            episode_return_mean=sum(self._returns) / len(self._returns) if self._returns else None,
        )
        row = self._recorder.report(
            self._counters, update=self._lockstep.update, collectors=[statistics]
        )
        logger.info(
            "%d environment steps, %d updates, %d episodes, mean return %s",
            row.environment_steps,
            row.updates,
            row.episodes,
            row.episode_return_mean,
        )

    def _save_checkpoint(self) -> None:
        self._recorder.save_checkpoint(
            self._spec,
            self._counters,
            trainer=self._trainer.state_dict(),
            totals=self._totals().state_dict(),
            version=self._trainer.updates,
        )

    def _totals(self) -> RunTotals:
        """Give the counts as if a memory had told them, so that a distributed run can go on."""
        totals, counters = RunTotals(), self._counters
        totals.add(
            Progress(
                session=0,
                environment_steps=counters.environment_steps,
                episodes=counters.episodes,
                transitions=counters.transitions,
                blocks=0,
                blocks_lost=0,
                blocks_duplicated=0,
                blocks_refused=0,
            )
        )
        return totals

    def _finish(self, limit: str) -> TrainingResult:
        reason = limit or "stopped"
        logger.info("training is over: %s", reason)
        if self._recorder.snapshots and self._agenda.takes_last_snapshot(
            limit, self._trainer.updates
        ):
            self._evaluate()
        self._report()
        self._save_checkpoint()
        if limit:
            self._evaluate_best_again()
        limiter = self._store.limiter
        summary = self._recorder.write_summary(
            self._counters,
            reason,
            {
                "samples": limiter.samples,
                "samples_per_insert": round(limiter.achieved, 4),
                "blocks_lost": 0,
                "blocks_duplicated": 0,
            },
        )
        return TrainingResult(reason, summary, self._directory.path)

    def close(self) -> None:
        """Close the environments."""
        from zdqn.envs import close_environments

        close_environments(self._environments)
        close_environments(self._evaluation_environments)
