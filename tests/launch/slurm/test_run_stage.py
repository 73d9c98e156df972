"""How far a run is, as its jobs tell each other."""

import stat

import pytest

from zdqn.errors import FileError
from zdqn.launch.slurm.run_stage import RunStage, read_stage, stage_file, write_stage


def test_what_is_written_is_read(tmp_path):
    stage_file(tmp_path).parent.mkdir()
    stage = RunStage("failed", 3, "it broke", "node1", 70)
    write_stage(tmp_path, stage)
    assert read_stage(tmp_path) == stage
    assert stat.S_IMODE(stage_file(tmp_path).stat().st_mode) == 0o600


def test_nothing_is_known_of_a_run_that_has_not_begun(tmp_path):
    assert read_stage(tmp_path) == RunStage("submitted", 0)


@pytest.mark.parametrize(
    ("name", "over"),
    [("submitted", False), ("running", False), ("suspended", False), ("ended", True),
     ("failed", True)],
)  # fmt: skip
def test_which_stages_are_the_last(name, over):
    assert RunStage(name).is_over == over


def test_a_damaged_file_and_one_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(FileError, match="stage"):
        write_stage(tmp_path, RunStage())
    stage_file(tmp_path).parent.mkdir()
    stage_file(tmp_path).write_text('{"name": "lost"}')
    with pytest.raises(FileError, match="stage"):
        read_stage(tmp_path)
