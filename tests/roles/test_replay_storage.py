"""Where a replay is kept."""

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

__all__ = ["keeper", "start"]


def test_without_a_folder_it_says_what_to_give():
    with pytest.raises(ConfigError, match=r"--run-dir\), or set replay\.path"):
        Memory(quick_config(*SETTINGS), bind="tcp://127.0.0.1:0")


def test_a_period_of_0_makes_no_snapshot(keeper, tmp_path):
    memory = keeper("replay.storage=ram", "replay.snapshot_period_s=0")
    fill(memory)
    memory.stop()
    assert not (tmp_path / "replay").exists()
