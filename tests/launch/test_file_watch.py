"""A training in one process, by the newest row of its metrics."""

import pytest

from zdqn.config import Config
from zdqn.launch.file_watch import TrainingFiles
from zdqn.records.run_directory import RunDirectory
from zdqn.wire.status import MetricsRow


@pytest.fixture
def directory(tmp_path):
    return RunDirectory(tmp_path / "run")


def test_the_newest_row_is_told_once(directory):
    files = TrainingFiles(directory.path, Config().replace("stop.updates", 500))
    assert files.look() is None
    for updates in (3, 4):
        directory.add_metrics(MetricsRow(wall_s=updates * 2.0, updates=updates, loss=0.5))
    told = files.look()
    assert told is not None
    assert (told.progress.updates, told.progress.loss) == (4, 0.5)
    assert (told.run.phase, told.run.wall_s, told.stop.updates) == ("training", 8.0, 500)
    assert files.look() is None


def test_a_row_that_is_still_being_written_is_waited_for(directory):
    files = TrainingFiles(directory.path, Config())
    directory.add_metrics(MetricsRow(updates=3))
    with directory.metrics.open("a") as file:
        file.write('{"updates": 4')
    told = files.look()
    assert told is not None
    assert told.progress.updates == 3


def test_of_a_long_file_the_end_is_read(directory):
    files = TrainingFiles(directory.path, Config())
    for updates in range(200):
        directory.add_metrics(MetricsRow(updates=updates))
    told = files.look()
    assert told is not None
    assert told.progress.updates == 199


def test_a_damaged_row_is_nothing(directory):
    directory.metrics.write_text('{"updates": "many"}\n')
    assert TrainingFiles(directory.path, Config()).look() is None
