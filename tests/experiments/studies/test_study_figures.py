"""Pictures of a study come out of whatever its runs have come to."""

import logging

import numpy as np
import pytest

from tests.experiments.studies.made_studies import make_study
from zdqn.experiments.studies.study_figures import (
    curves_figure,
    draw_study_figures,
    scores_figure,
    threshold_figure,
)
from zdqn.experiments.studies.study_outcomes import read_outcome

pytest.importorskip("matplotlib")

WHOLE = {"a": [[1, 10, 20], [2, 20, 22]], "b": [[1, 30, 9], [3, 3, 3]]}


@pytest.fixture
def outcome(tmp_path):
    def make(returns=WHOLE, **given):
        plan, files = make_study(tmp_path / "study", returns, **given)
        return read_outcome(plan, files), files

    return make


def axes_of(figure):
    assert figure is not None
    return figure.axes


def along(line, direction):
    """Give where a line goes: along "x" or "y"."""
    return np.asarray(getattr(line, f"get_{direction}data")()).tolist()


def test_all_pictures_come_out(outcome):
    found, files = outcome(threshold=20.0)
    pictures = draw_study_figures(found, files)
    assert [path.name for path in pictures] == ["curves.png", "scores.png", "threshold.png"]
    for path in pictures:
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_curves_are_drawn_over_steps_and_over_time_with_the_threshold(outcome):
    found, _ = outcome(threshold=20.0)
    steps, time = axes_of(curves_figure(found))
    assert (steps.get_xlabel(), time.get_xlabel()) == ("environment steps", "wall time, s")
    lines = {line.get_label(): line for line in steps.get_lines()}
    assert {"a", "b"} <= lines.keys()
    assert along(lines["a"], "y")[-1] == 21
    assert len(steps.collections) == 2
    assert any(set(along(line, "y")) == {20.0} for line in steps.get_lines())


def test_scores_have_a_panel_for_each_figure(outcome):
    found, _ = outcome()
    labels = [axes.get_xlabel() for axes in axes_of(scores_figure(found))]
    assert labels == ["final return", "P(better than a)", "environment steps/s"]


def test_one_variant_is_not_compared(outcome):
    found, _ = outcome({"a": [[1], [2]]})
    labels = [axes.get_xlabel() for axes in axes_of(scores_figure(found))]
    assert labels == ["final return", "environment steps/s"]


def test_the_share_that_reached_the_threshold_rises_and_ends_with_those_watched_on(outcome):
    found, _ = outcome(threshold=20.0)
    steps, _ = axes_of(threshold_figure(found))
    lines = {line.get_label(): line for line in steps.get_lines()}
    assert along(lines["a"], "x") == [0, 200, 300, 300]
    assert along(lines["a"], "y") == [0, 0.5, 1, 1]
    assert along(lines["b"], "y") == [0, 0.5, 0.5]
    crosses = [line for line in steps.get_lines() if line.get_marker() == "x"]
    assert [along(line, "x") for line in crosses] == [[], [300]]


def test_where_nobody_reached_it_there_is_no_picture_of_it(outcome):
    found, _ = outcome(threshold=500.0)
    assert threshold_figure(found) is None
    found, _ = outcome()
    assert threshold_figure(found) is None


@pytest.mark.parametrize(
    "returns",
    [{"a": [[1, 2]], "b": [[3]]}, {"a": [None], "b": [[1, 2]]}, {"a": [[5]]}, {"a": [[0, 0]] * 2}],
)
def test_few_runs_have_pictures_too(outcome, returns):
    found, files = outcome(returns, threshold=1.0)
    assert "scores.png" in [path.name for path in draw_study_figures(found, files)]


def test_runs_without_evaluations_have_a_picture_of_their_speed(outcome):
    found, _ = outcome({"a": [[], []]})
    assert curves_figure(found) is None
    assert [axes.get_xlabel() for axes in axes_of(scores_figure(found))] == ["environment steps/s"]


def test_without_matplotlib_the_way_to_get_it_is_logged(outcome, monkeypatch, caplog):
    found, files = outcome()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with caplog.at_level(logging.INFO, logger="zdqn"):
        assert draw_study_figures(found, files) == []
    assert 'pip install "zdqn[plot]"' in caplog.text
