"""A Minari data set as experience; without Minari what is missing is said."""

import sys

import gymnasium
import numpy as np
import pytest

from zdqn.errors import FileError, UsageError
from zdqn.records.experience import open_experience


def test_without_minari_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(UsageError, match=r'"some/data-v0", which is no \.npz.*zdqn\[minari\]'):
        open_experience("some/data-v0")


@pytest.fixture
def minari(monkeypatch, tmp_path):
    module = pytest.importorskip("minari", reason="needs the extra minari")
    pytest.importorskip("h5py", reason="needs the extra minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return module


def make(minari, *, actions=None, observations=None, name="tests/small-v0"):
    from minari.data_collector import EpisodeBuffer

    actions = actions or gymnasium.spaces.Discrete(3, start=1)
    observations = observations or gymnasium.spaces.Box(-10, 100, (2,), np.float32)

    def episode(number, length, terminated):
        rng = np.random.default_rng(number)
        end = [False] * (length - 1) + [True]
        return EpisodeBuffer(
            observations=[rng.random(2).astype(np.float32) for _ in range(length + 1)]
            if isinstance(observations, gymnasium.spaces.Box)
            else [0] * (length + 1),
            actions=[1 + step % 3 for step in range(length)]
            if isinstance(actions, gymnasium.spaces.Discrete)
            else [np.zeros(1, np.float32)] * length,
            rewards=[float(step) for step in range(length)],
            terminations=end if terminated else [False] * length,
            truncations=end if not terminated else [False] * length,
        )

    buffers = [episode(0, 3, terminated=True), episode(1, 2, terminated=False)]
    minari.create_dataset_from_buffers(
        name, buffers, action_space=actions, observation_space=observations, data_format="hdf5"
    )
    return buffers


@pytest.mark.filterwarnings("ignore")  # of what a data set says of its author
def test_episodes_are_those_that_were_written_with_actions_from_0(minari, tmp_path):
    buffers = make(minari)
    for name in ("tests/small-v0", str(tmp_path / "minari" / "tests" / "small-v0")):
        experience = open_experience(name)
        assert (experience.steps, experience.left_out) == (5, 0)
        for _ in range(2):
            for found, written in zip(experience.episodes(), buffers, strict=True):
                assert np.array_equal(found.observations, np.stack(written.observations))
                assert found.observations.dtype == np.float32
                assert found.actions.tolist() == [action - 1 for action in written.actions]
                assert found.rewards.tolist() == written.rewards
                assert found.terminated == written.terminations[-1]


@pytest.mark.filterwarnings("ignore")
def test_what_dqn_cannot_learn_from_is_refused(minari):
    make(minari, actions=gymnasium.spaces.Box(0, 1, (1,), np.float32), name="tests/actions-v0")
    with pytest.raises(UsageError, match="DQN needs discrete actions"):
        open_experience("tests/actions-v0")
    make(minari, observations=gymnasium.spaces.Discrete(3), name="tests/observations-v0")
    with pytest.raises(UsageError, match="observations must be arrays"):
        open_experience("tests/observations-v0")


@pytest.mark.filterwarnings("ignore")
def test_a_data_set_that_is_not_there_is_named(minari, tmp_path):
    with pytest.raises(FileError, match=r"tests/none-v0.*minari download"):
        open_experience("tests/none-v0")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="empty"):
        open_experience(str(tmp_path / "empty"))
