"""From a learner's process to the one that launched it: what is told arrives as it was."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zdqn.config import Config
from zdqn.data import EvaluationScores
from zdqn.errors import FileError
from zdqn.launch.telling import TellingSink, pass_on
from zdqn.records.sinks import Sink
from zdqn.records.snapshots import Evaluation, FrozenSnapshot
from zdqn.wire.status import MetricsRow

ROW = MetricsRow(updates=3, loss=float("inf"), epsilon=None)
SCORES = EvaluationScores((1.0, 2.5), (3, 4), 1)


def evaluation(arrays):
    return Evaluation(FrozenSnapshot(2, 7, 100, 50, 9, 1.5, arrays), SCORES, "e-0", 0.5)


class Taking(Sink):
    """Takes everything."""

    def __init__(self):
        self.taken: list[Any] = []

    def begin(self, config):
        self.taken.append(config)

    def add_metrics(self, row):
        self.taken.append(row)

    def add_evaluation(self, evaluation):
        self.taken.append(evaluation)

    def add_checkpoint(self, path):
        self.taken.append(path)

    def add_updates(self, updates):
        self.taken.append(updates)

    def write_summary(self, summary):
        self.taken.append(summary)


def carried(write):
    """Give what a sink takes of what another one is told."""
    lines: list[str] = []
    write(TellingSink(lambda method, what: lines.append(json.dumps([method, what]))))
    sink = Taking()
    for line in lines:
        method, what = json.loads(line)
        pass_on(method, what, (sink,))
    return sink.taken


def test_all_arrives_but_weights_and_single_updates():
    path, summary = Path("/somewhere/update-000000003.pt"), {"stop_reason": "updates", "mean": 1.5}

    config = Config().replace("algorithm.double", True)

    def write(sink):
        sink.begin(config)
        sink.add_metrics(ROW)
        sink.add_updates(3)
        sink.add_evaluation(evaluation({"weight": np.ones(3)}))
        sink.add_checkpoint(path)
        sink.write_summary(summary)

    assert carried(write) == [config, ROW, evaluation({}), path, summary]


def test_a_sink_that_cannot_write_keeps_nothing_from_the_others(caplog):
    class Full(Sink):
        def add_checkpoint(self, path):
            raise FileError("Cannot write.")

    taking = Taking()
    pass_on("add_checkpoint", "here", (Full(), taking))
    assert taking.taken == [Path("here")]
    assert "Cannot write. Training goes on" in caplog.text


def test_what_else_one_raises_is_raised():
    class Broken(Sink):
        def add_checkpoint(self, path):
            raise ZeroDivisionError("a light")

    with pytest.raises(ZeroDivisionError):
        pass_on("add_checkpoint", "here", (Broken(),))


def test_one_that_returns_false_ends_the_training_and_keeps_nothing_from_the_others():
    class Ending(Sink):
        def add_checkpoint(self, path):
            return False

    for sinks in ([Ending(), taking := Taking()], [taking, Ending()]):
        assert pass_on("add_checkpoint", "here", sinks)
    assert taking.taken == [Path("here")] * 2
    assert not pass_on("add_checkpoint", "here", [taking])
    assert not pass_on("add_checkpoint", "here", [])
