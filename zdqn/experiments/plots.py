"""Pictures of a run."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from zdqn.errors import FileError, UsageError
from zdqn.experiments.learning_curve import LearningCurve, read_learning_curve
from zdqn.records.run_files import RunFiles

if TYPE_CHECKING:
    from zdqn.records.run_result import RunResult

logger = logging.getLogger("zdqn")


def plot(run: RunResult | str | Path) -> Path:
    """Draw a run's ``learning_curve.png`` anew: returns above, loss and exploration below.

    A run may go on meanwhile. This is what ``zdqn plot`` calls.

    Args:
        run: what a run gave back, or its folder.

    Returns:
        The picture.

    Raises:
        FileError: when no run has begun there, there is nothing to draw yet, its files cannot be
            read, or the picture cannot be written.
        UsageError: when `run` is no run, or ``zdqn[plot]`` is not installed.
    """
    from zdqn.records.run_result import RunResult, run_directory_of

    result = RunResult.open(run_directory_of(run))
    if not _can_draw():
        raise UsageError('Drawing needs matplotlib: pip install "zdqn[plot]".')
    curve = read_learning_curve(result.run_directory)
    if curve.is_empty:
        raise FileError(f"{_nothing_to_draw(result.run_directory)} Draw it later.")
    return _save(curve, result.run_directory)


def plot_learning_curve(run_directory: Path) -> Path | None:
    """Draw ``learning_curve.png``: returns above, loss and exploration below.

    Args:
        run_directory: of a run that has begun to learn.

    Returns:
        The picture, or None, and why is logged, when matplotlib is not installed or there is
        nothing to draw.

    Raises:
        FileError: when the run's files cannot be read, or the picture cannot be written.
    """
    if not _can_draw():
        logger.info('no learning curve drawn, as matplotlib is missing: pip install "zdqn[plot]"')
        return None
    curve = read_learning_curve(run_directory)
    if curve.is_empty:
        logger.info("%s", _nothing_to_draw(run_directory))
        return None
    return _save(curve, run_directory)


def _can_draw() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def _nothing_to_draw(run_directory: Path) -> str:
    return (
        f"There is nothing to draw of {run_directory}: it has neither an evaluation, nor the "
        f"return of an episode, nor a loss."
    )


def _save(curve: LearningCurve, run_directory: Path) -> Path:
    from zdqn.experiments.panels import draw_figure

    path = RunFiles(run_directory).learning_curve
    with warnings.catch_warnings():
        # Of a name in letters that the font lacks; there are boxes in their place.
        warnings.filterwarnings("ignore", message="Glyph")
        try:
            draw_figure(curve).savefig(path)
        except OSError as error:
            raise FileError(f"Cannot write {path}: {error.strerror}.") from error
    return path
