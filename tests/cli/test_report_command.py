"""`zdqn report`: a folder into a page."""

from click.testing import CliRunner

from tests.experiments.made_runs import make_run
from zdqn.cli.application import application


def test_the_page_is_named(tmp_path):
    run = make_run(tmp_path / "run", [1, 2])
    result = CliRunner().invoke(application, ["report", str(run)])
    assert (result.exit_code, result.stdout) == (0, f"{run / 'report.html'}\n")
    other = tmp_path / "page.html"
    CliRunner().invoke(application, ["report", str(run), "--out", str(other)])
    assert other.exists()


def test_a_folder_without_a_run(tmp_path):
    result = CliRunner().invoke(application, ["report", str(tmp_path)])
    assert result.exit_code == 74
    assert "holds no run" in result.stderr
