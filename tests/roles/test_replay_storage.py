"""Where a replay is kept."""

import numpy as np
import pytest

from tests.roles.conftest import quick_config
from tests.roles.kept_memories import (
    SETTINGS,
    fill,
    keeper,
    start,
)
from zdqn.errors import ConfigError
from zdqn.roles.memory import Memory
from zdqn.roles.replay_storage import hold_replay

__all__ = ["keeper", "start"]


def test_without_a_folder_it_says_what_to_give():
    with pytest.raises(ConfigError, match=r"--run-dir\), or set replay\.path"):
        Memory(quick_config(*SETTINGS), bind="tcp://127.0.0.1:0")


def test_a_period_of_0_makes_no_snapshot(keeper, tmp_path):
    memory = keeper("replay.storage=ram", "replay.snapshot_period_s=0")
    fill(memory)
    memory.stop()
    assert not (tmp_path / "replay").exists()


def test_one_process_has_its_replay_where_memories_have_it_and_anew_at_each_start(tmp_path):
    with hold_replay(quick_config(), tmp_path) as in_ram:
        assert in_ram.available()[1] == "memory"
    assert not list(tmp_path.iterdir())
    config = quick_config("replay.storage=disk")
    for _ in range(2):
        with hold_replay(config, tmp_path) as on_disk:
            assert on_disk.available()[1] == f"the disk of {tmp_path / 'replay'}"
            array = on_disk.allocate("rewards", (3,), np.dtype("float32"))
            assert array.tolist() == [0, 0, 0]
            array[:] = 7
