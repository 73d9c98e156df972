"""Metrics and evaluations, read while they are written, by whoever shows them."""

import json

import pytest

from zdqn.records.run_directory import EVALUATION_COLUMNS
from zdqn.records.run_files import RunFiles
from zdqn.records.run_history import BoundedCurve, History, HistoryReader


class Folder:
    def __init__(self, path):
        self.files = RunFiles(path)
        self.reader = HistoryReader(path)

    def add_metrics(self, steps, value):
        row = {"environment_steps": steps, "episode_return_mean": value, "loss": 0.5}
        self.add(self.files.metrics, json.dumps(row) + "\n")

    def add_evaluation(self, steps, mean):
        if not self.files.evaluations.exists():
            self.add(self.files.evaluations, ",".join(EVALUATION_COLUMNS) + "\r\n")
        values = dict.fromkeys(EVALUATION_COLUMNS, "0") | {
            "environment_steps": steps, "mean": mean, "deviation": 1.5, "minimum": 2, "maximum": 9,
            "evaluator": "evaluator-0",
        }  # fmt: skip
        self.add(
            self.files.evaluations, ",".join(str(values[c]) for c in EVALUATION_COLUMNS) + "\r\n"
        )

    @staticmethod
    def add(path, text):
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(text)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_what_is_missing_is_empty(folder):
    assert folder.reader.read() == History()


def test_what_is_added_is_read(folder):
    folder.add_metrics(10, None)
    folder.add_metrics(20, 1.5)
    folder.add_evaluation(20, 5.5)
    first = folder.reader.read()
    assert first.returns == ((20, 1.5),)
    assert first.scores == ((20, 5.5),)
    assert first.best == first.newest[0]
    assert (first.best.minimum, first.best.maximum, first.best.deviation) == (2, 9, 1.5)
    folder.add_metrics(30, 2.5)
    folder.add_evaluation(30, 4.5)
    second = folder.reader.read()
    assert second.returns == ((20, 1.5), (30, 2.5))
    assert second.best == first.best
    assert [row.mean for row in second.newest] == [5.5, 4.5]
    assert second.evaluations == 2
    assert folder.reader.read() == second


def test_an_unfinished_line_is_read_when_it_is_whole(folder):
    folder.add(folder.files.metrics, '{"environment_steps": 10, "episode')
    assert folder.reader.read().returns == ()
    folder.add(folder.files.metrics, '_return_mean": 2.5}\n')
    assert folder.reader.read().returns == ((10, 2.5),)


@pytest.mark.parametrize(
    "line", ["nonsense", '{"environment_steps": "x"}', "[]", "\x00\xff", "1,2"]
)
def test_damaged_lines_are_left_out(folder, line):
    folder.add_metrics(10, 1.0)
    folder.add_evaluation(10, 3.0)
    for path in (folder.files.metrics, folder.files.evaluations):
        folder.add(path, line + "\n")
    folder.add_metrics(20, 2.0)
    folder.add_evaluation(20, 4.0)
    folder.add_evaluation(30, "nan")
    history = folder.reader.read()
    assert history.returns == ((10, 1.0), (20, 2.0))
    assert [row.mean for row in history.newest] == [3.0, 4.0]


def test_a_run_in_the_place_of_another_is_read_from_its_beginning(folder):
    folder.add_metrics(10, 1.0)
    folder.add_evaluation(10, 9.0)
    assert folder.reader.read().best is not None
    for path in (folder.files.metrics, folder.files.evaluations):
        path.unlink()
    assert folder.reader.read() == History()
    folder.add_metrics(5, 2.0)
    assert folder.reader.read().returns == ((5, 2.0),)


def test_a_file_that_was_cut_is_read_again(folder):
    folder.add_metrics(10, 1.0)
    folder.add_metrics(20, 2.0)
    folder.reader.read()
    folder.files.metrics.write_text("")
    folder.add_metrics(10, 3.0)
    assert folder.reader.read().returns == ((10, 3.0),)


def test_a_long_run_takes_no_more_room():
    curve = BoundedCurve(most=8)
    for x in range(1_000):
        curve.add(x, float(x))
    points = curve.points()
    assert len(points) <= 9
    assert points[-1][0] == 999
    assert [y for _, y in points] == sorted(y for _, y in points)
    assert points[0][1] == pytest.approx(63.5)  # the mean of the first 128


def test_a_short_run_keeps_every_point():
    curve = BoundedCurve(most=8)
    for x in range(5):
        curve.add(x, 2.0 * x)
    assert curve.points() == tuple((x, 2.0 * x) for x in range(5))
