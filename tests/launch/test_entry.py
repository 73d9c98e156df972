"""`zdqn.run` and `zdqn.train`: what they hand on, and what they give back."""

from pathlib import Path

import pytest

from zdqn.config import Config, LaunchSection
from zdqn.errors import ConfigError, FileError
from zdqn.launch import entry


class StandIn:
    """Stands in for a run: keeps what it was made with, and ends at once."""

    def __init__(self, *arguments, **keywords):
        self.made = arguments, keywords

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self):
        pass


@pytest.fixture
def made(monkeypatch):
    """What runs were made with."""
    runs: list[StandIn] = []

    def make(*arguments, **keywords):
        runs.append(StandIn(*arguments, **keywords))
        return runs[-1]

    monkeypatch.setattr(entry, "LocalRun", make)
    monkeypatch.setattr("zdqn.roles.single.Single", make)
    return runs


def test_counts_that_are_given_replace_the_configurations(made, tmp_path):
    config = Config(launch=LaunchSection(collectors=5, evaluators=3))
    entry.run(config, collectors=2, run_directory=tmp_path)
    (config, given), _ = made[0].made
    assert (config.launch.collectors, config.launch.evaluators) == (2, 3)
    assert given.run_directory == tmp_path


def test_a_count_is_checked_like_one_of_a_file(made, tmp_path):
    with pytest.raises(ConfigError, match=r"zdqn.run: launch.collectors is 0"):
        entry.run(Config(), collectors=0, run_directory=tmp_path)
    assert not made


def test_a_run_directory_is_made_and_named_after_the_environment(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = entry.train(Config())
    (_, keywords) = made[0].made
    assert keywords["run_directory"].name.endswith("-CartPole-v1")
    assert keywords["run_directory"].parent == Path("runs")
    assert result == {"run_directory": str(keywords["run_directory"])}


def test_what_is_summed_up_is_given_back_with_the_curve(tmp_path, monkeypatch):
    monkeypatch.setattr(entry, "plot_learning_curve", lambda directory: directory / "curve.png")
    (tmp_path / "summary.json").write_text('{"updates": 3}')
    assert entry.finish(tmp_path) == {
        "updates": 3, "run_directory": str(tmp_path), "learning_curve": str(tmp_path / "curve.png"),
    }  # fmt: skip


def test_a_picture_that_cannot_be_written_does_not_spoil_a_run(tmp_path, monkeypatch):
    def refuse(directory: Path) -> None:
        raise FileError("Cannot write learning_curve.png: No space left on device.")

    monkeypatch.setattr(entry, "plot_learning_curve", refuse)
    (tmp_path / "summary.json").write_text('{"updates": 3}')
    assert entry.finish(tmp_path) == {"updates": 3, "run_directory": str(tmp_path)}
