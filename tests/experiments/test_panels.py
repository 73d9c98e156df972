"""What is in a picture, asked of matplotlib's objects."""

from typing import Any

import numpy as np
import pytest

from zdqn.config import Config
from zdqn.config.loading import from_dict
from zdqn.experiments.learning_curve import Best, LearningCurve
from zdqn.experiments.panels import draw_figure, smooth

pytest.importorskip("matplotlib")


def curve(*, rows=20, evaluations=9, loss=0.1, mean=None, explored=True, goal=None, **options):
    steps = np.arange(rows) * 1000.0
    unknown = np.full(rows, np.nan)
    at = np.linspace(0, 1000.0 * max(rows - 1, 1), evaluations)
    mean = np.linspace(10, 400, evaluations) if mean is None else np.full(evaluations, mean)
    columns = {"environment_steps": at, "mean": mean, "deviation": np.full(evaluations, 30.0),
               "minimum": mean - 20, "maximum": mean + 10}  # fmt: skip
    config: Config | None = None
    if goal is not None:
        config = from_dict(
            {"environment": {"id": "A$_{b^-v1"}, "stop": {"evaluation_return": goal}}
        )
    metrics = {
        "environment_steps": steps, "wall_s": steps / 1000, "epsilon": np.linspace(1, 0, rows),
        "loss": unknown if loss is None else np.broadcast_to(loss, rows),
        "episode_return_mean": steps / 100 if explored else unknown,
        "best_evaluation_return": unknown,
    }  # fmt: skip
    return LearningCurve(metrics, columns, config=config, **options)


def drawn(made) -> list[Any]:
    """Draw it, and give its axes."""
    figure = draw_figure(made)
    figure.draw_without_rendering()
    return figure.axes


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def line(axes, label):
    return next(line for line in axes.get_lines() if line.get_label() == label)


def ticks(axis):
    low, high = sorted(axis.get_view_interval())
    return [text.get_text() for place, text in zip(axis.get_majorticklocs(),
            axis.get_ticklabels(), strict=True) if low <= place <= high]  # fmt: skip


def test_returns_are_above_and_loss_and_exploration_below():
    above, below, right = drawn(curve())
    assert labels(above) == ["while exploring", "± one deviation", "evaluation"]
    assert labels(below) == ["loss", "epsilon (right)"]
    assert len(line(above, "evaluation").get_xdata()) == 9
    assert line(above, "evaluation").get_marker() == "o"
    assert right.get_ylabel() == "epsilon"
    assert below.get_xlabel() == "environment steps"


def test_legends_are_off_the_data():
    for axes in drawn(curve(goal=475.0))[:2]:
        assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1


def test_names_are_no_formulas():
    figure = draw_figure(curve(goal=1.0, name="$x_{"))
    assert figure.get_suptitle().startswith("A$_{b^-v1, seed 0 | $x_{\n")
    (title,) = figure.texts
    assert not title.get_parse_math()


@pytest.mark.parametrize("many", [False, True])
def test_many_evaluations_are_smoothed(many):
    above = drawn(curve(evaluations=51 if many else 50))[0]
    raw = line(above, "evaluation")
    assert raw.get_marker() == ("None" if many else "o")
    assert ("mean of 5 evaluations" in labels(above)) == many
    if many:
        smoothed = line(above, "mean of 5 evaluations")
        assert smoothed.get_marker() == "None"
        assert raw.get_linewidth() < smoothed.get_linewidth()
        assert len(raw.get_xdata()) == len(smoothed.get_xdata()) == 51


def test_many_rows_are_smoothed_too():
    below = drawn(curve(rows=1000, loss=np.tile([1.0, 2.0], 500)))[1]
    raw, smoothed = below.get_lines()
    assert raw.get_linewidth() < smoothed.get_linewidth()
    assert np.abs(smoothed.get_ydata()[20:-20] - 1.5).max() < 0.1


@pytest.mark.parametrize("evaluations", [20, 500])
def test_the_band_stays_inside_what_was_seen(evaluations):
    (band,) = drawn(curve(evaluations=evaluations, mean=490.0))[0].collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(470)
    assert heights.max() == pytest.approx(500)


def test_a_single_evaluation_shows_its_deviation_and_a_point():
    above = drawn(curve(evaluations=1, mean=50.0))[0]
    assert line(above, "evaluation").get_marker() == "o"
    (band,) = above.collections
    assert band.get_segments()[0][:, 1].tolist() == [30, 60]


def test_without_evaluations_there_is_what_was_explored():
    assert labels(drawn(curve(evaluations=0))[0]) == ["while exploring"]


def test_without_learning_there_is_one_panel():
    (above,) = drawn(curve(rows=1, loss=None))
    assert above.get_ylabel() == "return of an episode"
    assert above.get_xlabel() == "environment steps"


def test_without_a_loss_exploration_has_the_left_axis():
    _, below = drawn(curve(loss=None))
    assert (below.get_ylabel(), labels(below)) == ("epsilon", ["epsilon"])


def test_without_returns_there_is_the_loss():
    below, _ = drawn(curve(evaluations=0, explored=False))
    assert below.get_ylabel() == "loss"


# --- goal and best --------------------------------------------------------------------------------


def test_the_goal_is_a_line_that_can_be_seen():
    above = drawn(curve(goal=4750.0))[0]
    assert "goal: 4,750" in labels(above)
    assert set(line(above, "goal: 4,750").get_ydata()) == {4750.0}
    assert above.get_ylim()[1] > 4750


def test_a_goal_that_cannot_be_reached_does_not_flatten_the_curve():
    above = drawn(curve(goal=1e9))[0]
    assert "goal: 1e+09 (far off)" in labels(above)
    assert above.get_ylim()[1] < 500


def test_the_best_is_marked_with_its_score_and_that_on_fresh_episodes():
    above = drawn(curve(best=Best(8000.0, 350.5, 312.0, "best.pt")))[0]
    star, diamond = line(above, "best.pt: 350.5 at 8,000"), line(above, "scored again: 312")
    assert (star.get_xdata(), star.get_ydata()) == ([8000.0], [350.5])
    assert (diamond.get_xdata(), diamond.get_ydata()) == ([8000.0], [312.0])
    assert labels(above)[-2:] == ["best.pt: 350.5 at 8,000", "scored again: 312"]


# --- axes -----------------------------------------------------------------------------------------


def test_a_loss_over_decades_has_plain_logarithmic_ticks():
    below = drawn(curve(loss=np.geomspace(0.01, 20_000, 20)))[1]
    assert below.get_yscale() == "log"
    assert {"100", "1,000"} <= set(ticks(below.yaxis))
    assert not any("$" in text for text in ticks(below.yaxis))


def test_within_few_decades_there_are_ticks_between_them():
    below = drawn(curve(loss=np.geomspace(0.15, 4.5, 20)))[1]
    assert ticks(below.yaxis) == ["0.2", "0.5", "1", "2", "5"]


@pytest.mark.parametrize("loss", [np.linspace(1, 2, 20), np.linspace(0, 2, 20), 0.0])
def test_a_loss_of_one_size_or_of_nothing_is_linear(loss):
    assert drawn(curve(loss=loss))[1].get_yscale() == "linear"


@pytest.mark.parametrize("value", [0.0, 500.0, -200.0])
def test_constant_returns_are_in_the_middle(value):
    made = curve(mean=value, explored=False)
    made.evaluations["minimum"][:] = made.evaluations["maximum"][:] = value
    above = drawn(made)[0]
    low, high = above.get_ylim()
    assert (low + high) / 2 == pytest.approx(value)
    assert high - low >= 2
    assert "± one deviation" not in labels(above)


@pytest.mark.parametrize("rows", [1, 20])
def test_steps_begin_at_nothing_and_are_whole(rows):
    axis = drawn(curve(rows=rows, evaluations=1))[-1].xaxis
    assert ticks(axis)[0] == "0"
    assert len(ticks(axis)) == len(set(ticks(axis)))


def test_the_steps_of_a_run_that_goes_on_elsewhere_begin_there():
    made = curve()
    made.metrics["environment_steps"] += 1e6
    made.evaluations["environment_steps"] += 1e6
    assert 990_000 < drawn(made)[0].get_xlim()[0] <= 1_000_000


def test_a_moving_mean_is_that_of_its_neighbours():
    values = np.array([1.0, 5.0, 3.0, 1e30, 2.0, 2.0, 2.0])
    expected = [3.0, 3.0, (8 + 1e30) / 3, (5 + 1e30) / 3, (4 + 1e30) / 3, 2.0, 2.0]
    assert smooth(values, 3).tolist() == pytest.approx(expected)
