"""Draws a learning curve: returns above, loss and exploration below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zdqn.experiments.plain_numbers import make_ticks_plain, plain_number

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from zdqn.experiments.learning_curve import Best, LearningCurve

    Column = NDArray[np.float64]

_EVALUATION_COLOUR = "#0b5fa5"
_COLLECTOR_COLOUR = "#9aa3ab"
_LOSS_COLOUR = "#b3471d"
_EPSILON_COLOUR = "#4c8c4a"
_GOAL_COLOUR = "#3a3f44"
_BEST_COLOUR = "#e0a100"
_WIDTH_INCHES = 8.0
_HEIGHT_INCHES = {1: 4.2, 2: 6.5}
_DOTS_PER_INCH = 120

MOST_POINTS = 50
"""So many evaluations are drawn as they are, with a point each; of more a moving mean too."""
_MOST_ROWS = 300
_FAR_GOAL = 100.0
"""A goal that is so many times further away than anything seen would make a flat line of it."""
_LOG_RATIO = 20.0


def draw_figure(curve: LearningCurve) -> Figure:
    """Draw a curve that is not empty; a panel without anything to show is left out."""
    from matplotlib.figure import Figure  # not pyplot, which has a state that others share

    returns = len(curve.points("episode_return_mean")[0]) or len(curve.scores()["mean"])
    learning = len(curve.points("loss")[0]) or len(curve.points("epsilon")[0]) > 1
    drawn = [draw for draw, is_there in ((_draw_returns, returns), (_draw_learning, learning))
             if is_there]  # fmt: skip
    size = _WIDTH_INCHES, _HEIGHT_INCHES[len(drawn)]
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, layout="constrained")
    # Names of folders and environments are no formulas.
    figure.suptitle(curve.title(), fontsize=10, x=0.012, ha="left", parse_math=False)
    ratios = (3, 2)[: len(drawn)]
    panels = figure.subplots(len(drawn), 1, sharex=True, height_ratios=ratios, squeeze=False)
    for draw, axes in zip(drawn, panels[:, 0], strict=True):
        draw(axes, curve)
    axes.set_xlabel("environment steps")
    _show_steps(axes, curve)
    return figure


def smooth(values: Column, window: int) -> Column:
    """Give the moving mean: of `window` values around each, fewer at the ends.

    Args:
        values: shape (n,), finite.
        window: odd, >= 1, <= n.

    Returns:
        Shape (n,).
    """
    import numpy as np

    ones = np.ones(window)
    # No difference of sums: a huge value would leave nothing of the small ones behind it.
    return np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same")


# --- returns --------------------------------------------------------------------------------------


def _draw_returns(axes: Axes, curve: LearningCurve) -> None:
    import numpy as np

    steps, returns = curve.points("episode_return_mean")
    _draw_rows(axes, steps, returns, _COLLECTOR_COLOUR, "while exploring")
    scores = curve.scores()
    seen = [returns, scores["mean"], scores["low"], scores["high"]]
    if len(scores["mean"]):
        _draw_evaluations(axes, scores)
    if curve.best is not None:
        _draw_best(axes, curve.best)
        seen.append(np.array([curve.best.mean, curve.best.rescored], dtype=np.float64))
    known = np.concatenate(seen)
    known = known[np.isfinite(known)]
    low, high = float(known.min()), float(known.max())
    if curve.goal is not None:
        goal, label = curve.goal, f"goal: {plain_number(curve.goal)}"
        furthest = _FAR_GOAL * max(high - low, abs(low), abs(high), 1.0)
        if low - furthest <= goal <= high + furthest:
            low, high = min(low, goal), max(high, goal)
        else:
            label += " (far off)"
        axes.axhline(goal, color=_GOAL_COLOUR, linewidth=1, linestyle=(0, (5, 3)), label=label)
    room = 0.05 * (high - low) or max(1.0, 0.1 * abs(high))
    axes.set_ylim(low - room, high + room)
    axes.set_ylabel("return of an episode")
    _finish(axes, axes.get_legend_handles_labels()[0])


def _draw_evaluations(axes: Axes, scores: dict[str, Column]) -> None:
    """Draw each evaluation, or of many their moving mean with each thinly behind it."""
    steps, mean, low, high = (scores[k] for k in ("environment_steps", "mean", "low", "high"))
    label = "evaluation"
    style: dict[str, Any] = {"marker": "o", "markersize": 3.5}
    if len(mean) > MOST_POINTS:
        axes.plot(
            steps, mean, color=_EVALUATION_COLOUR, alpha=0.35, linewidth=0.6, label="evaluation"
        )
        window = max(5, len(mean) // 20) | 1
        # Each bound is inside what was seen, and so is their mean.
        mean, low, high = (smooth(column, window) for column in (mean, low, high))
        label, style = f"mean of {window} evaluations", {}
    band: dict[str, Any] = {"color": _EVALUATION_COLOUR, "alpha": 0.18, "label": "± one deviation"}
    if len(mean) == 1:  # of which a band has no width
        axes.vlines(steps, low, high, linewidth=6, **band)
    elif (high > low).any():
        axes.fill_between(steps, low, high, linewidth=0, **band)
    axes.plot(steps, mean, color=_EVALUATION_COLOUR, linewidth=1.8, label=label, **style)


def _draw_best(axes: Axes, best: Best) -> None:
    """Mark where the best network is from, its score, and the one that is not lucky."""
    where = f"at {best.environment_steps:,.0f}"
    style: dict[str, Any] = {"color": _BEST_COLOUR, "linestyle": "", "zorder": 5}
    axes.plot(
        [best.environment_steps],
        [best.mean],
        marker="*",
        markersize=10,
        markeredgecolor="black",
        markeredgewidth=0.6,
        label=f"{best.label}: {plain_number(best.mean)} {where}",
        **style,
    )
    if best.rescored is not None:
        axes.plot(
            [best.environment_steps],
            [best.rescored],
            marker="D",
            markersize=9,
            markerfacecolor="none",  # both can be seen where they are one above the other
            markeredgecolor="black",
            label=f"scored again: {plain_number(best.rescored)}",
            **style,
        )


# --- loss and exploration -------------------------------------------------------------------------


def _draw_learning(axes: Axes, curve: LearningCurve) -> None:
    steps, loss = curve.points("loss")
    epsilon_steps, epsilon = curve.points("epsilon")
    epsilon_axes = axes
    handles = []
    if len(loss):
        _draw_rows(axes, steps, loss, _LOSS_COLOUR, "loss")
        if loss.min() > 0 and loss.max() >= _LOG_RATIO * loss.min():
            axes.set_yscale("log")
        axes.set_ylabel("loss")
        handles = axes.get_legend_handles_labels()[0]
        if len(epsilon):
            epsilon_axes = axes.twinx()
            epsilon_axes.spines["top"].set_visible(False)
    if len(epsilon):
        label = "epsilon" if epsilon_axes is axes else "epsilon (right)"
        style: dict[str, Any] = {"linewidth": 1.2, "marker": _marker(epsilon), "markersize": 4}
        epsilon_axes.plot(epsilon_steps, epsilon, color=_EPSILON_COLOUR, label=label, **style)
        epsilon_axes.set_ylim(-0.02, 1.02)
        epsilon_axes.set_ylabel("epsilon")
        handles = [*handles, epsilon_axes.get_lines()[-1]]
    _finish(axes, handles)


# --- both -----------------------------------------------------------------------------------------


def _draw_rows(axes: Axes, steps: Column, values: Column, colour: str, label: str) -> None:
    """Draw a metric; of many rows a moving mean, with each thinly behind it."""
    if not len(values):
        return
    if len(values) > _MOST_ROWS:
        axes.plot(steps, values, color=colour, alpha=0.3, linewidth=0.5)
        values = smooth(values, max(5, len(values) // 100) | 1)
    marker = _marker(values)
    axes.plot(steps, values, color=colour, linewidth=1.2, label=label, marker=marker, markersize=4)


def _marker(values: Column) -> str:
    """Give how to mark a point: a single one is no line, and would not be seen."""
    return "o" if len(values) == 1 else ""


def _show_steps(axes: Axes, curve: LearningCurve) -> None:
    """Show all steps of the run, from 0 where that is not far away."""
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    columns = curve.metrics["environment_steps"], curve.evaluations["environment_steps"]
    steps = np.concatenate(columns)
    steps = steps[np.isfinite(steps)]
    first, last = float(steps.min()), float(steps.max())
    first = 0.0 if first <= last / 2 else first
    last = max(last, first + 1)
    axes.set_xlim(first - 0.01 * (last - first), last + 0.02 * (last - first))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    make_ticks_plain(axes.xaxis)


def _finish(axes: Axes, handles: list[Any]) -> None:
    """Write plain numbers, and put the legend above the panel, off the data."""
    make_ticks_plain(axes.yaxis)
    axes.grid(alpha=0.25)
    axes.spines["top"].set_visible(False)
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
        ncols=3,
        columnspacing=1.5,
        frameon=False,
        fontsize=8.5,
    )
