"""Returns of several runs over one axis, and where runs of one kind lie together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zdqn.experiments.run_statistics import bootstrap_interval, interquartile_mean
from zdqn.records.run_tables import read_evaluations, read_metrics

Column = NDArray[np.float64]
Axis = Literal["steps", "time", "episodes"]

AXES: dict[Axis, str] = {
    "steps": "environment steps", "time": "wall time, s", "episodes": "episodes of collectors"
}  # fmt: skip
"""What may lie under a curve, and what it is called."""

POINTS = 120
"""Places on the axis at which runs are laid side by side."""

_IN_EVALUATIONS = {"steps": "environment_steps", "time": "wall_s", "episodes": "episodes_trained"}
_IN_METRICS = {"steps": "environment_steps", "time": "wall_s", "episodes": "episodes"}


@dataclass(frozen=True)
class ReturnCurve:
    """Returns of one run.

    Attributes:
        x: where on each axis, shape (n,), never falling.
        returns: shape (n,), finite.
        of_evaluations: whether of greedy evaluations; else of episodes while exploring.
    """

    x: dict[Axis, Column]
    returns: Column
    of_evaluations: bool = True


@dataclass(frozen=True)
class Band:
    """Where runs of one kind lie together.

    Attributes:
        x: shape (points,).
        middle: interquartile mean of the runs, shape (points,).
        low: lower end of its bootstrap interval, shape (points,); NaN for a single run.
        high: upper end, likewise.
        runs: how many there are.
    """

    x: Column
    middle: Column
    low: Column
    high: Column
    runs: int


def read_return_curve(run_directory: Path, *, evaluations: bool = True) -> ReturnCurve:
    """Read the returns of a run, which may go on.

    What a resumed run has overtaken, from after the checkpoint that it went on from, is left out.

    Args:
        run_directory: of the run.
        evaluations: whether of greedy evaluations, or of episodes while exploring.

    Raises:
        FileError: when its files cannot be read.
    """
    if evaluations:
        table, names, of = read_evaluations(run_directory), _IN_EVALUATIONS, "mean"
    else:
        table, names, of = read_metrics(run_directory), _IN_METRICS, "episode_return_mean"
    returns, steps = table[of], table["environment_steps"]
    known = np.isfinite(returns) & np.isfinite(steps)
    if len(steps):
        known &= steps <= np.minimum.accumulate(steps[::-1])[::-1]
    return ReturnCurve(
        {axis: table[name][known] for axis, name in names.items()},  # type: ignore[misc]
        returns[known],
        evaluations,
    )


def common_band(
    curves: Sequence[ReturnCurve],
    axis: Axis,
    generator: np.random.Generator,
    *,
    points: int = POINTS,
) -> Band | None:
    """Lay runs side by side, and give their interquartile mean with its bootstrap interval.

    Between two evaluations of a run lies a straight line. The band goes from where all runs have
    begun to where the first has ended: beyond, it would be of other runs.

    Args:
        curves: of runs of one kind.
        axis: under them.
        generator: draws runs.
        points: places on the axis, >= 2.

    Returns:
        None where there is no place that all runs have come to.
    """
    drawn = [curve for curve in curves if len(curve.returns)]
    if not drawn:
        return None
    first = max(float(curve.x[axis][0]) for curve in drawn)
    last = min(float(curve.x[axis][-1]) for curve in drawn)
    if not first <= last:
        return None
    x = np.linspace(first, last, points) if last > first else np.array([first])
    if len(drawn) == 1:  # as it was, and not what lies between its points
        x = drawn[0].x[axis]
    values = np.stack([np.interp(x, curve.x[axis], curve.returns) for curve in drawn], axis=-1)
    low, high = bootstrap_interval(values, generator)
    return Band(x, interquartile_mean(values), low, high, len(drawn))


def smoothed(curve: ReturnCurve, window: int) -> ReturnCurve:
    """Give a curve whose returns are means of so many around each, fewer at the ends.

    Args:
        curve: of a run.
        window: >= 1; an even one counts as the odd one after it, a longer one than the curve as
            all of it.
    """
    from zdqn.experiments.panels import smooth

    count = len(curve.returns)
    window = min(window | 1, count if count % 2 else count - 1)
    if window <= 1:
        return curve
    return ReturnCurve(curve.x, smooth(curve.returns, window), curve.of_evaluations)
