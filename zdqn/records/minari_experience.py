"""A Minari data set as experience; Minari is loaded here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from zdqn.data import LoggedEpisode
from zdqn.errors import FileError, UsageError


class MinariExperience:
    """A data set of Minari on this machine: nothing is downloaded.

    Args:
        dataset: its name, such as ``D4RL/door/human-v2``, or its folder.

    Raises:
        UsageError: when Minari is not installed, or the data set has no discrete actions, or no
            arrays as observations.
        FileError: when it cannot be read.
    """

    def __init__(self, dataset: str) -> None:
        self.name = dataset
        self._data = _open(dataset)
        actions, observations = self._data.action_space, self._data.observation_space
        if not isinstance(actions, spaces.Discrete):
            raise UsageError(
                f"{dataset} has the action space {actions}, but DQN needs discrete actions. Choose "
                f"another data set, or make an .npz file of it with actions of your own."
            )
        if not isinstance(observations, spaces.Box):
            raise UsageError(
                f"{dataset} has the observation space {observations}, but observations must be "
                f"arrays (gymnasium.spaces.Box). Make an .npz file of it, with those flattened as "
                f"the environment's are."
            )
        self._first_action = int(actions.start)
        self.steps = int(self._data.total_steps)
        self.left_out = 0

    def episodes(self) -> Iterator[LoggedEpisode]:
        """Give its episodes, in order; one at a time is in memory."""
        for episode in self._data.iterate_episodes():
            actions = np.asarray(episode.actions)
            if not len(actions):
                continue
            yield LoggedEpisode(
                observations=np.asarray(episode.observations),
                actions=actions.reshape(len(actions)).astype(np.int64) - self._first_action,
                rewards=np.asarray(episode.rewards, np.float64),
                terminated=bool(episode.terminations[-1]),
            )


def _open(dataset: str) -> Any:
    try:
        import minari
    except ImportError as error:
        raise UsageError(
            f'DATASET is "{dataset}", which is no .npz file, and Minari, which would know it, is '
            f'not installed: pip install "zdqn[minari]".'
        ) from error
    folder = Path(dataset)
    try:
        if folder.is_dir():
            return minari.MinariDataset(folder / "data" if (folder / "data").is_dir() else folder)
        return minari.load_dataset(dataset)
    except Exception as error:
        raise FileError(
            f'Minari cannot open "{dataset}": {error} `minari list local` names what is on this '
            f"machine, and `minari download {dataset}` may fetch it."
        ) from error
