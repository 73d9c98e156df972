"""What a run keeps: checkpoints, the best model, evaluations; and when it has reached its end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zdqn.config import Config
from zdqn.config import Stop as StopLimits
from zdqn.core.run_directory import RunDirectory
from zdqn.core.snapshots import Evaluation
from zdqn.data import EnvironmentSpec
from zdqn.errors import FileError, RoleFailedError, ZdqnError
from zdqn.roles.building import describe_model
from zdqn.roles.reporting import Reporter

if TYPE_CHECKING:
    from zdqn.core.trainer import Trainer

logger = logging.getLogger("zdqn.learner")


def reached_limit(
    limits: StopLimits, reporter: Reporter, *, environment_steps: int, updates: int, episodes: int
) -> str:
    """Name the first end condition that is met; "" if none is."""
    goal, last = limits.evaluation_return, reporter.last_return
    if goal is not None and last is not None and last >= goal:
        return "evaluation_return"
    checks = (
        (limits.updates, updates, "updates"),
        (limits.environment_steps, environment_steps, "environment_steps"),
        (limits.episodes, episodes, "episodes"),
        (limits.wall_s, reporter.wall_s, "wall_s"),
    )
    return next((name for limit, value, name in checks if limit and value >= limit), "")


class Recorder:
    """Writes what a run keeps.

    Args:
        config: of the run.
        directory: of the run.
        reporter: told of every evaluation.
    """

    def __init__(self, config: Config, directory: RunDirectory, reporter: Reporter) -> None:
        self._config = config
        self._directory = directory
        self._reporter = reporter
        self._complained = False

    def check_loss(self, row: dict[str, Any]) -> None:
        """Refuse to go on when learning diverged.

        Args:
            row: of metrics, after an update of this start.

        Raises:
            RoleFailedError: when its loss is not a finite number.
        """
        if row["loss"] is None:
            rate = self._config.algorithm.learning_rate
            raise RoleFailedError(
                f"The loss is not a finite number any more after {row['updates']} updates: "
                f"learning diverged. Lower algorithm.learning_rate ({rate:g}), or set "
                f"algorithm.max_gradient_norm (such as 10)."
            )

    def add_metrics(self, row: dict[str, Any]) -> None:
        """Write a row of metrics down."""
        self._keep_on(lambda: self._directory.add_metrics(row))

    def _keep_on(self, write: Callable[[], None]) -> None:
        """Write, or say once in a row why not: a full disk must not end the training."""
        try:
            write()
        except FileError as error:
            if not self._complained:
                logger.warning("%s Training goes on; the file will have a gap.", error)
            self._complained = True
        else:
            self._complained = False

    def add_evaluation(self, evaluation: Evaluation, spec: EnvironmentSpec) -> None:
        """Write an evaluation down, and keep its network if it is the best so far."""
        self._keep_on(lambda: self._directory.add_evaluation(evaluation))
        best = self._reporter.add_evaluation(evaluation)
        scores = evaluation.scores
        logger.info(
            "evaluation %d at %d environment steps: mean %.1f, deviation %.1f, %d episodes%s",
            evaluation.snapshot.number,
            evaluation.snapshot.environment_steps,
            scores.mean,
            scores.deviation,
            len(scores.returns),
            " (best so far)" if best else "",
        )
        if best:
            self._save_best(evaluation, spec)

    def _save_best(self, evaluation: Evaluation, spec: EnvironmentSpec) -> None:
        from zdqn.core.checkpoints import save_checkpoint
        from zdqn.rl.arrays import tensor_view

        snapshot = evaluation.snapshot
        state = {
            **describe_model(self._config, spec),
            "online": {name: tensor_view(array) for name, array in snapshot.arrays.items()},
            "counters": {
                "environment_steps": snapshot.environment_steps,
                "updates": snapshot.updates,
                "episodes": snapshot.episodes,
            },
            "evaluation_return": evaluation.scores.mean,
        }
        try:
            save_checkpoint(self._directory.best, state)
        except ZdqnError as error:
            logger.warning("the best model was not saved: %s", error)

    def save_checkpoint(
        self, trainer: Trainer, spec: EnvironmentSpec, counters: dict[str, Any]
    ) -> None:
        """Write a checkpoint from which training can go on.

        Args:
            trainer: networks and optimizer.
            spec: of the environment.
            counters: of the run, plain numbers.
        """
        from zdqn.core.checkpoints import CheckpointDirectory

        state = trainer.state_dict()
        directory = CheckpointDirectory(
            self._directory.checkpoints, self._config.learner.checkpoints_kept
        )
        try:
            directory.save(
                {
                    **describe_model(self._config, spec),
                    "online": state["online"],
                    "trainer": state,
                    "counters": counters,
                },
                trainer.updates,
            )
        except ZdqnError as error:  # a full disk must not end the training that fills it
            logger.warning("no checkpoint was saved: %s", error)
