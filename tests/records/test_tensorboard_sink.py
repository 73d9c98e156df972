"""What TensorBoard is told of a run; the files are read in `tests.records.event_reader`."""

import tomllib

import msgspec
import pytest

from tests.records.event_reader import read_file, shown_scalars
from tests.records.told_rows import EVALUATION, ROW, SUMMARY
from zdqn.config import Config, to_dict
from zdqn.core.agenda import Counters
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


def tell_steps(folder, at_s, steps, goes_on_from=None):
    """Tell a sink rows of these steps, each with the hour as its loss."""
    sink = TensorBoardSink(folder, clock=lambda: at_s)
    if goes_on_from is not None:
        sink.go_on_from(Counters(environment_steps=goes_on_from, updates=goes_on_from))
    sink.begin(Config())
    for step in steps:
        sink.add_metrics(msgspec.structs.replace(ROW, environment_steps=step, loss=at_s / 3600))


@pytest.fixture
def resumed(tmp_path):
    """A run that was cut off at step 40, and at 50, and went on from 20 and from 45."""
    tell_steps(tmp_path, 3600.0, [10, 20, 30, 40])
    tell_steps(tmp_path, 7200.0, [25, 35, 45, 50], goes_on_from=20)
    tell_steps(tmp_path, 10800.0, [48, 60], goes_on_from=45)
    return tmp_path


SHOWN = [(10, 1.0), (20, 1.0), (25, 2.0), (35, 2.0), (45, 2.0), (48, 3.0), (60, 3.0)]
"""One point a step: what was written from after a checkpoint is replaced, the rest is there."""


def test_what_a_run_that_goes_on_writes_takes_the_place_of_what_was_lost(resumed):
    assert shown_scalars(resumed)["metrics/loss"] == SHOWN


@pytest.mark.filterwarnings("default")  # of packages of another's
def test_tensorboard_itself_shows_each_step_once(resumed):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator

    old = event_accumulator.EventAccumulator(str(resumed))
    old.Reload()
    assert [(at.step, at.value) for at in old.Scalars("metrics/loss")] == SHOWN
    new = plugin_event_accumulator.EventAccumulator(str(resumed))
    new.Reload()
    points = new.Tensors("metrics/loss")
    assert [(at.step, at.tensor_proto.float_val[0]) for at in points] == SHOWN


def test_of_a_training_that_never_began_there_is_no_file(sink, tmp_path):
    sink.write_summary(SUMMARY)
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path):
    with pytest.raises(FileError, match=r"Cannot write .*nowhere"):
        TensorBoardSink(tmp_path / "nowhere").begin(Config())
