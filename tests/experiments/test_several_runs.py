"""Several runs in one picture: which are drawn together, and what lies under them."""

from typing import Any

import pytest

from tests.experiments.made_runs import make_run
from zdqn.config import Config
from zdqn.errors import ConfigError, FileError, UsageError
from zdqn.experiments import several_runs
from zdqn.experiments.several_runs import group_runs, plot_runs
from zdqn.records.run_result import RunResult

pytest.importorskip("matplotlib")

DOUBLE = Config().replace("algorithm.double", True)


@pytest.fixture
def drawn(monkeypatch):
    """What the last picture showed: bands, and the axes' labels."""
    seen: dict[str, Any] = {}

    def draw(axes, bands, *, goal):
        seen.update(bands=bands, goal=goal, axes=axes)

    monkeypatch.setattr(several_runs, "draw_bands", draw)
    return seen


@pytest.fixture
def runs(tmp_path):
    return [
        make_run(tmp_path / "one" / "run", [0, 10, 20]),
        make_run(tmp_path / "two" / "run", [0, 20, 40]),
        make_run(tmp_path / "three" / "run", [0, 1, 2], config=DOUBLE),
    ]


def test_each_run_is_drawn_and_named_by_what_tells_it_apart(runs, tmp_path, drawn):
    plot_runs(runs, tmp_path / "p.png")
    assert list(drawn["bands"]) == ["one/run", "two/run", "three/run"]
    assert drawn["bands"]["two/run"].middle.tolist() == [0, 20, 40]
    assert drawn["axes"].get_xlabel() == "environment steps"
    assert drawn["axes"].get_ylabel() == "return of evaluations"


def test_runs_with_one_value_of_a_key_are_drawn_together(runs, tmp_path, drawn):
    plot_runs(runs, tmp_path / "p.png", by="algorithm.double")
    bands = drawn["bands"]
    assert list(bands) == ["algorithm.double = false (2 runs)", "algorithm.double = true (1 run)"]
    assert bands["algorithm.double = false (2 runs)"].middle[-1] == 30


def test_a_value_that_is_absent_is_a_value_too(runs):
    groups = group_runs([RunResult.open(run) for run in runs], "stop.evaluation_return")
    assert list(groups) == ["stop.evaluation_return = none (3 runs)"]


def test_smoothing_and_the_axis_count(runs, tmp_path, drawn):
    plot_runs(runs[:1], tmp_path / "p.png", smooth=3, axis="time")
    (band,) = drawn["bands"].values()
    assert band.middle.tolist() == [5, 10, 15]
    assert band.x.tolist() == [1, 2, 3]
    assert drawn["axes"].get_xlabel() == "wall time, s"
    plot_runs(runs[:1], tmp_path / "p.png", axis="episodes")
    assert next(iter(drawn["bands"].values())).x.tolist() == [5, 10, 15]


def test_where_one_has_no_evaluations_exploring_is_drawn_of_all(runs, tmp_path, drawn):
    make_run(runs[0], [], exploring=[3.0, 4.0])
    make_run(runs[1], [100, 100], exploring=[5.0, 6.0])
    plot_runs(runs[:2], tmp_path / "p.png")
    assert [band.middle.tolist() for band in drawn["bands"].values()] == [[3, 4], [5, 6]]
    assert drawn["axes"].get_ylabel() == "return while exploring"


def test_a_goal_that_all_have_is_drawn(tmp_path, drawn):
    goal = Config().replace("stop.evaluation_return", 5.0)
    runs = [make_run(tmp_path / name, [1, 2], config=goal) for name in "ab"]
    plot_runs(runs, tmp_path / "p.png")
    assert drawn["goal"] == 5
    make_run(runs[0], [1, 2])
    plot_runs(runs, tmp_path / "p.png")
    assert drawn["goal"] is None


def test_a_picture_comes_out(runs, tmp_path):
    read: list[int] = []
    path = plot_runs(runs, tmp_path / "new" / "p.svg", by="run.seed", on_run=read.append)
    assert "<svg" in path.read_text()
    assert read == list(range(1, len(runs) + 1))


def test_what_is_refused(runs, tmp_path):
    with pytest.raises(UsageError, match="named twice"):
        plot_runs([runs[0], runs[0].parent / "." / "run"], tmp_path / "p.png")
    with pytest.raises(ConfigError, match='Did you mean "double"'):
        plot_runs(runs, tmp_path / "p.png", by="algorithm.doubel")
    with pytest.raises(ConfigError, match='--by "double"'):
        plot_runs(runs, tmp_path / "p.png", by="double")
    with pytest.raises(FileError, match="holds no run"):
        plot_runs([tmp_path / "nowhere"], tmp_path / "p.png")
    with pytest.raises(FileError, match="nothing to draw"):
        plot_runs([make_run(tmp_path / "empty")], tmp_path / "p.png")
