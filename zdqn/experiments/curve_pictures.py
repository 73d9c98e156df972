"""Draws what several runs have in common: curves with bands, scores with intervals."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zdqn.errors import FileError, UsageError
from zdqn.experiments.plain_numbers import make_ticks_plain, plain_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from zdqn.experiments.return_curves import Band

# Okabe and Ito 2008: colours that are told apart with every kind of colour vision.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d1f"
)  # fmt: skip
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.3)), (0, (6, 2, 1, 2)))
_WIDTH_INCHES = 8.0
_DOTS_PER_INCH = 120


def style_of(index: int) -> dict[str, Any]:
    """Give colour and dashes of the nth of several; no two of the first 32 have both the same."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[(index // len(COLOURS) + index) % len(DASHES)],
    }


def new_figure(height_inches: float, title: str) -> Figure:
    """Make an empty figure with a title."""
    from matplotlib.figure import Figure  # not pyplot, which has a state that others share

    size = (_WIDTH_INCHES, height_inches)
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, layout="constrained")
    figure.suptitle(title, fontsize=10, x=0.012, ha="left", parse_math=False)
    return figure


def draw_bands(axes: Axes, bands: Mapping[str, Band | None], *, goal: float | None) -> None:
    """Draw the curve of each kind of run, with its band behind it.

    Args:
        axes: to draw on.
        bands: name to band; None keeps its colour and draws nothing.
        goal: a return to draw a line at; None for none.
    """
    for index, (name, band) in enumerate(bands.items()):
        if band is None:
            continue
        style = style_of(index)
        if band.runs > 1:
            axes.fill_between(
                band.x, band.low, band.high, color=style["color"], alpha=0.16, linewidth=0
            )
        marker: dict[str, Any] = {"marker": "o", "markersize": 4} if len(band.x) == 1 else {}
        axes.plot(band.x, band.middle, linewidth=1.7, label=name, **style, **marker)
    if goal is not None:
        axes.axhline(goal, color="#3a3f44", linewidth=0.9, linestyle=(0, (1, 2)))
        axes.annotate(
            plain_number(goal), (1, goal), xycoords=("axes fraction", "data"),
            textcoords="offset points", xytext=(3, 0), va="center", fontsize=8,
        )  # fmt: skip
    axes.margins(x=0.01)
    finish_axes(axes)


def draw_intervals(
    axes: Axes,
    rows: Sequence[tuple[str, float, float, float, Sequence[float]]],
    *,
    mark: float | None = None,
) -> None:
    """Draw figures with their intervals, one below the other, and what they are made of.

    Args:
        axes: to draw on.
        rows: name, figure, lower and upper end (NaN where unknown), and values of single runs.
        mark: where to draw an upright line; None for none.
    """
    for index, (_, figure, low, high, values) in enumerate(rows):
        colour = style_of(index)["color"]
        axes.plot(
            list(values), [index + 0.22] * len(values), "o", color=colour, alpha=0.45, markersize=4
        )
        # its ends are not drawn further than it reaches
        bar: dict[str, Any] = {"linewidth": 7, "alpha": 0.35, "solid_capstyle": "butt"}
        axes.plot([low, high], [index] * 2, color=colour, zorder=2, **bar)
        axes.plot([figure], [index], "|", color=colour, markersize=15, markeredgewidth=2.5)
    if mark is not None:
        axes.axvline(mark, color="#3a3f44", linewidth=0.9, linestyle=(0, (1, 2)))
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    finish_axes(axes)


def finish_axes(axes: Axes) -> None:
    """Write plain numbers, and leave out what only takes room."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5))  # so that numbers do not meet
    make_ticks_plain(axes.xaxis)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def add_legend(figure: Figure, axes: Axes) -> None:
    """Put one legend below all panels."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    legend = figure.legend(
        handles, labels, loc="outside lower left", ncols=3, frameon=False, fontsize=8.5,
        handlelength=3,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)  # names of folders are no formulas


def check_can_draw() -> None:
    """Refuse to draw where there is nothing to draw with.

    Raises:
        UsageError: when matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError('Drawing needs matplotlib: pip install "zdqn[plot]".')


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a picture, whose format is the ending of its name.

    Raises:
        FileError: when it cannot be written.
        UsageError: for an ending that stands for no format.
    """
    with warnings.catch_warnings():
        # Of a name in letters that the font lacks; there are boxes in their place.
        warnings.filterwarnings("ignore", message="Glyph")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path)
        except OSError as error:
            raise FileError(f"Cannot write {path}: {error.strerror}.") from error
        except ValueError as error:  # of matplotlib
            raise UsageError(
                f"{path} has an ending that stands for no kind of picture: give .png, .svg or .pdf."
            ) from error
    return path
