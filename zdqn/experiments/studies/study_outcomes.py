"""What the runs of a study have come to, and what each variant's runs say together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.experiments.return_curves import Axis, Band, ReturnCurve, common_band, read_return_curve
from zdqn.experiments.run_statistics import (
    UNKNOWN,
    Interval,
    Wait,
    bootstrap_interval,
    improvement_interval,
    interquartile_mean,
    median_wait,
    median_wait_interval,
    probability_of_improvement,
)
from zdqn.experiments.studies.study_folder import RunState, StudyFiles, state_of
from zdqn.experiments.studies.study_plan import PlannedRun, StudyPlan
from zdqn.records.run_files import read_summary

_BOOTSTRAP_SEED = 20_210_813
"""The same numbers give the same intervals, whenever they are looked at."""


@dataclass(frozen=True)
class StudiedRun:
    """What one finished run has come to.

    Attributes:
        run: of the study.
        curve: its evaluations.
        final: mean of its last evaluations; None without any.
        best: the highest of its evaluations; None without any.
        summary: what ``summary.json`` holds.
        steps_to_threshold: until the first evaluation that reached it; None without a threshold
            or without an evaluation.
        seconds_to_threshold: likewise.
    """

    run: PlannedRun
    curve: ReturnCurve
    final: float | None
    best: float | None
    summary: Mapping[str, Any]
    steps_to_threshold: Wait | None = None
    seconds_to_threshold: Wait | None = None

    def number(self, key: str) -> float:
        """Give a number of its summary; NaN if it has none."""
        value = self.summary.get(key)
        return float(value) if isinstance(value, int | float) else math.nan

    @property
    def stop_reason(self) -> str:
        """The end condition that it reached."""
        return str(self.summary.get("stop_reason", ""))


@dataclass(frozen=True)
class Estimate:
    """A number of several runs, with its interval.

    Attributes:
        value: NaN where there is none.
        interval: of 95 %.
        of_runs: what single runs have, NaN left out.
    """

    value: float
    interval: Interval
    of_runs: tuple[float, ...] = ()


@dataclass(frozen=True)
class VariantOutcome:
    """What the finished runs of a variant say together.

    Attributes:
        name: of the variant.
        planned: how many runs it has.
        runs: that are finished.
        bands: axis to its curve; None where its runs have no place in common.
        final: interquartile mean of final scores.
        improvement: probability that a run of it scores higher than one of the baseline; None for
            the baseline itself.
        steps_to_threshold: median; infinite if fewer than half reached it.
        seconds_to_threshold: likewise.
        steps_per_s: environment steps a second, interquartile mean.
        wall_s: of training, likewise.
    """

    name: str
    planned: int
    runs: tuple[StudiedRun, ...]
    bands: Mapping[Axis, Band | None]
    final: Estimate
    improvement: Estimate | None
    steps_to_threshold: Estimate
    seconds_to_threshold: Estimate
    steps_per_s: Estimate
    wall_s: Estimate

    @property
    def reached(self) -> int:
        """How many of its runs reached the threshold."""
        waits = [run.steps_to_threshold for run in self.runs]
        return sum(wait is not None and wait.reached for wait in waits)


@dataclass(frozen=True)
class StudyOutcome:
    """What a study shows so far.

    Attributes:
        plan: of the study.
        variants: in the order of the plan.
        unfinished: names of runs that have not come to their end.
    """

    plan: StudyPlan
    variants: tuple[VariantOutcome, ...]
    unfinished: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether no run is finished."""
        return not any(variant.runs for variant in self.variants)


def read_outcome(plan: StudyPlan, files: StudyFiles) -> StudyOutcome:
    """Read what the finished runs of a study have come to.

    Raises:
        FileError: when a file of a run cannot be read.
    """
    finished, unfinished = [], []
    for run in plan.runs():
        if state_of(files.run_directory(run)) is RunState.FINISHED:
            finished.append(read_run(plan, files, run))
        else:
            unfinished.append(run.name)
    return StudyOutcome(plan, tuple(sum_up(plan, finished)), tuple(unfinished))


def read_run(plan: StudyPlan, files: StudyFiles, run: PlannedRun) -> StudiedRun:
    """Read what a finished run has come to.

    Raises:
        FileError: when a file of it cannot be read.
    """
    directory = files.run_directory(run)
    curve = read_return_curve(directory)
    returns = curve.returns
    steps, seconds = (
        wait_for(curve, axis, plan.threshold) if plan.threshold is not None else None
        for axis in ("steps", "time")
    )
    return StudiedRun(
        run=run,
        curve=curve,
        final=float(returns[-plan.final_evaluations :].mean()) if len(returns) else None,
        best=float(returns.max()) if len(returns) else None,
        summary=read_summary(directory),
        steps_to_threshold=steps,
        seconds_to_threshold=seconds,
    )


def wait_for(curve: ReturnCurve, axis: Axis, threshold: float) -> Wait | None:
    """Give how long a run took until its first evaluation that was as high as a threshold.

    A run that had none is known to take longer than until its last evaluation.

    Args:
        curve: of the run.
        axis: on which it is measured.
        threshold: a return.

    Returns:
        None for a run without evaluations.
    """
    if not len(curve.returns):
        return None
    x, high = curve.x[axis], np.flatnonzero(curve.returns >= threshold)
    return Wait(float(x[high[0]]), True) if len(high) else Wait(float(x[-1]), False)


def sum_up(plan: StudyPlan, runs: Sequence[StudiedRun]) -> list[VariantOutcome]:
    """Put the runs of each variant together.

    Args:
        plan: of the study.
        runs: that are finished.
    """
    generator = np.random.default_rng(_BOOTSTRAP_SEED)
    by_variant = {
        variant.name: [run for run in runs if run.run.variant == variant.name]
        for variant in plan.variants
    }
    baseline = _finals(by_variant[plan.baseline])
    return [_variant(plan, name, its, baseline, generator) for name, its in by_variant.items()]


def _variant(
    plan: StudyPlan,
    name: str,
    runs: Sequence[StudiedRun],
    baseline: NDArray[np.float64],
    generator: np.random.Generator,
) -> VariantOutcome:
    curves = [run.curve for run in runs]
    axes: tuple[Axis, Axis] = ("steps", "time")
    steps = [run.steps_to_threshold for run in runs if run.steps_to_threshold is not None]
    seconds = [run.seconds_to_threshold for run in runs if run.seconds_to_threshold is not None]
    finals = _finals(runs)
    return VariantOutcome(
        name=name,
        planned=len(plan.seeds),
        runs=tuple(runs),
        bands={axis: common_band(curves, axis, generator) for axis in axes},
        final=_mean(finals, generator),
        improvement=None if name == plan.baseline else _improved(finals, baseline, generator),
        steps_to_threshold=_median(steps, generator),
        seconds_to_threshold=_median(seconds, generator),
        steps_per_s=_mean(_numbers(runs, "environment_steps_per_s"), generator),
        wall_s=_mean(_numbers(runs, "wall_s"), generator),
    )


def _finals(runs: Sequence[StudiedRun]) -> NDArray[np.float64]:
    return np.array([run.final for run in runs if run.final is not None], dtype=np.float64)


def _numbers(runs: Sequence[StudiedRun], key: str) -> NDArray[np.float64]:
    values = np.array([run.number(key) for run in runs], dtype=np.float64)
    return values[np.isfinite(values)]


def _mean(values: NDArray[np.float64], generator: np.random.Generator) -> Estimate:
    if not len(values):
        return Estimate(math.nan, UNKNOWN)
    low, high = bootstrap_interval(values, generator)
    middle = float(interquartile_mean(values))
    return Estimate(middle, Interval(float(low), float(high)), tuple(values.tolist()))


def _improved(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], generator: np.random.Generator
) -> Estimate:
    if not (len(ours) and len(theirs)):
        return Estimate(math.nan, UNKNOWN)
    interval = improvement_interval(ours, theirs, generator)
    return Estimate(probability_of_improvement(ours, theirs), interval)


def _median(waits: Sequence[Wait], generator: np.random.Generator) -> Estimate:
    if not waits:
        return Estimate(math.nan, UNKNOWN)
    reached = tuple(wait.length for wait in waits if wait.reached)
    return Estimate(median_wait(waits), median_wait_interval(waits, generator), reached)
