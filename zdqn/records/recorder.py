"""Keeps what a run brings: metrics, evaluations, the best model, checkpoints, the summary.

Learner and single-process training share it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from zdqn.closing import Closing
from zdqn.config import Config, to_toml
from zdqn.core.agenda import Counters
from zdqn.core.divergence import Divergence
from zdqn.data import EnvironmentSpec, WeightVersion
from zdqn.errors import FileError, ZdqnError
from zdqn.records.checkpoints import (
    Checkpoint,
    CheckpointDirectory,
    TrainingState,
    save_checkpoint,
)
from zdqn.records.configured_sinks import make_sinks
from zdqn.records.metrics import Metrics
from zdqn.records.rescoring import Rescoring
from zdqn.records.run_directory import RunDirectory
from zdqn.records.sinks import ENDED_BY_SINK, Sink, TakesRows, ends_training
from zdqn.records.snapshots import Evaluation, FrozenSnapshot
from zdqn.rl.update_means import UpdateMeans
from zdqn.wire.status import CollectorStatistics, MetricsRow

if TYPE_CHECKING:
    from zdqn.records.run_claim import RunClaim
    from zdqn.rl.update_rule import Update

logger = logging.getLogger("zdqn.learner")


class Recorder(Closing):
    """Writes what a run keeps.

    Args:
        config: of the run.
        directory: of the run.
        sinks: told of rows, evaluations and the summary, besides the directory and the sinks that
            the configuration asks for.

    Attributes:
        metrics: time, rates and evaluations so far.
        divergence: told of what is learned from.
        rescoring: of the best network, at the end.
        snapshots: taken so far.
        told_to_end: "sink" once a sink has said that training should end; "" before.

    Raises:
        ConfigError: when a package is missing that the configuration asks for.
    """

    def __init__(self, config: Config, directory: RunDirectory, sinks: Sequence[Sink] = ()) -> None:
        self._config = config
        self._directory = directory
        self._own = make_sinks(config, directory.path)
        self._listeners = (*self._own, *sinks)
        self._sinks: tuple[TakesRows, ...] = (directory, *self._listeners)
        self._complained: set[int] = set()
        self._best: Checkpoint | None = None
        self._kept_return: float | None = None
        self.metrics = Metrics()
        self.divergence = Divergence(
            learning_rate=config.algorithm.learning_rate,
            max_gradient_norm=config.algorithm.max_gradient_norm,
            discount=config.algorithm.discount,
            n_step=config.algorithm.n_step,
            value_range=(
                (config.algorithm.v_min, config.algorithm.v_max)
                if config.algorithm.distribution == "categorical"
                else None
            ),
        )
        self._unseen: tuple[Counters, Update] | None = None
        self._looked_s = -inf
        self.snapshots = 0
        self.told_to_end = ""
        self.rescoring = Rescoring(directory.best)

    def count_on(
        self, checkpoint: Checkpoint, training: TrainingState, best: Checkpoint | None
    ) -> None:
        """Go on from where a checkpoint was saved.

        Args:
            checkpoint: what was saved.
            training: what of it is needed to go on.
            best: the best network so far, which may be from after the checkpoint; None if there is
                none, or none that can be compared with those to come.
        """
        self._best = best
        best_return = best.evaluation_return if best is not None else None
        self._kept_return = best_return
        # Evaluations from after the checkpoint are written down, and their numbers are taken.
        written = self._directory.evaluated_snapshots()
        self.metrics.load_state_dict(
            training.metrics, checkpoint.counters, best_return, evaluations=len(written)
        )
        self.snapshots = max([training.snapshots, *(number + 1 for number in written)])
        # Of a checkpoint that does not tell, the network may know larger rewards than come now.
        self.divergence.largest_return = training.metrics.get("largest_return", inf)
        for sink in self._own:
            sink.go_on_from(checkpoint.counters)

    def begin(self, claim: RunClaim) -> None:
        """Write the first files, now that training begins, and let every sink begin.

        Args:
            claim: to the directory; a run that is to be overwritten is removed.

        Raises:
            FileError: when they cannot be written, or a sink cannot begin.
        """
        claim.clear()
        self._directory.write_config(to_toml(self._config))
        if self._best is not None and not self._directory.best.exists():
            save_checkpoint(self._directory.best, self._best)
        self._best = None
        for listener in self._listeners:
            listener.begin(self._config)

    def end_untrained(self, claim: RunClaim) -> None:
        """Take note that training never began: no run begins, and one that is there stays.

        Only one that would have gone on has a new summary, which says how that ended.

        Args:
            claim: to the directory.
        """
        if claim.overwrites or not self._directory.results():
            self._sinks = self._sinks[1:]  # not the directory

    def report(
        self,
        counters: Counters,
        *,
        update: Update | None,
        collectors: Sequence[CollectorStatistics],
    ) -> MetricsRow:
        """Write a row of metrics down, and give it.

        Args:
            counters: how far training is.
            update: the newest of this start, or None.
            collectors: last statistics of the living ones.

        Raises:
            RoleFailedError: when the loss is no finite number.
        """
        row = self.metrics.row(counters, collectors=collectors)
        if update is not None:
            self.divergence.check_loss(update.loss, row.updates)
            self._unseen = counters, update
            # A tenth sooner than rows come in the end: what a clock says of them varies.
            if self.metrics.wall_s - self._looked_s >= 0.9 * self._config.learner.report_period_s:
                self._warn_of_divergence()
        self._tell(lambda sink: sink.add_metrics(row))
        return row

    def _warn_of_divergence(self) -> None:
        """Look at the newest update, unless that was done.

        Values have the report period to fall from one look to the next, though rows may come
        faster.
        """
        if self._unseen is None:
            return
        (counters, update), self._unseen = self._unseen, None
        self._looked_s = self.metrics.wall_s
        newest = UpdateMeans()
        newest.add([update])
        seen = newest.take()
        has_td_errors = self._config.algorithm.distribution == "none"
        of_values = self.divergence.look(
            updates=counters.updates,
            environment_steps=counters.environment_steps,
            q_mean=seen.q_mean,
            td_error_mean=seen.td_error_mean if has_td_errors else None,
        )
        of_range = self.divergence.look_at_range(updates=counters.updates, q_mean=seen.q_mean)
        for warning in filter(None, (of_values, of_range)):
            logger.warning("%s", warning)

    def freeze(
        self, arrays: dict[str, NDArray[Any]], counters: Counters, weight_version: WeightVersion
    ) -> FrozenSnapshot:
        """Number a snapshot, which is to be evaluated.

        Args:
            arrays: a copy of the online network's weights by name.
            counters: how far training is.
            weight_version: of the weights.
        """
        number = self.snapshots
        self.snapshots += 1
        return FrozenSnapshot(
            number=number,
            weight_version=weight_version.pack(),
            environment_steps=counters.environment_steps,
            updates=counters.updates,
            episodes=counters.episodes,
            wall_s=self.metrics.wall_s,
            arrays=arrays,
        )

    def freeze_best(self) -> FrozenSnapshot | None:
        """Number the best network as a snapshot to score again; None if there is none."""
        self.snapshots += 1
        return self.rescoring.freeze(self.snapshots - 1, self.metrics.wall_s)

    def write_summary(
        self, counters: Counters, stop_reason: str, more: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Write down how the run ended, and give it.

        Args:
            counters: how far training came.
            stop_reason: why it ended.
            more: what only this kind of run has.

        Raises:
            FileError: when it cannot be written.
        """
        self._warn_of_divergence()
        summary = {
            **self.metrics.summary(counters, stop_reason),
            **self.rescoring.summary(),
            **more,
            "run_directory": str(self._directory.path),
            "metrics_bytes": self._directory.count_metrics_bytes(),
        }
        failures = []
        for sink in self._sinks:
            try:
                sink.write_summary(summary)
            except FileError as error:  # the others are told all the same
                if sink in self._own:  # the run itself has ended well
                    logger.warning("%s", error)
                else:
                    failures.append(error)
        if failures:
            raise failures[0]
        return summary

    def note_updates(self, updates: int) -> None:
        """Tell who listens, but for the directory, that so many updates have been made."""
        for listener in self._listeners:
            self._hear(listener.add_updates(updates))

    def _hear(self, answer: bool | None) -> None:
        """Take note of it if a sink says that training should end."""
        if ends_training(answer):
            self.told_to_end = ENDED_BY_SINK

    def _tell(self, write: Callable[[TakesRows], bool | None]) -> None:
        """Tell every sink, or say once in a row why not: a full disk must not end the training."""
        for number, sink in enumerate(self._sinks):
            try:
                self._hear(write(sink))
            except FileError as error:
                if number not in self._complained:
                    logger.warning("%s Training goes on; the file will have a gap.", error)
                self._complained.add(number)
            else:
                self._complained.discard(number)

    def add_evaluation(self, evaluation: Evaluation, spec: EnvironmentSpec) -> None:
        """Write an evaluation down, and keep its network if it is the best so far."""
        if self.rescoring.takes(evaluation):
            return
        best = self.metrics.add_evaluation(evaluation)
        scores = evaluation.scores
        logger.info(
            "evaluation %d at %d environment steps: mean %.1f, deviation %.1f, %d episodes%s%s",
            evaluation.snapshot.number,
            evaluation.snapshot.environment_steps,
            scores.mean,
            scores.deviation,
            len(scores.returns),
            scores.cut_text,
            " (best so far)" if best else "",
        )
        # Not only if it is the best: the one before may not have been saved, on a full disk.
        if self._kept_return is None or scores.mean > self._kept_return:
            self._save_best(evaluation.snapshot, scores.mean, spec)
        # After that: whoever is killed in between has no score written down without its network.
        self._tell(lambda sink: sink.add_evaluation(evaluation))

    def _save_best(
        self, snapshot: FrozenSnapshot, evaluation_return: float, spec: EnvironmentSpec
    ) -> None:
        from zdqn.rl.weight_arrays import tensor_view

        checkpoint = Checkpoint(
            config=self._config,
            spec=spec,
            online={name: tensor_view(array) for name, array in snapshot.arrays.items()},
            counters=Counters(
                environment_steps=snapshot.environment_steps,
                updates=snapshot.updates,
                episodes=snapshot.episodes,
            ),
            evaluation_return=evaluation_return,
        )
        try:
            save_checkpoint(self._directory.best, checkpoint)
        except ZdqnError as error:
            logger.warning("the best model was not saved: %s", error)
        else:
            self._kept_return = evaluation_return

    def save_checkpoint(
        self,
        spec: EnvironmentSpec,
        counters: Counters,
        *,
        trainer: dict[str, Any],
        totals: dict[str, Any],
        version: int,
    ) -> None:
        """Write a checkpoint from which training can go on.

        Args:
            spec: of the environment.
            counters: how far training is.
            trainer: state of networks and optimizer.
            totals: state of what the run's memories have counted.
            version: of the weights that were published last.
        """
        checkpoint = Checkpoint(
            config=self._config,
            spec=spec,
            online=trainer["online"],
            counters=counters,
            training=TrainingState(
                trainer=trainer,
                totals=totals,
                metrics={
                    **self.metrics.state_dict(),
                    "largest_return": self.divergence.largest_return,
                },
                snapshots=self.snapshots,
                version=version,
            ),
        )
        kept = self._config.learner.checkpoints_kept
        try:
            path = CheckpointDirectory(self._directory.checkpoints, kept).save(checkpoint)
        except ZdqnError as error:  # a full disk must not end the training that fills it
            logger.warning("no checkpoint was saved: %s", error)
            return
        for listener in self._listeners:
            self._hear(listener.add_checkpoint(path))

    def close(self) -> None:
        """Close the sinks that the configuration asked for."""
        for sink in self._own:
            sink.close()
