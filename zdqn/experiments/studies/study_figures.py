"""Draws what a study shows: learning curves, final scores, who reached the threshold when."""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zdqn.experiments.curve_pictures import (
    add_legend,
    draw_bands,
    draw_intervals,
    finish_axes,
    new_figure,
    save_figure,
    style_of,
)
from zdqn.experiments.plain_numbers import plain_number
from zdqn.experiments.return_curves import AXES, Axis
from zdqn.experiments.run_statistics import Wait, share_waiting
from zdqn.experiments.studies.study_folder import StudyFiles
from zdqn.experiments.studies.study_outcomes import Estimate, StudyOutcome, VariantOutcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

logger = logging.getLogger("zdqn")

_PANEL_INCHES = 3.3
_ROW_INCHES = 0.42
_DRAWN_AXES: tuple[Axis, Axis] = ("steps", "time")


def draw_study_figures(outcome: StudyOutcome, files: StudyFiles) -> list[Path]:
    """Draw what there is to draw of a study.

    Returns:
        The pictures; none, and why is logged, where matplotlib is missing.

    Raises:
        FileError: when a picture cannot be written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        logger.info('no figures drawn, as matplotlib is missing: pip install "zdqn[plot]"')
        return []
    drawn = {"curves": curves_figure, "scores": scores_figure, "threshold": threshold_figure}
    pictures = []
    for name, draw in drawn.items():
        figure = draw(outcome)
        if figure is not None:
            pictures.append(save_figure(figure, files.picture(name)))
    return pictures


def curves_figure(outcome: StudyOutcome) -> Figure | None:
    """Draw learning curves over environment steps and over wall time; None without any."""
    if not any(band for variant in outcome.variants for band in variant.bands.values()):
        return None
    figure = new_figure(2 * _PANEL_INCHES, f"{outcome.plan.title}: evaluation while it trains")
    panels = figure.subplots(2, 1)
    for axes, axis in zip(panels, _DRAWN_AXES, strict=True):
        bands = {variant.name: variant.bands[axis] for variant in outcome.variants}
        draw_bands(axes, bands, goal=outcome.plan.threshold)
        axes.set_xlabel(AXES[axis])
        axes.set_ylabel("return, IQM and 95 %")
    add_legend(figure, panels[0])
    return figure


def scores_figure(outcome: StudyOutcome) -> Figure | None:
    """Draw final scores, the probability of improvement, and speed; None without a score."""
    variants = outcome.variants
    columns: list[tuple[str, Callable[[VariantOutcome], Estimate | None], float | None]] = [
        ("final return", lambda variant: variant.final, None),
        (f"P(better than {outcome.plan.baseline})", lambda variant: variant.improvement, 0.5),
        ("environment steps/s", lambda variant: variant.steps_per_s, None),
    ]
    shown = [column for column in columns if any(_is_known(column[1](each)) for each in variants)]
    if not shown:
        return None
    height = 1.3 + _ROW_INCHES * len(variants)
    figure = new_figure(height, f"{outcome.plan.title}: IQM, 95 % interval, and each run")
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for number, (axes, (label, take, mark)) in enumerate(zip(panels, shown, strict=True)):
        draw_intervals(axes, [_row(variant.name, take(variant)) for variant in variants], mark=mark)
        axes.set_xlabel(label, parse_math=False)
        if number:
            axes.set_yticklabels([])
        if mark is not None:
            axes.set_xlim(-0.04, 1.04)
    return figure


def _is_known(estimate: Estimate | None) -> bool:
    return estimate is not None and not math.isnan(estimate.value)


def _row(name: str, estimate: Estimate | None) -> tuple[str, float, float, float, Sequence[float]]:
    if estimate is None:
        return name, math.nan, math.nan, math.nan, ()
    return name, estimate.value, *estimate.interval, estimate.of_runs


def threshold_figure(outcome: StudyOutcome) -> Figure | None:
    """Draw which share of runs has reached the threshold; None without one, or if none has."""
    threshold = outcome.plan.threshold
    if threshold is None or not any(variant.reached for variant in outcome.variants):
        return None
    title = f"{outcome.plan.title}: share of runs that have reached {plain_number(threshold)}"
    figure = new_figure(_PANEL_INCHES, title)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, axis in zip(panels, _DRAWN_AXES, strict=True):
        for index, variant in enumerate(outcome.variants):
            _draw_share(axes, variant, axis, index)
        axes.set_xlabel(AXES[axis])
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlim(left=0)
        finish_axes(axes)
    panels[0].set_ylabel("share (Kaplan and Meier)")
    add_legend(figure, panels[0])
    return figure


def _draw_share(axes: Axes, variant: VariantOutcome, axis: Axis, index: int) -> None:
    """Draw one variant's share; a cross is a run that was watched no longer, and not there yet."""
    of_axis = {"steps": "steps_to_threshold", "time": "seconds_to_threshold"}[axis]
    waits: list[Wait] = [
        wait for run in variant.runs if (wait := getattr(run, of_axis)) is not None
    ]
    if not waits:
        return
    times, waiting = share_waiting(waits)
    last = max(wait.length for wait in waits)
    x = np.concatenate(([0.0], times, [last]))
    y = 1 - np.concatenate(([1.0], waiting, waiting[-1:] if len(waiting) else [1.0]))
    axes.step(x, y, where="post", linewidth=1.7, label=variant.name, **style_of(index))
    censored = [wait.length for wait in waits if not wait.reached]
    heights = [y[np.searchsorted(times, length, side="right")] for length in censored]
    axes.plot(censored, heights, "x", color=style_of(index)["color"], markersize=6)
