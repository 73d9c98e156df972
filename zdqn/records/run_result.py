"""How a run went: what its functions give back, and what can be opened from its folder later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config, load_config
from zdqn.errors import FileError, UsageError
from zdqn.records.run_files import RunFiles, read_summary
from zdqn.records.run_tables import read_evaluations, read_metrics


@dataclass(frozen=True, repr=False)
class RunResult:
    """How a run ended, and where its files are. Everything is plain data: it can be pickled.

    What every run has is an attribute, None or 0 where the run was ended before it had any;
    `summary` has the rest, whose keys ``docs/algorithm.md`` defines.

    Attributes:
        run_directory: the run's folder.
        summary: what ``summary.json`` holds; empty if the run was ended before training began, or,
            of one that was opened, as long as it goes on and if it was killed.
    """

    run_directory: Path
    summary: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, run_directory: str | Path) -> RunResult:
        """Open a run from its folder; it may go on still, or have been killed.

        Args:
            run_directory: of `zdqn.run`, `zdqn.train` or a learner.

        Raises:
            FileError: when no run has begun there, or its summary cannot be read.
        """
        files = RunFiles(Path(run_directory))
        if not files.results():
            raise FileError(
                f"{run_directory} holds no run: neither config.toml, nor metrics, nor checkpoints. "
                f"Give the folder that `zdqn run` or `zdqn train` printed."
            )
        return cls(files.path, read_summary(files.path))

    @property
    def stop_reason(self) -> str:
        """The key of ``[stop]`` that was reached, or who asked; "" if the summary is empty."""
        return str(self.summary.get("stop_reason", ""))

    @property
    def best_evaluation_return(self) -> float | None:
        """Highest mean return of an evaluation; None if there was none."""
        return self._number("best_evaluation_return")

    @property
    def best_rescored_return(self) -> float | None:
        """Mean return of the best network on fresh episodes; None if it was not scored again."""
        return self._number("best_rescored_return")

    @property
    def final_evaluation_return(self) -> float | None:
        """Mean return of the evaluation whose result came last; None if there was none."""
        return self._number("final_evaluation_return")

    @property
    def environment_steps(self) -> int:
        """Steps of all environments that were collected in, resumed runs counted on."""
        return int(self.summary.get("environment_steps", 0))

    @property
    def updates(self) -> int:
        """Updates of the network, resumed runs counted on."""
        return int(self.summary.get("updates", 0))

    @property
    def episodes(self) -> int:
        """Episodes of collectors, evaluations excluded."""
        return int(self.summary.get("episodes", 0))

    @property
    def wall_s(self) -> float:
        """Seconds of training, waiting included."""
        return float(self.summary.get("wall_s", 0.0))

    @property
    def best_checkpoint(self) -> Path | None:
        """The file of the best network, ``best.pt``; None if no evaluation has chosen one."""
        return _if_there(RunFiles(self.run_directory).best)

    @property
    def learning_curve(self) -> Path | None:
        """The picture of the learning curve; None if none was drawn."""
        return _if_there(RunFiles(self.run_directory).learning_curve)

    def config(self) -> Config:
        """Read the run's configuration, as it was resolved.

        Raises:
            FileError: when it cannot be read.
        """
        return load_config(RunFiles(self.run_directory).config)

    def metrics(self) -> dict[str, NDArray[np.float64]]:
        """Read ``metrics.jsonl``, by columns.

        Returns:
            Name to values, shape (rows,), float64, in the order of training; NaN where a value was
            not known yet. The names are those of `zdqn.MetricsRow`.

        Raises:
            FileError: when the file cannot be read.
        """
        return read_metrics(self.run_directory)

    def evaluations(self) -> dict[str, NDArray[Any]]:
        """Read ``evaluations.csv``, by columns.

        Returns:
            Name to values, shape (rows,), in the order in which the snapshots were taken; float64,
            NaN where a value is absent, and text for ``"evaluator"``. Of a snapshot's episodes
            ``"mean"`` is the mean return; ``"environment_steps"`` is when it was taken.

        Raises:
            FileError: when the file cannot be read.
        """
        return read_evaluations(self.run_directory)

    def to_dict(self) -> dict[str, Any]:
        """Give the summary with the paths of folder and picture, as plain values for JSON."""
        picture = self.learning_curve
        drawn = {"learning_curve": str(picture)} if picture is not None else {}
        return {**self.summary, "run_directory": str(self.run_directory), **drawn}

    def _number(self, key: str) -> float | None:
        value = self.summary.get(key)
        return None if value is None else float(value)

    def __repr__(self) -> str:
        known = "".join(
            f", {key}={self.summary[key]!r}"
            for key in ("stop_reason", "updates", "environment_steps", "best_evaluation_return")
            if key in self.summary
        )
        return f"RunResult({str(self.run_directory)!r}{known})"


def run_directory_of(run: RunResult | str | Path) -> Path:
    """Give the folder of a run, in whatever form it was named.

    Args:
        run: what a run gave back, or its folder.

    Raises:
        UsageError: when it is neither.
    """
    if isinstance(run, RunResult):
        return run.run_directory
    if isinstance(run, str | Path):
        return Path(run)
    raise UsageError(
        f"{run!r} is a {type(run).__name__}, no run. Give a run directory, or what zdqn.run, "
        f"zdqn.train or zdqn.RunResult.open gave."
    )


def _if_there(path: Path) -> Path | None:
    return path if path.exists() else None
