"""Several runs in one picture: each for itself, or those with one value of a key together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from zdqn.config import Config, flatten
from zdqn.config.explaining import check_key
from zdqn.errors import FileError, UsageError
from zdqn.experiments.curve_pictures import (
    add_legend,
    check_can_draw,
    draw_bands,
    new_figure,
    save_figure,
)
from zdqn.experiments.return_curves import (
    AXES,
    Axis,
    ReturnCurve,
    common_band,
    read_return_curve,
    smoothed,
)
from zdqn.records.run_result import RunResult

_HEIGHT_INCHES = 4.4
_BOOTSTRAP_SEED = 0


def plot_runs(
    runs: Sequence[str | Path],
    picture: Path,
    *,
    by: str | None = None,
    smooth: int = 1,
    axis: Axis = "steps",
    on_run: Callable[[int], object] = lambda _: None,
) -> Path:
    """Draw the evaluations of several runs; of their exploring, if one has no evaluations.

    Args:
        runs: folders of runs, which may go on.
        picture: where to; its ending says which format.
        by: a key, such as ``algorithm.double``: runs with one value of it are drawn together, as
            their interquartile mean with its bootstrap interval of 95 %. None draws each.
        smooth: how many returns of a run a point is the mean of.
        axis: what lies under the curves.
        on_run: told how many runs have been read, after each.

    Raises:
        UsageError: when a run is named twice, or matplotlib is not installed.
        ConfigError: when there is no such key.
        FileError: when a run cannot be read, there is nothing to draw, or the picture cannot be
            written.
    """
    check_can_draw()
    results = [RunResult.open(run) for run in runs]
    _check_once([result.run_directory for result in results])
    groups = group_runs(results, by)
    of_evaluations = []
    for result in results:
        of_evaluations.append(read_return_curve(result.run_directory))
        on_run(len(of_evaluations))
    evaluated = all(len(curve.returns) for curve in of_evaluations)
    curves = {
        name: [_curve(result, smooth, evaluations=evaluated) for result in members]
        for name, members in groups.items()
    }
    generator = np.random.default_rng(_BOOTSTRAP_SEED)
    bands = {name: common_band(its, axis, generator) for name, its in curves.items()}
    if not any(bands.values()):
        raise FileError(
            f"There is nothing to draw of {', '.join(map(str, runs))}: they have neither "
            f"evaluations nor returns of episodes at one place. Draw them later."
        )
    goals = {result.config().stop.evaluation_return for result in results}
    figure = new_figure(_HEIGHT_INCHES, _title(len(results), by))
    axes = figure.subplots()
    draw_bands(axes, bands, goal=goals.pop() if len(goals) == 1 else None)
    axes.set_xlabel(AXES[axis])
    axes.set_ylabel("return of evaluations" if evaluated else "return while exploring")
    add_legend(figure, axes)
    return save_figure(figure, picture)


def group_runs(results: Sequence[RunResult], by: str | None) -> dict[str, list[RunResult]]:
    """Put runs together that have one value of a key.

    Args:
        results: of runs.
        by: the key; None gives each run a group of its own.

    Returns:
        What a group is called to its runs, in the order in which they were named.

    Raises:
        ConfigError: when there is no such key.
        FileError: when a run's configuration cannot be read.
    """
    if by is None:
        return {name: [result] for name, result in zip(_names(results), results, strict=True)}
    section, _, key = by.partition(".")
    check_key(Config, section, key, source=f'--by "{by}"')
    groups: dict[str, list[RunResult]] = {}
    for result in results:
        value = flatten(result.config()).get(by)
        groups.setdefault(f"{by} = {_written(value)}", []).append(result)
    return {f"{name} ({_runs(len(its))})": its for name, its in groups.items()}


def _names(results: Sequence[RunResult]) -> list[str]:
    """Name runs by as many of the last parts of their paths as tell them apart."""
    paths = [result.run_directory.resolve() for result in results]
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _check_once(directories: Sequence[Path]) -> None:
    seen: set[Path] = set()
    for directory in directories:
        if directory.resolve() in seen:
            raise UsageError(
                f"{directory} is named twice: it would count as two runs. Name it once."
            )
        seen.add(directory.resolve())


def _curve(result: RunResult, smooth: int, *, evaluations: bool) -> ReturnCurve:
    curve = read_return_curve(result.run_directory, evaluations=evaluations)
    return smoothed(curve, smooth)


def _title(count: int, by: str | None) -> str:
    return _runs(count) if by is None else f"{_runs(count)} by {by}: IQM and 95 % interval"


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


def _written(value: object) -> str:
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
