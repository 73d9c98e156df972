"""Two runs side by side: in what they were configured differently, and what came of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zdqn.config import flatten
from zdqn.experiments.plain_numbers import plain_number
from zdqn.experiments.run_statistics import UNKNOWN, Interval
from zdqn.experiments.summary_words import SUMMARY_NAMES
from zdqn.records.run_result import RunResult

_NORMAL_95 = 1.96
_NONE = "-"

_COMPARED = (
    "stop_reason", "environment_steps", "updates", "episodes", "wall_s", "environment_steps_per_s",
    "updates_per_s", "best_evaluation_return", "best_rescored_return", "samples_per_insert",
    "staleness_mean", "blocks_lost", "verdict",
)  # fmt: skip
"""Keys of a summary that are shown."""


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side; each row is what it is about, and what each run has.

    Attributes:
        names: of the runs.
        configuration: values in which they differ.
        results: what came of each.
        note: what the intervals say, and what they do not.
        values: the same as plain values, for programs: what it is about, to what each run has.
    """

    names: tuple[str, str]
    configuration: list[tuple[str, str, str]]
    results: list[tuple[str, str, str]]
    note: str
    values: dict[str, dict[str, list[Any]]]


def compare_runs(one: str | Path, other: str | Path) -> Comparison:
    """Compare two runs, which may go on.

    Args:
        one: folder of a run.
        other: likewise.

    Raises:
        FileError: when there is no run, or its files cannot be read.
    """
    runs = RunResult.open(one), RunResult.open(other)
    ours, theirs = (flatten(run.config()) for run in runs)
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    scores = [_final_score(run) for run in runs]
    results = [
        (SUMMARY_NAMES[key], _shown(runs[0].summary.get(key)), _shown(runs[1].summary.get(key)))
        for key in _COMPARED
        if any(run.summary.get(key) not in (None, "") for run in runs)
    ]
    results.append(("last evaluation", _score(scores[0]), _score(scores[1])))
    difference = _difference(scores[0], scores[1])
    if difference is not None:
        results.append(("  second less first", "", _score(difference)))
    return Comparison(
        names=(str(one), str(other)),
        configuration=[(key, _shown(ours.get(key)), _shown(theirs.get(key))) for key in keys],
        results=results,
        note="In brackets: 95 % for the mean return of this network, from the episodes of its last "
        "evaluation (normal approximation). Another seed gives another network: what a change of "
        "the configuration does takes several of each, as `zdqn study` trains them.",
        values={
            "configuration": {key: [ours.get(key), theirs.get(key)] for key in keys},
            "results": {
                **{key: [run.summary.get(key) for run in runs] for key in _COMPARED},
                "last_evaluation": [_plain(score) for score in scores],
                "second_less_first": [_plain(difference)],
            },
        },
    )


@dataclass(frozen=True)
class Score:
    """The mean of some episodes.

    Attributes:
        mean: their mean return.
        error: standard error of it; NaN for a single episode.
    """

    mean: float
    error: float

    @property
    def interval(self) -> Interval:
        """Where the mean of very many episodes may well be, with 95 %."""
        if math.isnan(self.error):
            return UNKNOWN
        reach = _NORMAL_95 * self.error
        return Interval(self.mean - reach, self.mean + reach)


def score_of(mean: float, deviation: float, episodes: float) -> Score:
    """Give the mean of some episodes and how sure it is.

    Args:
        mean: of their returns.
        deviation: of their returns, that of the population.
        episodes: how many they were.
    """
    if not episodes > 1:
        return Score(mean, math.nan)
    return Score(mean, deviation / math.sqrt(episodes - 1))


def _final_score(run: RunResult) -> Score | None:
    table = run.evaluations()
    if not len(table["mean"]):
        return None
    mean, deviation, episodes = (
        float(table[name][-1]) for name in ("mean", "deviation", "episodes")
    )
    return score_of(mean, deviation, episodes)


def _difference(one: Score | None, other: Score | None) -> Score | None:
    if one is None or other is None:
        return None
    return Score(other.mean - one.mean, math.hypot(one.error, other.error))


def _plain(score: Score | None) -> dict[str, float | None] | None:
    if score is None:
        return None
    named = {"mean": score.mean, "low": score.interval.low, "high": score.interval.high}
    return {name: None if math.isnan(value) else value for name, value in named.items()}


def _score(score: Score | None) -> str:
    if score is None:
        return _NONE
    low, high = score.interval
    if math.isnan(low):
        return plain_number(score.mean)
    return f"{plain_number(score.mean)} ({plain_number(low)} to {plain_number(high)})"


def _shown(value: Any) -> str:
    if value is None:
        return _NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return plain_number(value)
    if isinstance(value, Mapping | list | tuple):
        return str(value)
    return str(value) or '""'
