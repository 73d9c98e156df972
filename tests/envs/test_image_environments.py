"""The optional image environments, as the configurations for them make them."""

from pathlib import Path

import numpy as np
import pytest

from zdqn.config import load_config
from zdqn.envs import reset_environments
from zdqn.roles.building import build_environments

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def make():
    made = []

    def make_two(name):
        config = load_config(CONFIGS / f"{name}.toml")
        environments, spec = build_environments(config, None, count=2, vectorization="sync")
        made.append(environments)
        return environments, spec

    yield make_two
    for environments in made:
        environments.close()


@pytest.mark.parametrize(
    ("name", "shape", "num_actions"),
    [("minatar-breakout", (10, 10, 4), 3), ("minatar-space-invaders", (10, 10, 6), 4)],
)
def test_minatar_gives_cells_that_are_on_or_off(name, shape, num_actions, make):
    pytest.importorskip("minatar")
    environments, spec = make(name)
    assert (spec.observation_shape, spec.observation_dtype) == (shape, "bool")
    assert (spec.num_actions, spec.frame_stack) == (num_actions, 1)
    frames, _ = reset_environments(environments, 0)
    assert frames.dtype == bool
    assert frames.any()
    frames, *_ = environments.step(np.ones(2, np.int64))
    assert frames.shape == (2, *shape)


def test_pong_is_preprocessed_as_in_the_papers(make, capfd):
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    environments, spec = make("atari-pong")
    assert (spec.observation_shape, spec.observation_dtype) == ((84, 84), "uint8")
    assert (spec.num_actions, spec.frame_stack) == (6, 4)
    game = environments.envs[0].unwrapped
    assert game._frameskip == 1
    assert game.ale.getFloat("repeat_action_probability") == pytest.approx(0.25)
    first = reset_environments(environments, 0)[0].copy()
    start = game.ale.getEpisodeFrameNumber()
    for _ in range(20):
        environments.step(np.full(2, 2))
    assert game.ale.getEpisodeFrameNumber() == start + 4 * 20
    moved, *_ = environments.step(np.full(2, 2))
    assert (moved != first).any()
    assert capfd.readouterr().err == ""
