"""`zdqn plot`: a folder into a picture, or one paragraph."""

from pathlib import Path

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
