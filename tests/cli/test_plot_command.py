"""`zdqn plot`: a folder into a picture, or one paragraph."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from zdqn.cli.application import application


def test_the_picture_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("zdqn.experiments.plots.plot", lambda run: Path(run) / "drawn.png")
    result = CliRunner().invoke(application, ["plot", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'drawn.png'}\n")


def test_a_folder_without_a_run(tmp_path):
    result = CliRunner().invoke(application, ["plot", str(tmp_path)])
    assert result.exit_code == 74
    assert "holds no run" in result.stderr


@pytest.fixture
def drawn(monkeypatch):
    calls = []

    def stand_in(runs, picture, *, on_run, **given):
        on_run(len(runs))
        calls.append((runs, picture, given))
        return picture

    monkeypatch.setattr("zdqn.experiments.several_runs.plot_runs", stand_in)
    return calls


def test_several_runs_are_one_picture(drawn):
    result = CliRunner().invoke(application, ["plot", "a", "b"])
    assert (result.exit_code, result.stdout) == (0, "runs.png\n")
    ((runs, picture, given),) = drawn
    assert (runs, picture) == ((Path("a"), Path("b")), Path("runs.png"))
    assert given == {"by": None, "smooth": 1, "axis": "steps"}


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("--by", "run.seed"), {"by": "run.seed"}),
        (("--smooth", "5"), {"smooth": 5}),
        (("--smooth", "1"), {"smooth": 1}),
        (("--x", "time"), {"axis": "time"}),
        (("--x", "episodes"), {"axis": "episodes"}),
    ],
)
def test_an_option_draws_one_run_in_this_way_too(drawn, words, given):
    CliRunner().invoke(application, ["plot", "a", *words])
    ((_, _, all_given),) = drawn
    assert all_given == {"by": None, "smooth": 1, "axis": "steps", **given}


def test_the_picture_may_go_elsewhere(drawn):
    assert CliRunner().invoke(application, ["plot", "a", "--out", "b.svg"]).stdout == "b.svg\n"
    assert drawn[0][1] == Path("b.svg")


def test_one_run_at_least():
    assert CliRunner().invoke(application, ["plot"]).exit_code == 2
