"""A line chart as SVG, for a page that loads nothing: colours come from the page's own style."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zdqn.experiments.plain_numbers import plain_tick

Column = NDArray[np.float64]

WIDTH, HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 34, 12, 46
_MOST_POINTS = 500
_TICKS = 6


@dataclass(frozen=True)
class ChartLine:
    """A line of a chart.

    Attributes:
        name: in the legend.
        x: shape (n,); points where x or y is not finite are left out.
        y: shape (n,).
        low: lower edge of a band, shape (n,); None for none.
        high: upper edge, likewise.
    """

    name: str
    x: Column
    y: Column
    low: Column | None = None
    high: Column | None = None


@dataclass(frozen=True)
class _Frame:
    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            _LEFT + across * (WIDTH - _LEFT - _RIGHT),
            HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM),
        )


def line_chart(
    title: str, x_label: str, lines: Sequence[ChartLine], *, goal: float | None = None
) -> str:
    """Draw lines over one axis.

    Lines and bands have the classes ``s0``, ``s1``, ... for the page to give them colours; the rest
    has the page's text colour.

    Args:
        title: above it, and what a screen reader says.
        x_label: below it.
        lines: what is drawn; those without a point are left out.
        goal: where a dashed line is drawn, if that is not far away; None for none.

    Returns:
        A ``<figure>``; "" without a point.
    """
    drawn = [line for line in map(_thinned, lines) if len(line.x)]
    if not drawn:
        return ""
    frame = _frame(drawn, goal)
    parts = [*_axes(frame, x_label)]
    for index, line in enumerate(drawn):
        parts += _drawn(line, frame, index)
    if goal is not None and frame.y[0] <= goal <= frame.y[1]:
        _, height = frame.place(frame.x[0], goal)
        parts.append(
            f'<line class="goal" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{height:.1f}" '
            f'y2="{height:.1f}"/>'
        )
    legend = "".join(
        f'<span class="s{index}">{html.escape(line.name)}</span>'
        for index, line in enumerate(drawn)
    )
    return (
        f"<figure><figcaption>{html.escape(title)}<span class=legend>{legend}</span></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f"{''.join(parts)}</svg></figure>"
    )


def ticks(low: float, high: float, most: int = _TICKS) -> list[float]:
    """Give round numbers between two, at most so many: multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: the lower end.
        high: the upper end, > `low`.
        most: how many, >= 2.
    """
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _thinned(line: ChartLine) -> ChartLine:
    """Leave out what cannot be drawn, and of too many points all but evenly spaced ones."""
    known = np.flatnonzero(np.isfinite(line.x) & np.isfinite(line.y))
    if len(known) > _MOST_POINTS:
        known = known[np.linspace(0, len(known) - 1, _MOST_POINTS).astype(int)]
    band = line.low is not None and line.high is not None
    return ChartLine(
        line.name,
        line.x[known],
        line.y[known],
        np.where(np.isfinite(line.low[known]), line.low[known], line.y[known])
        if band and line.low is not None else None,
        np.where(np.isfinite(line.high[known]), line.high[known], line.y[known])
        if band and line.high is not None else None,
    )  # fmt: skip


def _frame(lines: Sequence[ChartLine], goal: float | None) -> _Frame:
    x = np.concatenate([line.x for line in lines])
    y = np.concatenate(
        [part for line in lines for part in (line.y, line.low, line.high) if part is not None]
    )
    low, high = float(y.min()), float(y.max())
    reach = max(high - low, abs(high), abs(low), 1e-9)
    if goal is not None and low - reach <= goal <= high + reach:
        low, high = min(low, goal), max(high, goal)
    room = 0.05 * (high - low) or max(0.1 * abs(high), 1e-9)
    first, last = float(x.min()), float(x.max())
    if first > 0 and first <= last / 2:
        first = 0.0
    return _Frame((first, last if last > first else first + 1.0), (low - room, high + room))


def _axes(frame: _Frame, x_label: str) -> list[str]:
    parts = []
    (left, right), (low, high) = frame.x, frame.y
    for value in ticks(low, high):
        _, height = frame.place(left, value)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{height:.1f}" '
            f'y2="{height:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{height + 5:.1f}" text-anchor="end">'
            f"{plain_tick(value, high - low)}</text>"
        )
    for value in ticks(left, right):
        across, _ = frame.place(value, low)
        parts.append(
            f'<text x="{across:.1f}" y="{HEIGHT - _BOTTOM + 18}" text-anchor="middle">'
            f"{plain_tick(value, right - left)}</text>"
        )
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle:.1f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{html.escape(x_label)}</text>"
    )
    return parts


def _drawn(line: ChartLine, frame: _Frame, index: int) -> list[str]:
    def path(ys: Column, xs: Column) -> str:
        places = (frame.place(x, y) for x, y in zip(xs.tolist(), ys.tolist(), strict=True))
        return " ".join(f"{across:.1f},{height:.1f}" for across, height in places)

    parts = []
    if line.low is not None and line.high is not None and len(line.x) > 1:
        edge = f"{path(line.high, line.x)} {path(line.low[::-1], line.x[::-1])}"
        parts.append(f'<polygon class="band s{index}" points="{edge}"/>')
    if len(line.x) == 1:
        across, height = frame.place(float(line.x[0]), float(line.y[0]))
        parts.append(f'<circle class="dot s{index}" cx="{across:.1f}" cy="{height:.1f}" r="3"/>')
    else:
        parts.append(f'<polyline class="line s{index}" points="{path(line.y, line.x)}"/>')
    return parts
