"""Pictures of a run."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zdqn.errors import FileError, UsageError
from zdqn.records.run_files import RunFiles

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from zdqn.records.run_result import RunResult

logger = logging.getLogger("zdqn")

_EVALUATION_COLOUR = "#0b5fa5"
_COLLECTOR_COLOUR = "#9aa3ab"
_LOSS_COLOUR = "#b3471d"
_EPSILON_COLOUR = "#4c8c4a"
_SIZE_INCHES = (8.0, 6.5)
_DOTS_PER_INCH = 120


@dataclass(frozen=True)
class LearningCurve:
    """What a run's files say of its learning, as columns.

    Attributes:
        metrics: of ``metrics.jsonl``, in the order of training.
        evaluations: of ``evaluations.csv``, by environment steps.
    """

    metrics: dict[str, NDArray[np.float64]]
    evaluations: dict[str, NDArray[Any]]

    def points(self, key: str) -> tuple[list[float], list[float]]:
        """Give environment steps and a metric, where the metric is known."""
        steps, values = self.metrics["environment_steps"], self.metrics[key]
        known = values == values  # all but NaN
        return steps[known].tolist(), values[known].tolist()

    def column(self, key: str) -> list[float]:
        """Give a column of the evaluations."""
        column: list[float] = self.evaluations[key].tolist()
        return column


def read_learning_curve(run_directory: Path) -> LearningCurve:
    """Read a run's metrics and evaluations; files that are missing count as empty.

    Raises:
        FileError: when a file cannot be read.
    """
    from zdqn.records.run_tables import read_evaluations, read_metrics

    evaluations = read_evaluations(run_directory)
    order = evaluations["environment_steps"].argsort(kind="stable")
    return LearningCurve(
        read_metrics(run_directory), {key: column[order] for key, column in evaluations.items()}
    )


def plot(run: RunResult | str | Path) -> Path:
    """Draw a run's ``learning_curve.png`` anew: returns above, loss and exploration below.

    A run may go on meanwhile. This is what ``zdqn plot`` calls.

    Args:
        run: what a run gave back, or its folder.

    Returns:
        The picture.

    Raises:
        FileError: when no run has begun there, its files cannot be read, or the picture cannot be
            written.
        UsageError: when `run` is no run, or ``zdqn[plot]`` is not installed.
    """
    from zdqn.records.run_result import RunResult, run_directory_of

    result = RunResult.open(run_directory_of(run))
    picture = plot_learning_curve(result.run_directory)
    if picture is None:
        raise UsageError('Drawing needs matplotlib: pip install "zdqn[plot]".')
    return picture


def plot_learning_curve(run_directory: Path) -> Path | None:
    """Draw ``learning_curve.png``: returns above, loss and exploration below.

    Args:
        run_directory: of a run that has begun to learn.

    Returns:
        The picture, or None when matplotlib is not installed, which is logged.

    Raises:
        FileError: when the run's files cannot be read, or the picture cannot be written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        logger.info('no learning curve drawn, as matplotlib is missing: pip install "zdqn[plot]"')
        return None
    from matplotlib.figure import Figure  # not pyplot, which has a state that others share

    curve = read_learning_curve(run_directory)
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    name = run_directory.resolve().name.encode(errors="replace").decode()
    figure.suptitle(name, fontsize=11, parse_math=False)  # a folder's name is no formula
    _draw_returns(above, curve)
    _draw_learning(below, curve)
    path = RunFiles(run_directory).learning_curve
    try:
        figure.savefig(path)
    except OSError as error:
        raise FileError(f"Cannot write {path}: {error.strerror}.") from error
    return path


def _draw_returns(axes: Axes, curve: LearningCurve) -> None:
    steps, returns = curve.points("episode_return_mean")
    if steps:
        axes.plot(steps, returns, color=_COLLECTOR_COLOUR, linewidth=1, label="while exploring")
    if curve.column("mean"):
        steps, mean = curve.column("environment_steps"), curve.column("mean")
        deviation = curve.column("deviation")
        axes.fill_between(
            steps,
            _shifted(mean, deviation, -1, curve.column("minimum")),
            _shifted(mean, deviation, 1, curve.column("maximum")),
            color=_EVALUATION_COLOUR,
            alpha=0.2,
            linewidth=0,
            label="± one deviation",
        )
        axes.plot(
            steps,
            mean,
            color=_EVALUATION_COLOUR,
            linewidth=1.8,
            marker="o",
            markersize=3.5,
            label="evaluation, mean",
        )
    axes.set_ylabel("return of an episode")
    _finish(axes)


def _shifted(
    mean: Sequence[float], deviation: Sequence[float], sign: int, bound: Sequence[float]
) -> list[float]:
    """Give mean ± deviation, not beyond what was really seen."""
    limit = max if sign < 0 else min
    return [limit(m + sign * d, seen) for m, d, seen in zip(mean, deviation, bound, strict=True)]


def _draw_learning(axes: Axes, curve: LearningCurve) -> None:
    steps, loss = curve.points("loss")
    if steps:
        axes.plot(steps, loss, color=_LOSS_COLOUR, linewidth=1.2, label="loss")
        if min(loss) > 0:
            axes.set_yscale("log")
    axes.set_ylabel("loss")
    axes.set_xlabel("environment steps")
    right = axes.twinx()
    steps, epsilon = curve.points("epsilon")
    if steps:
        right.plot(steps, epsilon, color=_EPSILON_COLOUR, linewidth=1.2, label="epsilon (right)")
    right.set_ylim(-0.02, 1.02)
    right.set_ylabel("epsilon")
    right.spines["top"].set_visible(False)
    handles = [*axes.get_lines(), *right.get_lines()]
    _finish(axes, handles)


def _finish(axes: Axes, handles: list[Any] | None = None) -> None:
    axes.grid(alpha=0.25)
    axes.spines["top"].set_visible(False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if handles is None:
        handles = axes.get_legend_handles_labels()[0]
    if handles:
        axes.legend(handles=handles, frameon=False, fontsize=9)
