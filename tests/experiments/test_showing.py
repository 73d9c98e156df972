"""Films of a stored network: named by run, checkpoint and seed; whole, or not there. Windows."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from tests.experiments.masked_checkpoints import save_values
from tests.roles.conftest import Corridor, quick_config
from zdqn.errors import (
    ConfigError,
    EnvironmentFailedError,
    FileError,
    MismatchError,
    UsageError,
)
from zdqn.experiments.scoring import evaluate
from zdqn.experiments.showing import play, show
from zdqn.roles.single import Single


class Filmed(gymnasium.Wrapper):
    """Stands in for gymnasium's RecordVideo: writes when it begins and when it is closed."""

    def __init__(self, env, video_folder, name_prefix="rl-video"):
        super().__init__(env)
        Path(video_folder).mkdir()  # gymnasium warns of one that is there
        self._path = f"{video_folder}/{name_prefix}-episode-0.mp4"

    def _write(self, text):
        with open(self._path, "a") as film:  # noqa: PTH123
            film.write(text)

    def reset(self, **options):
        self._write("begin ")
        return self.env.reset(**options)

    def close(self):
        self._write("end")
        super().close()


class Drawn(Corridor):
    def __init__(self, render_mode=None, fails=False, width=5):
        super().__init__()
        self.render_mode = render_mode
        self._fails = fails
        self.observation_space = gymnasium.spaces.Box(0, 1, (width,), np.float32)

    def step(self, action):
        if self._fails and self.render_mode:
            raise RuntimeError("the renderer broke")
        return super().step(1)


@pytest.fixture
def films(tmp_path, monkeypatch):
    monkeypatch.setattr("gymnasium.wrappers.RecordVideo", Filmed)
    return tmp_path / "a" / "films"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "my run"
    config = quick_config("stop.updates=2", "evaluator.period_updates=1")
    with Single(config, run_directory=folder, environment=Drawn) as single:
        single.run()
    return folder


def record(run, films, file="best.pt", seed=0, environment=Drawn):
    return play(run / file, video=films, seed=seed, environment=environment)[1]


def test_a_film_is_named_by_run_checkpoint_and_seed(run, films):
    assert record(run, films, seed=7) == films / "my-run-best-seed-7.mp4"
    checkpoint = "checkpoints/update-000000002.pt"
    assert record(run, films, checkpoint) == films / "my-run-update-000000002-seed-0.mp4"
    assert {path.name for path in films.iterdir()} == {
        "my-run-best-seed-7.mp4", "my-run-update-000000002-seed-0.mp4",
    }  # fmt: skip
    assert all(path.read_text() == "begin end" for path in films.iterdir()), "each is whole"


def test_an_episode_that_does_not_end_is_filmed_up_to_where_evaluations_cut_it_off(tmp_path, films):
    class Endless(Drawn):
        def step(self, action):
            return Corridor.step(self, 0)  # back to where it begins

    config = quick_config(
        "stop.updates=2", "evaluator.period_updates=1", "environment.max_episode_steps=10_000",
        "evaluator.max_episode_steps=30",
    )  # fmt: skip
    with Single(config, run_directory=tmp_path / "run", environment=Endless) as single:
        single.run()
    filmed = play(tmp_path / "run", video=films, environment=Endless)
    assert (filmed.scores.lengths, filmed.scores.cut) == ((30,), 1)


def test_no_film_replaces_another(run, films):
    films.mkdir(parents=True)
    (films / "my-run-best-seed-0.mp4").write_text("older")
    assert record(run, films).name == "my-run-best-seed-0-2.mp4"
    assert record(run, films).name == "my-run-best-seed-0-3.mp4"
    assert (films / "my-run-best-seed-0.mp4").read_text() == "older"


def broken(render_mode=None):
    return Drawn(render_mode, fails=True)


def other(render_mode=None):
    return Drawn(render_mode, width=6)


@pytest.mark.parametrize(
    ("environment", "error"),
    [(broken, EnvironmentFailedError), (other, MismatchError), (None, ConfigError)],
)
@pytest.mark.parametrize("there", [True, False])
def test_a_film_that_fails_leaves_the_folder_as_it_was(run, films, environment, error, there):
    if there:
        films.mkdir(parents=True)
        (films / "my-run-best-seed-0.mp4").write_text("older")
    with pytest.raises(error):
        record(run, films, environment=environment)
    if there:
        assert [path.name for path in films.iterdir()] == ["my-run-best-seed-0.mp4"]
        assert (films / "my-run-best-seed-0.mp4").read_text() == "older"
    else:
        assert not films.parent.exists()


def test_a_place_that_is_no_folder_is_named(run, films, tmp_path):
    (tmp_path / "a").write_text("a file")
    with pytest.raises(FileError, match="films"):
        record(run, films)


def test_scoring_names_the_function_that_is_missing(run):
    with pytest.raises(ConfigError, match=r"test_showing:Drawn.*zdqn\.evaluate"):
        evaluate(run / "best.pt", episodes=1, seed=0)


def test_a_film_where_not_everything_is_allowed(tmp_path, films):
    filmed = play(save_values(tmp_path / "best.pt"), video=films)
    assert filmed.scores.returns == (-4.0,)
    assert filmed.film.read_text() == "begin end"


# --- in a window ----------------------------------------------------------------------------------


class Windowed(Drawn):
    """Counts what a window would show; gymnasium's own draw in `step` and `reset` themselves."""

    metadata = {"render_modes": ["human"]}  # noqa: RUF012 - as gymnasium's have it
    shown = 0

    def step(self, action):
        type(self).shown += self.render_mode == "human"
        return super().step(action)


@pytest.fixture
def display(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")


def test_episodes_are_shown_and_scored_as_an_evaluation_scores_them(run, display, monkeypatch):
    monkeypatch.setattr(Windowed, "shown", 0)
    ended: list[int] = []
    scores = show(run, episodes=2, seed=4, environment=Windowed, on_episode=ended.append)
    assert ended == sorted(ended)
    assert ended[-1] == 2
    assert scores == evaluate(run, episodes=2, seed=4, environment=Windowed)
    assert Windowed.shown == sum(scores.lengths)


def test_an_environment_without_a_window_is_refused_with_the_way_out(run, display):
    with pytest.raises(ConfigError, match=r'has no render_mode "human".*--video DIR'):
        show(run, environment=Drawn)


def test_a_window_needs_a_display(run, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(UsageError, match="no display here for a window"):
        show(run, environment=Windowed)


@pytest.mark.parametrize("wrong", [{"episodes": 0}, {"seed": -1}])
def test_numbers_for_a_window_that_are_too_small_are_refused(run, display, wrong):
    (name,) = wrong
    with pytest.raises(UsageError, match=f"{name} is {wrong[name]}; it must be"):
        show(run, environment=Windowed, **wrong)
