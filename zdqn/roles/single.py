"""Single-core DQN: one process, no sockets, bit-exact for a seed."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zdqn.config import Config, to_toml
from zdqn.core.run_directory import RunDirectory
from zdqn.core.snapshots import Cadence, Evaluation, FrozenSnapshot
from zdqn.data import WeightVersion
from zdqn.errors import ConfigError
from zdqn.roles.acting import EpsilonSource
from zdqn.roles.building import (
    EnvironmentFactory,
    NetworkFactory,
    build_environments,
    build_importance_schedule,
    build_trainer,
    evaluation_seed,
    use_threads,
)
from zdqn.roles.recording import Recorder, reached_limit
from zdqn.roles.replaying import build_broker
from zdqn.roles.reporting import Reporter
from zdqn.roles.role import Role
from zdqn.roles.training import LearnerResult

if TYPE_CHECKING:
    from zdqn.core.lockstep import Lockstep
    from zdqn.core.rollout import Rollout
    from zdqn.core.trainer import Trainer

logger = logging.getLogger("zdqn.learner")

_RECENT_EPISODES = 20


class Single(Role):
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
        self._reporter = Reporter(config.learner.report_period_s)
        self._recorder = Recorder(config, self._directory, self._reporter)
        self._cadence = Cadence(
            environment_steps=evaluator.period_environment_steps,
            updates=evaluator.period_updates,
            episodes=evaluator.period_episodes,
        )
        self._snapshots = 0
        self._snapshot_updates = -1
        self._returns: list[float] = []
        self._rollout, self._lockstep = self._build()

    def _build(self) -> tuple[Rollout, Lockstep]:
        from zdqn.core.lockstep import Lockstep
        from zdqn.core.rollout import Rollout

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
        self._broker = build_broker(config, session=1)
        self._broker.make_room(self._spec)
        epsilons = EpsilonSource(config)
        prioritized = config.replay.kind == "prioritized"
        lockstep = Lockstep(
            rollout,
            self._spec,
            self._broker,
            self._trainer,
            batch_size=config.algorithm.batch_size,
            prioritized=prioritized,
            estimate=prioritized and config.replay.initial_priority == "collector",
            epsilon=lambda environment_steps: epsilons.at(environment_steps, 1, 0),
            importance_exponent=build_importance_schedule(config),
            rng=np.random.default_rng(seeds[1]),
        )
        self._epsilons = epsilons
        self._reporter.staleness = lockstep.staleness
        return rollout, lockstep

    def run(self) -> LearnerResult:
        """Train until an end condition is met or `stop` is set.

        Returns:
            How it ended.

        Raises:
            EnvironmentFailedError: when the environment raises or misbehaves.
            RoleFailedError: when the loss is no number any more.
        """
        logger.info("run directory %s", self._directory.path)
        logger.info("environment: %s", self._spec.describe())
        limits, period = self._config.stop, self._config.learner.checkpoint_period_updates
        saved = 0
        self._evaluate_if_due()
        while not (reason := self._reached_limit()) and not self._stop.is_set():
            self._lockstep.collect()
            episodes = self._rollout.take_episodes()
            self._returns = [*self._returns, *(episode.total_reward for episode in episodes)][
                -_RECENT_EPISODES:
            ]
            left = limits.updates - self._trainer.updates if limits.updates else float("inf")
            self._lockstep.learn(left)
            self._evaluate_if_due()
            if period and self._trainer.updates - saved >= period:
                saved = self._trainer.updates
                self._save_checkpoint()
            if self._reporter.due():
                self._report()
        return self._finish(reason or "stopped", limit_reached=bool(reason))

    def _reached_limit(self) -> str:
        return reached_limit(
            self._config.stop,
            self._reporter,
            environment_steps=self._rollout.environment_steps,
            updates=self._trainer.updates,
            episodes=self._rollout.episodes,
        )

    def _evaluate_if_due(self) -> None:
        rollout = self._rollout
        if self._cadence.due(rollout.environment_steps, self._trainer.updates, rollout.episodes):
            self._evaluate()

    def _evaluate(self) -> None:
        from zdqn.core.evaluation import evaluate
        from zdqn.rl.exploration import epsilon_greedy
        from zdqn.rl.torch_policy import GreedyPolicy

        section = self._config.evaluator
        seed = evaluation_seed(self._config.run.seed, self._snapshots)
        policy, rng = GreedyPolicy(self._trainer.online), np.random.default_rng(seed)
        snapshot = FrozenSnapshot(
            number=self._snapshots,
            weight_version=WeightVersion(1, self._trainer.updates).pack(),
            environment_steps=self._rollout.environment_steps,
            updates=self._trainer.updates,
            episodes=self._rollout.episodes,
            wall_s=self._reporter.wall_s,
            arrays=self._trainer.weights(),
        )
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
        self._snapshots += 1
        self._snapshot_updates = snapshot.updates
        duration_s = time.monotonic() - started_s
        self._recorder.add_evaluation(Evaluation(snapshot, scores, "train", duration_s), self._spec)

    def _report(self) -> None:
        rollout = self._rollout
        statistics: dict[str, int | float | str | bool] = {
            "epsilon": float(np.mean(self._epsilons.at(rollout.environment_steps, 1, 0)))
        }
        if self._returns:
            statistics["episode_return_mean"] = sum(self._returns) / len(self._returns)
        row = self._reporter.row(
            environment_steps=rollout.environment_steps,
            transitions=self._broker.limiter.inserts,
            updates=self._trainer.updates,
            episodes=rollout.episodes,
            update=self._lockstep.update,
            collectors=[statistics],
        )
        if self._lockstep.update is not None:
            self._recorder.check_loss(row)
        self._recorder.add_metrics(row)
        logger.info(
            "%d environment steps, %d updates, %d episodes, mean return %s",
            row["environment_steps"],
            row["updates"],
            row["episodes"],
            row["episode_return_mean"],
        )

    def _save_checkpoint(self) -> None:
        counters = {
            "updates": self._trainer.updates,
            "environment_steps": self._rollout.environment_steps,
            "snapshots": self._snapshots,
            "reporter": self._reporter.state_dict(),
        }
        self._recorder.save_checkpoint(self._trainer, self._spec, counters)

    def _finish(self, reason: str, *, limit_reached: bool) -> LearnerResult:
        logger.info("training is over: %s", reason)
        if limit_reached and self._snapshots and self._snapshot_updates != self._trainer.updates:
            self._evaluate()
        self._report()
        self._save_checkpoint()
        limiter = self._broker.limiter
        summary = self._reporter.summary(
            environment_steps=self._rollout.environment_steps,
            transitions=limiter.inserts,
            updates=self._trainer.updates,
            episodes=self._rollout.episodes,
            stop_reason=reason,
        )
        summary.update(
            samples=limiter.samples,
            samples_per_insert=round(limiter.achieved, 4),
            blocks_lost=0,
            blocks_duplicated=0,
            run_directory=str(self._directory.path),
        )
        self._directory.write_summary(summary)
        return LearnerResult(reason, summary, self._directory.path)

    def close(self) -> None:
        """Close the environments."""
        self._environments.close()
        self._evaluation_environments.close()
