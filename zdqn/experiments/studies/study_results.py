"""Writes what a study shows: ``results.md`` for a report, and raw numbers as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from zdqn.benchmarks.page import describe_machine, table_lines
from zdqn.config import flatten
from zdqn.config.explaining import show_value
from zdqn.experiments.plain_numbers import plain_number
from zdqn.experiments.run_statistics import Interval
from zdqn.experiments.studies.study_folder import StudyFiles
from zdqn.experiments.studies.study_outcomes import (
    Estimate,
    StudyOutcome,
    VariantOutcome,
)
from zdqn.experiments.studies.study_plan import StudyPlan
from zdqn.records.replaced_files import replace_text

_NONE = "-"
_GOAL = "evaluation_return"


def write_tables(outcome: StudyOutcome, files: StudyFiles) -> list[Path]:
    """Write the raw numbers: of runs, of evaluations, of curves as drawn, of variants.

    Raises:
        FileError: when a file cannot be written.
    """
    tables = {
        "runs": (_RUN_COLUMNS, _run_rows(outcome)),
        "evaluations": (("variant", "seed", "environment_steps", "wall_s", "return"),
                        _evaluation_rows(outcome)),
        "curves": (("variant", "axis", "x", "middle", "low", "high", "runs"), _curve_rows(outcome)),
        "variants": (_VARIANT_COLUMNS, _variant_rows(outcome)),
    }  # fmt: skip
    for name, (columns, rows) in tables.items():
        text = io.StringIO()
        csv.writer(text).writerows([columns, *rows])
        replace_text(files.table(name), text.getvalue())
    return [files.table(name) for name in tables]


_SUMMED = ("environment_steps", "updates", "episodes", "wall_s", "environment_steps_per_s",
           "updates_per_s")  # fmt: skip
_RUN_COLUMNS = (
    "variant", "seed", "final", "best", *_SUMMED, "stop_reason", "reached",
    "steps_to_threshold", "seconds_to_threshold",
)  # fmt: skip


def _run_rows(outcome: StudyOutcome) -> Iterator[Sequence[Any]]:
    for variant in outcome.variants:
        for run in variant.runs:
            steps, seconds = run.steps_to_threshold, run.seconds_to_threshold
            yield (
                variant.name, run.run.seed, _cell(run.final), _cell(run.best),
                *(_cell(run.number(key)) for key in _SUMMED), run.stop_reason,
                "" if steps is None else int(steps.reached),
                "" if steps is None else steps.length,
                "" if seconds is None else seconds.length,
            )  # fmt: skip


def _evaluation_rows(outcome: StudyOutcome) -> Iterator[Sequence[Any]]:
    for variant in outcome.variants:
        for run in variant.runs:
            x = run.curve.x
            for row in zip(x["steps"], x["time"], run.curve.returns, strict=True):
                yield (variant.name, run.run.seed, *map(float, row))


def _curve_rows(outcome: StudyOutcome) -> Iterator[Sequence[Any]]:
    for variant in outcome.variants:
        for axis, band in variant.bands.items():
            if band is not None:
                points = zip(band.x, band.middle, band.low, band.high, strict=True)
                for point in points:
                    yield (variant.name, axis, *(_cell(float(v)) for v in point), band.runs)


_ESTIMATES = ("final", "improvement", "steps_to_threshold", "seconds_to_threshold", "steps_per_s",
              "wall_s")  # fmt: skip
_VARIANT_COLUMNS = (
    "variant", "planned", "finished", "reached",
    *(f"{name}{end}" for name in _ESTIMATES for end in ("", "_low", "_high")),
)  # fmt: skip


def _variant_rows(outcome: StudyOutcome) -> Iterator[Sequence[Any]]:
    for variant in outcome.variants:
        cells: list[str | float] = []
        for name in _ESTIMATES:
            estimate: Estimate | None = getattr(variant, name)
            values = (math.nan,) * 3 if estimate is None else (estimate.value, *estimate.interval)
            cells += [_cell(value) for value in values]
        yield (variant.name, variant.planned, len(variant.runs), variant.reached, *cells)


def _cell(value: float | None) -> str | float:
    """Give a number for a file: nothing for what is not known, ``inf`` for what has no end."""
    return "" if value is None or math.isnan(value) else value


# --- results.md ---------------------------------------------------------------------------------


def write_results(
    outcome: StudyOutcome, files: StudyFiles, pictures: Iterable[Path], *, jobs: int
) -> Path:
    """Write ``results.md``.

    Args:
        outcome: of the study.
        files: of the study.
        pictures: that were drawn.
        jobs: how many runs went at once.

    Raises:
        FileError: when it cannot be written.
    """
    replace_text(files.results, "\n".join(results_lines(outcome, pictures, jobs=jobs)) + "\n")
    return files.results


def results_lines(outcome: StudyOutcome, pictures: Iterable[Path], *, jobs: int) -> list[str]:
    """Write what a study shows as Markdown."""
    plan = outcome.plan
    lines = [f"# {plan.title}", "", *_what(outcome, jobs), ""]
    lines += [*_scores(outcome), ""]
    if plan.threshold is not None:
        lines += [*_threshold(outcome), ""]
    lines += [*_speed(outcome), ""]
    for picture in pictures:
        lines += [f"![{picture.stem}]({picture.name})", ""]
    lines += ["## Variants", "", *differences(plan), "", "## How to read it", "", *_HOW, ""]
    return [*lines, *table_lines(("machine", ""), describe_machine().items())]


_HOW = (
    "- *Final return* of a run: the mean of its last evaluations, as many as the study says. Of "
    "several runs: their interquartile mean, without the lowest and the highest quarter "
    "(Agarwal et al. 2021, arXiv:2108.13264).",
    "- In brackets: the percentile bootstrap interval of 95 %, runs drawn anew 2,000 times. With "
    "few runs it is too narrow.",
    "- *Better than the baseline*: the probability that a run of the variant has a higher final "
    "return than one of the baseline; 0.5 where neither is better.",
    "- *To the threshold*: until the first evaluation that high. A run that never had one counts "
    "as one that takes longer than it was watched (Kaplan and Meier 1958), not as missing; where "
    "fewer than half got there, there is no median.",
    "- Curves: between two evaluations of a run lies a straight line; a band goes as far as all "
    "runs of its variant do. Wall time depends on what else the machine did.",
)


def _what(outcome: StudyOutcome, jobs: int) -> list[str]:
    plan = outcome.plan
    finished = sum(len(variant.runs) for variant in outcome.variants)
    total = len(plan.variants) * len(plan.seeds)
    at_once = "one at a time" if jobs == 1 else f"{jobs} at once"
    lines = [
        f"{finished} of {total} runs: {len(plan.variants)} variants, seeds "
        f"{', '.join(map(str, plan.seeds))}, each by `zdqn {plan.command}`, {at_once}."
    ]
    if outcome.unfinished:
        lines += ["", f"**Missing**: {', '.join(outcome.unfinished)}."]
    at_goal = [
        f"{variant.name} ({count} of {len(variant.runs)})"
        for variant in outcome.variants
        if (count := sum(run.stop_reason == _GOAL for run in variant.runs))
    ]
    if at_goal:
        lines += [
            "",
            "**Runs that ended as they reached `stop.evaluation_return`** have a final return that "
            f"was chosen for being high: {', '.join(at_goal)}. Compare their steps and times to "
            "the threshold instead.",
        ]
    return lines


def _scores(outcome: StudyOutcome) -> list[str]:
    columns = ("variant", "runs", "final return", "of single runs",
               f"better than {outcome.plan.baseline}")  # fmt: skip
    rows = [
        (
            variant.name, f"{len(variant.runs)} of {variant.planned}", estimate(variant.final),
            ", ".join(map(plain_number, sorted(variant.final.of_runs))) or _NONE,
            _NONE if variant.improvement is None else estimate(variant.improvement, "{:.2f}"),
        )
        for variant in outcome.variants
    ]  # fmt: skip
    return table_lines(columns, rows)


def _threshold(outcome: StudyOutcome) -> list[str]:
    assert outcome.plan.threshold is not None
    goal = plain_number(outcome.plan.threshold)
    columns = ("variant", f"reached {goal}", "median environment steps until then",
               "median wall time until then, s", "others watched for")  # fmt: skip
    return table_lines(columns, [_threshold_row(variant) for variant in outcome.variants])


def _threshold_row(variant: VariantOutcome) -> tuple[str, ...]:
    waits = [run.steps_to_threshold for run in variant.runs]
    watched = [wait.length for wait in waits if wait is not None and not wait.reached]
    span = f"{plain_number(min(watched))} steps or more" if watched else _NONE
    return (
        variant.name,
        f"{variant.reached} of {len(variant.runs)}",
        estimate(variant.steps_to_threshold),
        estimate(variant.seconds_to_threshold),
        span,
    )


def _speed(outcome: StudyOutcome) -> list[str]:
    columns = ("variant", "environment steps/s", "wall time of a run, s", "updates of a run")
    return table_lines(columns, map(_speed_row, outcome.variants))


def _speed_row(variant: VariantOutcome) -> tuple[str, ...]:
    updates = sorted({run.number("updates") for run in variant.runs})
    span = " to ".join(plain_number(value) for value in (*updates[:1], *updates[1:][-1:]))
    return variant.name, estimate(variant.steps_per_s), estimate(variant.wall_s), span or _NONE


def estimate(what: Estimate, form: str = "") -> str:
    """Write a number with its interval, such as ``187.3 (152 to 199.1)``."""
    if math.isnan(what.value):
        return _NONE
    low, high = what.interval
    if math.isnan(low) or math.isinf(low):
        return _written(what.value, form)
    return f"{_written(what.value, form)} ({_interval(Interval(low, high), form)})"


def _interval(interval: Interval, form: str) -> str:
    return f"{_written(interval.low, form)} to {_written(interval.high, form)}"


def _written(value: float, form: str) -> str:
    if math.isinf(value):
        return "not reached"
    return form.format(value) if form else plain_number(value)


def differences(plan: StudyPlan) -> list[str]:
    """Give the values in which the variants differ, as a table."""
    configs = {variant.name: flatten(variant.config) for variant in plan.variants}
    keys = dict.fromkeys(key for values in configs.values() for key in values)
    differing = [
        key for key in keys if len({show_value(values.get(key)) for values in configs.values()}) > 1
    ]
    if not differing:
        return ["There is one variant alone."]
    rows = [
        (f"`{key}`", *(_shown(values.get(key)) for values in configs.values())) for key in differing
    ]
    return table_lines(("key", *configs), rows)


def _shown(value: Any) -> str:
    text = (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
    return text.replace("|", "\\|").replace("\n", " ")


def score_lines(outcome: StudyOutcome) -> list[str]:
    """Give a line for each variant with finished runs, for a terminal."""
    variants = [variant for variant in outcome.variants if variant.runs]
    width = max((len(variant.name) for variant in variants), default=0)
    goal = outcome.plan.threshold
    reached = "" if goal is None else f", {plain_number(goal)} reached by {{}} of {{}}"
    return [
        f"{variant.name:<{width}}  final return {estimate(variant.final)}"
        + reached.format(variant.reached, len(variant.runs))
        for variant in variants
    ]
