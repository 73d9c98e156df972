"""What a run's files say of its learning: columns to draw, the goal, the best, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from zdqn.errors import ZdqnError
from zdqn.experiments.plain_numbers import plain_duration, plain_number
from zdqn.records.run_files import RunFiles, read_summary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from zdqn.config import Config

    Column: TypeAlias = NDArray[np.float64]

_LONGEST_ENVIRONMENT = 44
_LONGEST_NAME = 36


class Best(NamedTuple):
    """The evaluation of the network that is kept.

    Attributes:
        environment_steps: when its snapshot was taken.
        mean: return of its episodes.
        rescored: mean return on fresh episodes; None if it was not scored again.
        label: what it is kept as.
    """

    environment_steps: float
    mean: float
    rescored: float | None
    label: str


@dataclass(frozen=True)
class LearningCurve:
    """What a run's files say of its learning.

    Attributes:
        metrics: columns of ``metrics.jsonl``, in the order of training.
        evaluations: columns of ``evaluations.csv``, by environment steps.
        best: the evaluation of the best network; None if there is none, or none of this run.
        config: of the run; None if it cannot be read.
        summary: how the run ended; empty as long as it goes on.
        name: of its folder.
    """

    metrics: dict[str, Column]
    evaluations: dict[str, NDArray[Any]]
    best: Best | None = None
    config: Config | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def points(self, key: str) -> tuple[Column, Column]:
        """Give environment steps and a metric, where the metric is a finite number.

        Rows that a resumed run has overtaken, from after the checkpoint it went on from, are left
        out.
        """
        import numpy as np

        steps, values = self.metrics["environment_steps"], self.metrics[key]
        least_to_come = np.minimum.accumulate(steps[::-1])[::-1]
        known = np.isfinite(values) & (steps <= least_to_come)
        return steps[known], values[known]

    def scores(self) -> dict[str, Column]:
        """Give the evaluations with a finite mean: steps, mean, and a deviation around it.

        Returns:
            ``environment_steps``, ``mean``, ``low``, ``high``: the mean and one deviation, not
            beyond the lowest and highest return of its episodes; NaN where that is unknown.
        """
        import numpy as np

        columns = self.evaluations
        known = np.isfinite(columns["mean"])
        names = "environment_steps", "mean", "deviation", "minimum", "maximum"
        steps, mean, deviation, minimum, maximum = (columns[name][known] for name in names)
        return {
            "environment_steps": steps,
            "mean": mean,
            "low": np.fmax(mean - deviation, minimum),
            "high": np.fmin(mean + deviation, maximum),
        }

    @property
    def goal(self) -> float | None:
        """The mean return at which training ends; None if none was set."""
        return None if self.config is None else self.config.stop.evaluation_return

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw: neither a return nor a loss is known."""
        known = [*self.points("episode_return_mean")[0], *self.points("loss")[0]]
        return not known and not len(self.scores()["mean"])

    def title(self) -> str:
        """Name the environment, the seed and the run, and in a second line what came of it."""
        named = [] if self.config is None else [self._subject(self.config)]
        first = " | ".join((*named, _shortened(self.name, _LONGEST_NAME)))
        return f"{first}\n{self._result()}"

    def _subject(self, config: Config) -> str:
        function = config.environment.function
        environment = config.environment.id if function is None else str(function)
        return f"{_shortened(environment, _LONGEST_ENVIRONMENT)}, seed {config.run.seed}"

    def _result(self) -> str:
        """Say how far the run came, how it ended, and its best and last evaluation."""
        from zdqn.launch.summary import describe_end  # it loads NumPy

        reason = str(self.summary.get("stop_reason", ""))
        ended = f"{describe_end(self.summary)} after"
        ended = {"": "so far", "evaluation_return": "goal reached after"}.get(reason, ended)
        scores = self.scores()["mean"]
        texts = []
        best, last = self._known("best_evaluation_return"), scores[-1] if len(scores) else None
        if self.best is not None:
            best = self.best.mean
        if best is None:
            texts.append("no evaluation")
        else:
            texts.append(f"best {plain_number(best)}")
        if self.best is not None and self.best.rescored is not None:
            texts.append(f"scored again {plain_number(self.best.rescored)}")
        if last is not None:
            texts.append(f"last {plain_number(last)}")
        return f"{ended} {self._distance()}: {', '.join(texts)}"

    def _distance(self) -> str:
        steps, seconds = self._known("environment_steps") or 0, self._known("wall_s") or 0
        return f"{steps:,.0f} environment steps, {plain_duration(seconds)}"

    def _known(self, key: str) -> float | None:
        """Give a number of the summary, or else of the last row that has it, or evaluation."""
        import numpy as np

        value = self.summary.get(key)
        if value is not None:
            return float(value)
        for columns in (self.metrics, self.evaluations):
            column = columns.get(key, np.empty(0))
            known = column[np.isfinite(column)]
            if len(known):
                return float(known[-1])
        return None


def read_learning_curve(run_directory: Path) -> LearningCurve:
    """Read what a run has written so far; files that are missing count as empty.

    Args:
        run_directory: of a run, which may go on.

    Raises:
        FileError: when metrics, evaluations or summary cannot be read.
    """
    from zdqn.config import load_config
    from zdqn.records.run_tables import read_evaluations, read_metrics

    files = RunFiles(run_directory)
    evaluations = read_evaluations(run_directory)
    order = evaluations["environment_steps"].argsort(kind="stable")
    metrics = read_metrics(run_directory)
    summary = read_summary(run_directory)
    try:
        config = load_config(files.config) if files.config.exists() else None
    except ZdqnError:  # of another version of zdqn, say: the curve can be drawn without it
        config = None
    return LearningCurve(
        metrics=metrics,
        evaluations={key: column[order] for key, column in evaluations.items()},
        best=_find_best(files, metrics, summary),
        config=config,
        summary=summary,
        name=run_directory.resolve().name,
    )


def _find_best(
    files: RunFiles, metrics: Mapping[str, Column], summary: Mapping[str, Any]
) -> Best | None:
    """Find the best evaluation; None if a better one was made before the run went on here."""
    from zdqn.records.run_tables import read_best_evaluation

    row = read_best_evaluation(files.path)
    if row is None:
        return None
    known = [value for value in metrics["best_evaluation_return"].tolist() if value == value]
    if known and known[-1] > row["mean"]:
        return None
    return Best(
        environment_steps=row["environment_steps"],
        mean=row["mean"],
        rescored=summary.get("best_rescored_return"),
        label=files.best.name if files.best.exists() else "best",
    )


def _shortened(text: str, longest: int) -> str:
    """Leave out the middle of a long text, and what cannot be printed."""
    text = text.encode(errors="replace").decode()
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    if len(text) <= longest:
        return text
    half = (longest - 3) // 2
    return f"{text[:half]}...{text[-half:]}"
