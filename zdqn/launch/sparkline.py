"""A curve in one line of text, and a bar of progress."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zdqn.launch.lines import Glyphs


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
    known = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    values = [y for _, y in known] if len(known) <= width else _means(known, width)
    if not values:
        return ""
    low, high = min(values), max(values)
    if high - low <= 0 or not math.isfinite(high - low):
        return levels[len(levels) // 2 - 1] * len(values)
    top = len(levels) - 1
    return "".join(levels[round((value - low) / (high - low) * top)] for value in values)


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
