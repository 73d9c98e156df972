"""How several things are drawn in one picture, and what cannot be."""

import numpy as np
import pytest

from zdqn.errors import FileError, UsageError
from zdqn.experiments.curve_pictures import (
    add_legend,
    check_can_draw,
    draw_bands,
    draw_intervals,
    new_figure,
    save_figure,
    style_of,
)
from zdqn.experiments.return_curves import Band

pytest.importorskip("matplotlib")

X = np.array([0.0, 1, 2])
NOWHERE = np.full(3, np.nan)


def test_many_are_told_apart():
    styles = [str(sorted(style_of(index).items())) for index in range(32)]
    assert len(set(styles)) == 32


def test_a_band_is_drawn_behind_several_runs_and_not_behind_one():
    axes = new_figure(3, "t").subplots()
    several = Band(X, X, X - 1, X + 1, runs=3)
    one = Band(X, X * 2, NOWHERE, NOWHERE, runs=1)
    draw_bands(axes, {"several": several, "none": None, "one": one}, goal=1.5)
    assert len(axes.collections) == 1
    lines = axes.get_lines()
    assert [line.get_label() for line in lines[:2]] == ["several", "one"]
    assert lines[1].get_color() == style_of(2)["color"]  # nobody takes another's colour
    assert np.unique(lines[2].get_ydata()).tolist() == [1.5]


def test_intervals_are_drawn_with_what_they_are_made_of():
    axes = new_figure(3, "t").subplots()
    draw_intervals(
        axes, [("a", 2.0, 1.0, 3.0, (1, 2, 3)), ("b", 5.0, np.nan, np.nan, ())], mark=0.5
    )
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    points, bar, figure = axes.get_lines()[:3]
    shown = [np.asarray(line.get_xdata()).tolist() for line in (points, bar, figure)]
    assert shown == [[1, 2, 3], [1, 3], [2]]
    assert np.unique(axes.get_lines()[-1].get_xdata()).tolist() == [0.5]


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
@pytest.mark.parametrize("name", [r"$\frac{x$", "a_b^c", "日本"])
def test_names_are_no_formulas(tmp_path, ending, name):
    figure = new_figure(3, name)
    axes = figure.subplots()
    draw_bands(axes, {name: Band(X, X, X, X, runs=2)}, goal=None)
    draw_intervals(axes, [(name, 1.0, 1.0, 1.0, (1,))])
    add_legend(figure, axes)
    assert save_figure(figure, tmp_path / "new" / f"p.{ending}").stat().st_size > 500


def test_nothing_has_no_legend():
    figure = new_figure(3, "t")
    add_legend(figure, figure.subplots())
    assert not figure.legends


def test_what_cannot_be_written_is_said(tmp_path):
    figure = new_figure(3, "t")
    with pytest.raises(UsageError, match=r"\.png, \.svg or \.pdf"):
        save_figure(figure, tmp_path / "p.docx")
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="Cannot write"):
        save_figure(figure, tmp_path / "file" / "p.png")


def test_without_matplotlib_the_way_to_get_it_is_said(monkeypatch):
    check_can_draw()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"zdqn\[plot\]"):
        check_can_draw()
