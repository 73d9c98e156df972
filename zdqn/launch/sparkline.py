"""A curve in one line of text or in several, and a bar of progress."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zdqn.launch.lines import Glyphs, Line, Part, text_of, width_of

_LEAST_BAR = 10


def sparkline(points: Sequence[tuple[float, float]], width: int, levels: str) -> str:
    """Draw a curve, its lowest point at the first level and its highest at the last.

    Args:
        points: x and y, x rising; those whose y is not finite are left out.
        width: cells at most, >= 1. Fewer points than cells take a cell each; of more, each cell
            shows the mean of its share of the way from the first x to the last.
        levels: characters from low to high.

    Returns:
        At most `width` characters; "" without points.
    """
    values = _cell_values(points, width)
    if not values:
        return ""
    low, high = min(values), max(values)
    if high - low <= 0 or not math.isfinite(high - low):
        return levels[len(levels) // 2 - 1] * len(values)
    top = len(levels) - 1
    return "".join(levels[round((value - low) / (high - low) * top)] for value in values)


def tall_curve(
    points: Sequence[tuple[float, float]], width: int, rows: int, levels: str
) -> list[str]:
    """Draw a curve as `sparkline` does, with what lies below it, in several lines.

    Args:
        points: as for `sparkline`.
        width: cells of a line, >= 1.
        rows: lines, >= 1.
        levels: characters from low to high, of which the last fills a cell.

    Returns:
        So many lines of at most `width` characters, the highest first.
    """
    values = _cell_values(points, width)
    if not values:
        return [""] * rows
    low, high = min(values), max(values)
    span = high - low
    steps = rows * len(levels)
    if span <= 0 or not math.isfinite(span):
        heights = [steps // 2] * len(values)
    else:  # the lowest is seen too
        heights = [1 + round((value - low) / span * (steps - 1)) for value in values]
    return [
        "".join(_cell(height - row * len(levels), levels) for height in heights)
        for row in reversed(range(rows))
    ]


def _cell(height: int, levels: str) -> str:
    return " " if height <= 0 else levels[min(height, len(levels)) - 1]


def _cell_values(points: Sequence[tuple[float, float]], width: int) -> list[float]:
    """Give a value for each cell, of at most `width`."""
    known = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    return [y for _, y in known] if len(known) <= width else _means(known, width)


def _means(points: Sequence[tuple[float, float]], width: int) -> list[float]:
    """Give the mean of each cell; one that holds no point shows the one before."""
    first, last = points[0][0], points[-1][0]
    span = last - first
    cells: list[list[float]] = [[] for _ in range(width)]
    for number, (x, y) in enumerate(points):
        way = (x - first) / span if span > 0 else number / len(points)
        cells[min(int(way * width), width - 1)].append(y)
    means: list[float] = []
    for cell in cells:
        # each is divided first: the sum of a diverged run's values may be infinite
        means.append(math.fsum(y / len(cell) for y in cell) if cell else means[-1])
    return means


def progress_bar(done: float, width: int, glyphs: Glyphs) -> tuple[str, str]:
    """Draw a bar of exactly `width` cells.

    Args:
        done: share of the way, in [0, 1]; what lies outside counts as the nearer end.
        width: cells, >= 1.
        glyphs: what it is drawn with.

    Returns:
        The part that is done, and the part that is left.
    """
    filled = math.floor(width * min(max(done, 0.0), 1.0))
    return glyphs.done * filled, glyphs.left * (width - filled)


def with_bar(done: float, text: Line, width: int, glyphs: Glyphs) -> Line:
    """Put a bar before a text, as long as there is room for one.

    Args:
        done: as for `progress_bar`.
        text: of at most `width` cells.
        width: cells of the line.
        glyphs: what the bar is drawn with.
    """
    room = width - width_of(text_of(text)) - 2
    if room < _LEAST_BAR:
        return text
    filled, left = progress_bar(done, room, glyphs)
    return (Part(filled, "cyan"), Part(left, "dim"), Part("  "), *text)
