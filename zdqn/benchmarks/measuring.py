"""Timing, medians, ratios, goals: what every benchmark's figures are made of."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zdqn.errors import RoleFailedError

Say = Callable[[str], None]
"""Told in a few words what is being measured."""

_LOOK_S = 0.002
_STILL_S = 60.0


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        repeats: measurements of each figure after one that warms up, >= 1.
        seconds: length of one measurement, > 0.
        quick: measure fewer cases, in small.
    """

    repeats: int = 5
    seconds: float = 2.0
    quick: bool = False


@dataclass(frozen=True)
class Goal:
    """What a figure should reach.

    Attributes:
        limit: in the figure's unit.
        at_most: whether less is better.
    """

    limit: float
    at_most: bool = False

    def met(self, value: float) -> bool:
        """Whether `value` reaches it."""
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {write_number(self.limit)}"


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: dotted, unique among all benchmarks.
        unit: such as ``transitions/s``; "" for a ratio.
        values: one for each repetition.
        bound: what the bare machine did in the same repetitions, in the same unit; or empty.
        goal: for the median, or None.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    bound: tuple[float, ...] = ()
    goal: Goal | None = None

    @property
    def median(self) -> float:
        """The middle of the repetitions."""
        return statistics.median(self.values)

    @property
    def ratio(self) -> float | None:
        """Median of the repetitions' ratios to their bounds; None without a bound."""
        return statistics.median(divide(self.values, self.bound)) if self.bound else None

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the goal; None without one."""
        return None if self.goal is None else self.goal.met(self.median)

    def scaled(self, name: str, unit: str, factor: float) -> Figure:
        """Give the same measurement in another unit, without its goal."""
        values, bound = (tuple(v * factor for v in row) for row in (self.values, self.bound))
        return Figure(name, unit, values, bound)

    def over(self, other: Figure, name: str, goal: Goal | None = None) -> Figure:
        """Give the ratio to another figure, repetition by repetition."""
        return Figure(name, "", divide(self.values, other.values), goal=goal)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, without what it does not have."""
        values: dict[str, Any] = {
            "unit": self.unit,
            "median": self.median,
            "minimum": min(self.values),
            "maximum": max(self.values),
            "values": list(self.values),
        }
        if self.bound:
            values |= {"bound": statistics.median(self.bound), "ratio_to_bound": self.ratio}
        if self.goal is not None:
            values |= {"goal": str(self.goal), "met": self.met}
        return values


@dataclass
class Result:
    """What a benchmark found.

    Attributes:
        figures: in the order in which they should be shown.
        notes: what a reader must know, such as what was left out and why.
    """

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *figures: Figure) -> None:
        """Add figures."""
        self.figures += figures


def divide(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, ...]:
    """Divide pair by pair; what is divided by nothing is infinite, or 0 if it is 0 itself."""
    pairs = zip(numerators, denominators, strict=True)
    return tuple(top / bottom if bottom else math.inf if top else 0.0 for top, bottom in pairs)


def alternate(effort: Effort, *measures: Callable[[], float]) -> list[tuple[float, ...]]:
    """Measure several things in turn, so that a machine that drifts does so for all of them.

    Args:
        effort: its repetitions; one round before them warms up and is forgotten.
        measures: each measures once.

    Returns:
        The values of each measure, one a repetition.
    """
    rounds = [[measure() for measure in measures] for _ in range(effort.repeats + 1)]
    return [tuple(column) for column in zip(*rounds[1:], strict=True)]


def rate_of(work: Callable[[], float], seconds: float) -> float:
    """Do something over and over.

    Args:
        work: does it, and says how much it did.
        seconds: for how long, at least; once in any case.

    Returns:
        How much a second.
    """
    done = 0.0
    started_s = time.perf_counter()
    while True:
        done += work()
        elapsed_s = time.perf_counter() - started_s
        if elapsed_s >= seconds:
            return done / elapsed_s


def rate_of_counter(read: Callable[[], float], seconds: float) -> float:
    """Watch a counter that goes up in jumps, from one jump to another.

    Args:
        read: gives the counter.
        seconds: for how long, at least.

    Returns:
        By how much it rises a second.

    Raises:
        RoleFailedError: when it stands still for a minute.
    """
    first, started_s = _next_jump(read)
    time.sleep(seconds)
    last, ended_s = _next_jump(read)
    return (last - first) / (ended_s - started_s)


def _next_jump(read: Callable[[], float]) -> tuple[float, float]:
    before = read()
    deadline_s = time.perf_counter() + _STILL_S
    while time.perf_counter() < deadline_s:
        now = read()
        if now != before:
            return now, time.perf_counter()
        time.sleep(_LOOK_S)
    raise RoleFailedError(
        f"A counter stood still at {before} for {_STILL_S:g} s: what was measured has stopped."
    )


def write_number(value: float) -> str:
    """Write a number with as many digits as a measurement deserves."""
    if value != value or abs(value) in (math.inf, 0.0):
        return f"{value:g}"
    digits = 2 - math.floor(math.log10(abs(value)))
    if digits > 0:
        return f"{value:.{min(digits, 6)}f}"
    return f"{round(value, max(digits, -3)):,.0f}"


COLUMNS = ("figure", "median", "spread", "unit", "bound", "ratio", "goal", "met")
"""Headings of `figure_cells`."""


def figure_cells(figure: Figure) -> tuple[str, ...]:
    """Give a figure's row in a table, under `COLUMNS`."""
    spread = f"{write_number(min(figure.values))} to {write_number(max(figure.values))}"
    ratio = figure.ratio
    return (
        figure.name,
        write_number(figure.median),
        spread if len(figure.values) > 1 else "",
        figure.unit,
        write_number(statistics.median(figure.bound)) if figure.bound else "",
        f"{ratio:.2f}" if ratio is not None else "",
        str(figure.goal or ""),
        {None: "", True: "yes", False: "no"}[figure.met],
    )


def to_json(results: Mapping[str, Result]) -> str:
    """Write the figures of some benchmarks as one JSON object, by name."""
    figures = {f.name: f.to_dict() for result in results.values() for f in result.figures}
    return json.dumps(figures, indent=2)


def print_result(name: str, result: Result) -> None:
    """Print a benchmark's table, and its notes below, on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS[:1], title=f"zdqn bench {name}", title_justify="left")
    for column in COLUMNS[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    for figure in result.figures:
        style = "red" if figure.met is False else None
        table.add_row(*figure_cells(figure), style=style)
    console = Console()
    if not console.is_terminal:
        console.width = 140
    console.print(table)
    for note in result.notes:
        console.print(note, highlight=False, markup=False)
