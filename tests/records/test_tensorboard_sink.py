"""What TensorBoard is told of a run; the files are read in `tests.records.event_reader`."""

import tomllib

import msgspec
import pytest

from tests.records.event_reader import read_file
from tests.records.told_rows import EVALUATION, ROW, SUMMARY
from zdqn.config import Config, to_dict
from zdqn.errors import FileError
from zdqn.records.run_files import RunFiles
from zdqn.records.sink_names import metrics_by_name, scores_by_name
from zdqn.records.tensorboard_sink import TensorBoardSink


@pytest.fixture
def sink(tmp_path):
    return TensorBoardSink(tmp_path, clock=lambda: 1.5e9)


def test_a_run_is_there_over_its_environment_steps(sink, tmp_path):
    config = Config().replace("algorithm.double", True)
    sink.begin(config)
    sink.add_metrics(ROW)
    sink.add_evaluation(EVALUATION)
    sink.write_summary(SUMMARY)
    (path,) = RunFiles(tmp_path).event_files()
    configuration, row, evaluation, summary = read_file(path)
    assert [event[:2] for event in (configuration, row, evaluation, summary)] == [
        (1.5e9, 0), (1.5e9, 120), (1.5e9, 100), (1.5e9, 120),
    ]  # fmt: skip
    text = configuration[2]["configuration/text_summary"]
    toml = text.removeprefix("```toml\n").removesuffix("\n```")
    assert tomllib.loads(toml) == to_dict(config)
    assert row[2] == metrics_by_name(ROW)
    assert evaluation[2] == scores_by_name(EVALUATION)
    text = summary[2]["summary/text_summary"]
    assert msgspec.json.decode(text.removeprefix("```json\n").removesuffix("\n```")) == SUMMARY


def test_of_a_training_that_never_began_there_is_no_file(sink, tmp_path):
    sink.write_summary(SUMMARY)
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path):
    with pytest.raises(FileError, match=r"Cannot write .*nowhere"):
        TensorBoardSink(tmp_path / "nowhere").begin(Config())
