"""Single-core DQN: one process, no sockets, bit-exact for a seed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.core.agenda import NOTHING, Agenda, Counters
from zdqn.data import WeightVersion
from zdqn.errors import ConfigError, MismatchError
from zdqn.records.given_functions import record_functions
from zdqn.records.recorder import Recorder
from zdqn.records.resuming import Resumption, load_resumption
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_directory import RunDirectory
from zdqn.records.run_result import RunResult
from zdqn.records.sinks import Sink
from zdqn.records.totals import RunTotals
from zdqn.roles.acting.epsilon import EpsilonSource
from zdqn.roles.building import (
    ACTING,
    EnvironmentFactory,
    NetworkFactory,
    build_environments,
    build_importance_schedule,
    build_limits,
    build_periods,
    build_rollout,
    build_trainer,
    use_threads,
)
from zdqn.roles.building_replay import build_store
from zdqn.roles.compiling.compiled_updates import compile_ahead
from zdqn.roles.metrics_endpoint import open_endpoint
from zdqn.roles.own_evaluations import OwnEvaluations
from zdqn.roles.own_evaluator import OwnEvaluator
from zdqn.roles.own_status import OwnBoard, totals_of
from zdqn.roles.replay_storage import hold_replay
from zdqn.stopping import reason_of
from zdqn.wire.status import LearnerStatus

if TYPE_CHECKING:
    from zdqn.core.lockstep import Lockstep
    from zdqn.core.rollout import Rollout
    from zdqn.core.trainer import Trainer

logger = logging.getLogger("zdqn.learner")


class Single(Closing):
    """Lockstep training as ``zdqn train`` runs it.

    Collecting, learning and evaluating take turns, in the order that the configuration implies:
    two runs with the same seed on the same machine end with the same weights, bit for bit.

    Args:
        config: of the run.
        run_directory: where its files go; made if it is missing, and this process's alone.
        environment: makes an environment in place of ``environment.id``.
        network: makes the Q-network in place of ``network.kind``.
        resume: run directory to go on from: network, optimizer and counters are those of its newest
            checkpoint, replay and environments begin anew.
        overwrite: remove the run that is in `run_directory`, once training begins.
        insecure: allow ``sinks.prometheus`` an address that other machines can reach.
        sinks: told of metrics, evaluations and the summary, as they come.
        stop: set it to end `run`.

    Raises:
        ConfigError: when the configuration does not say when to learn, or cannot be built.
        RunDirectoryTakenError: when another process or another run has the run directory.
        MismatchError: when the run to go on from is of another network or environment.
        FileError: when the run directory cannot be written, or holds no checkpoint to resume.
    """

    def __init__(
        self,
        config: Config,
        *,
        run_directory: Path,
        environment: EnvironmentFactory | None = None,
        network: NetworkFactory | None = None,
        resume: Path | None = None,
        overwrite: bool = False,
        insecure: bool = False,
        sinks: Sequence[Sink] = (),
        stop: threading.Event | None = None,
    ) -> None:
        if config.replay.samples_per_insert == 0:
            raise ConfigError(
                "replay.samples_per_insert is 0, which lets collecting and learning run free of "
                "each other; one process must know when to do which. Set it to the samples per "
                "transition, such as 3.2 for one update of 32 every 10 steps."
            )
        config = record_functions(config, environment=environment, network=network)
        self._config = config
        self._network = network
        self._stop = stop or threading.Event()
        with ExitStack() as stack:
            claim = RunClaim(run_directory, resume=resume, overwrite=overwrite)
            self._claim = stack.enter_context(claim)
            self._directory = RunDirectory(run_directory)
            self._keeping = stack.enter_context(hold_replay(config, run_directory))
            use_threads(config.learner.threads)
            limits = build_limits(config)
            resumption = load_resumption(resume, config, limits, into=run_directory)
            self._make_environments(stack, environment)
            self._trainer: Trainer = build_trainer(config, network, self._spec)
            self._recorder = stack.enter_context(Recorder(config, self._directory, sinks))
            self._board = OwnBoard(config, self._directory.path, self._recorder)
            self._evaluations = OwnEvaluations(
                config,
                network,
                self._spec,
                evaluator=self._evaluator,
                recorder=self._recorder,
                board=self._board,
                stop=self._stop,
            )
            self._earlier, self._earlier_totals = Counters(), RunTotals()
            if resumption is not None:
                self._count_on(resumption)
            periods = replace(build_periods(config), publish_updates=0, republish_s=0.0)
            self._agenda = Agenda(periods, limits)  # nothing is published: to nobody
            self._rollout, self._lockstep = self._build()
            stack.enter_context(
                open_endpoint(config, self.status, run=run_directory.name, insecure=insecure)
            )
            self._open = stack.pop_all()

    def _make_environments(self, stack: ExitStack, environment: EnvironmentFactory | None) -> None:
        from zdqn.envs import close_environments

        config = self._config
        collector = config.collector
        self._environments, self._spec = build_environments(
            config, environment, count=collector.environments, vectorization=collector.vectorization
        )
        stack.callback(close_environments, self._environments)
        self._evaluator = stack.enter_context(OwnEvaluator(config, environment, self._spec))

    def _count_on(self, resumption: Resumption) -> None:
        """Take over networks, optimizer and counters of the run that is gone on with."""
        checkpoint, training = resumption.checkpoint, resumption.training
        if checkpoint.spec != self._spec:
            raise MismatchError(
                f"{resumption.path} was trained on {checkpoint.spec.describe()}, but the "
                f"environment gives {self._spec.describe()}."
            )
        self._trainer.load_state_dict(training.trainer)
        self._recorder.count_on(checkpoint, training, resumption.best)
        self._earlier_totals.load_state_dict(training.totals)
        self._earlier = checkpoint.counters
        logger.info(
            "resuming from %s at %d updates; replay and environments begin anew",
            resumption.path,
            checkpoint.counters.updates,
        )

    def _build(self) -> tuple[Rollout, Lockstep]:
        from zdqn.core.lockstep import Lockstep
        from zdqn.rl.torch_policy import TorchPolicy

        config = self._config
        earlier = self._earlier  # other draws than those that the run began with
        seeds = np.random.SeedSequence((config.run.seed, 0, earlier.updates)).spawn(2)
        seed = int(seeds[0].generate_state(1)[0])
        rollout = build_rollout(config, self._environments, self._spec, seed=seed, label="train")
        self._store = build_store(config, allocate=self._keeping.allocate)
        available, where = self._keeping.available()
        room = self._store.make_room(self._spec, available, where=where)
        logger.info("%s", room.describe())
        self._epsilons = epsilons = EpsilonSource(config)
        prioritized = config.replay.kind == "prioritized"
        self._policy = TorchPolicy(self._trainer.online)
        acting = (config.run.seed, ACTING, earlier.updates)
        lockstep = Lockstep(
            rollout,
            self._spec,
            self._store,
            self._trainer,
            TorchPolicy(self._trainer.online, noise_seed=acting),
            batch_size=config.algorithm.batch_size,
            prioritized=prioritized,
            estimate=prioritized and config.replay.initial_priority == "collector",
            epsilon=lambda steps: epsilons.at(earlier.environment_steps + steps, 1, 0),
            importance_exponent=build_importance_schedule(config),
            rng=np.random.default_rng(seeds[1]),
            staleness=self._recorder.metrics.staleness,
            divergence=self._recorder.divergence,
            means=self._recorder.metrics.updates,
        )
        return rollout, lockstep

    def run(self) -> RunResult:
        """Train until an end condition is met or `stop` is set.

        Returns:
            How it ended.

        Raises:
            EnvironmentFailedError: when the environment raises or misbehaves.
            RoleFailedError: when a loss or priority is no number any more.
            KeyboardInterrupt: if it came, once the summary is written.
        """
        from zdqn.rl.torch_seeding import seeded

        logger.info("run directory %s", self._directory.path)
        logger.info("environment: %s", self._spec.describe())
        if self._config.learner.compile is True:  # else nothing is waited for
            self._board.phase = "compiling"
        compile_ahead(self._config, self._network, self._spec, self._trainer, self._is_interrupted)
        self._board.phase = "starting"
        self._claim.clear_servers()  # this run has none
        self._recorder.begin(self._claim)
        with seeded(self._config.run.seed, self._trainer.device):
            try:
                return self._train()
            except KeyboardInterrupt:  # within an update, perhaps: what that left is not saved
                self._sum_up("SIGINT")
                raise

    def status(self) -> LearnerStatus:
        """Say how training goes; any thread may ask, at any time."""
        return self._board.describe(self._counters, self._store)

    def _train(self) -> RunResult:
        self._board.phase = "training"
        self._do_what_is_due()
        while not (reason := self._agenda.end(self._recorder.metrics.wall_s, self._counters)):
            if self._stop.is_set() or self._recorder.told_to_end:
                break
            self._lockstep.collect(self._is_interrupted)
            self._board.note(self._rollout.take_episodes())
            left = self._agenda.updates_left(self._trainer.updates)
            made = self._lockstep.learn(inf if left is None else left, self._is_interrupted)
            if made:
                self._recorder.note_updates(self._trainer.updates)
            self._do_what_is_due()
        return self._finish(reason)

    @property
    def _counters(self) -> Counters:
        earlier = self._earlier
        return Counters(
            environment_steps=earlier.environment_steps + self._rollout.environment_steps,
            updates=self._trainer.updates,
            episodes=earlier.episodes + self._rollout.episodes,
            transitions=earlier.transitions + self._store.limiter.inserts,
            evaluation_return=self._recorder.metrics.last_return,
        )

    def _is_interrupted(self) -> bool:
        """Whether somebody, or the clock, ends what would otherwise be finished first."""
        wall_s = self._config.stop.wall_s
        told = self._stop.is_set() or bool(self._recorder.told_to_end)
        return told or 0 < wall_s <= self._recorder.metrics.wall_s

    def _do_what_is_due(self) -> None:
        due = self._agenda.due(self._recorder.metrics.wall_s, self._counters)
        if due is NOTHING:
            return
        update = self._lockstep.update
        if update is not None and (due.snapshot or due.checkpoint):
            self._recorder.divergence.check_loss(update.loss, self._trainer.updates)
        if due.snapshot:
            self._evaluate(self._is_interrupted)
        if due.checkpoint:
            self._save_checkpoint()
        if due.report:
            self._report()

    def _evaluate(self, give_up: Callable[[], bool] | None = None) -> None:
        version = WeightVersion(1, self._trainer.updates)
        snapshot = self._recorder.freeze(self._trainer.weights(), self._counters, version)
        self._evaluations.score(self._policy, snapshot, give_up)

    def _report(self, *, last: bool = False) -> None:
        counters = self._counters
        epsilon = float(np.mean(self._epsilons.at(counters.environment_steps, 1, 0)))
        self._board.report(counters, update=self._lockstep.update, epsilon=epsilon, last=last)

    def _save_checkpoint(self) -> None:
        self._recorder.save_checkpoint(
            self._spec,
            self._counters,
            trainer=self._trainer.state_dict(),
            totals=self._totals().state_dict(),
            version=self._trainer.updates,
        )

    def _totals(self) -> RunTotals:
        return totals_of(self._earlier_totals, self._rollout, self._store.limiter)

    def _finish(self, limit: str) -> RunResult:
        asked = reason_of(self._stop) if self._stop.is_set() else self._recorder.told_to_end
        reason = limit or asked or "stopped"
        logger.info("training is over: %s", reason)
        self._board.phase = "finishing"
        if self._recorder.snapshots and self._agenda.takes_last_snapshot(
            limit, self._trainer.updates
        ):
            self._evaluate()
        self._report(last=True)
        self._save_checkpoint()
        if limit:
            self._evaluations.score_best_again()
        return self._sum_up(reason)

    def _sum_up(self, reason: str) -> RunResult:
        summary = self._recorder.write_summary(
            self._counters,
            reason,
            {
                "samples": self._totals().total("samples"),
                "samples_per_insert": round(self._store.limiter.achieved, 4),
                "blocks_lost": 0,
                "blocks_duplicated": 0,
            },
        )
        return RunResult(self._directory.path, summary)

    def close(self) -> None:
        """Close the environments, and let others have the run directory."""
        self._open.close()
