"""A run of MLflow, in a store of files on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zdqn.config import Config, flatten
from zdqn.core.agenda import Counters
from zdqn.errors import FileError
from zdqn.records.sink_names import metrics_by_name, scores_by_name
from zdqn.records.sinks import GOES_ON_FROM, OwnSink
from zdqn.records.snapshots import Evaluation
from zdqn.wire.status import MetricsRow

_EXPERIMENT = "zdqn"
_MOST_PARAMETERS = 100
"""That MLflow takes at once."""


class MlflowSink(OwnSink):
    """Writes to a SQLite store; the step is the run's environment steps.

    Args:
        run_directory: whose name the run has.
        store: folder, made if it is missing; several runs may share it.
        clock: seconds since 1970.
    """

    def __init__(
        self, run_directory: Path, store: Path, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._name = run_directory.resolve().name
        self._store = store.expanduser().absolute()
        self._clock = clock
        self._client: Any = None
        self._run_id = ""
        self._tags: dict[str, str] = {}

    def go_on_from(self, counters: Counters) -> None:
        """Take note of it for a tag: the run is a new one, which begins there."""
        self._tags = {GOES_ON_FROM: str(counters.environment_steps)}

    def begin(self, config: Config) -> None:
        """Begin a run, with the configuration as its parameters.

        Raises:
            FileError: when the store cannot be used.
        """
        from mlflow import MlflowClient
        from mlflow.entities import Param

        with self._named():
            self._store.mkdir(parents=True, exist_ok=True)
            client = MlflowClient(tracking_uri=f"sqlite:///{self._store / 'mlflow.db'}")
            run = client.create_run(self._experiment(client), run_name=self._name, tags=self._tags)
            self._client, self._run_id = client, run.info.run_id
            parameters = [Param(key, str(value)) for key, value in flatten(config).items()]
            for some in _in_turn(parameters):
                client.log_batch(self._run_id, params=some)

    def _experiment(self, client: Any) -> str:
        """Give the experiment of all runs, which another may have made by now."""
        found = client.get_experiment_by_name(_EXPERIMENT)
        if found is None:
            try:
                made: str = client.create_experiment(_EXPERIMENT, str(self._store / "artifacts"))
            except Exception:
                found = client.get_experiment_by_name(_EXPERIMENT)
                if found is None:
                    raise
            else:
                return made
        return str(found.experiment_id)

    def add_metrics(self, row: MetricsRow) -> None:
        """Write a row.

        Raises:
            FileError: when it cannot be written.
        """
        self._log(row.environment_steps, metrics_by_name(row))

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Write scores, at the step at which their snapshot was taken.

        Raises:
            FileError: when they cannot be written.
        """
        self._log(evaluation.snapshot.environment_steps, scores_by_name(evaluation))

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        if self._client is None:
            return
        from mlflow.entities import Metric

        now_ms = int(self._clock() * 1e3)
        with self._named():
            metrics = [Metric(name, float(value), now_ms, step) for name, value in values.items()]
            self._client.log_batch(self._run_id, metrics=metrics)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write how the run ended, and end it there.

        Raises:
            FileError: when it cannot be written.
        """
        if self._client is not None:
            with self._named():
                for key, value in summary.items():
                    self._client.set_tag(self._run_id, key, str(value))
                self._finish("FINISHED")

    def _finish(self, status: str) -> None:
        client, self._client = self._client, None
        client.set_terminated(self._run_id, status)

    def close(self) -> None:
        """End the run as one that has failed, if it has not ended."""
        if self._client is not None:
            with self._named():
                self._finish("FAILED")

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # its own, SQLAlchemy's, the system's
            raise FileError(
                f"sinks.mlflow: the store {self._store} did not take what it was told: "
                f"{type(error).__name__}: {error}."
            ) from error


def _in_turn(parameters: list[Any]) -> Iterator[list[Any]]:
    for begin in range(0, len(parameters), _MOST_PARAMETERS):
        yield parameters[begin : begin + _MOST_PARAMETERS]
