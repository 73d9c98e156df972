"""Rows of a run that is being written."""

import msgspec
import pytest

from zdqn.records.run_files import RunFiles
from zdqn.records.table_tails import TableTails


class Point(msgspec.Struct):
    updates: int
    loss: float | None = None


class Score(msgspec.Struct):
    mean: float
    evaluator: str = ""


@pytest.fixture
def files(tmp_path):
    return RunFiles(tmp_path)


@pytest.fixture
def tails(tmp_path):
    return TableTails(tmp_path, metrics=Point, evaluations=Score)


def append(path, text):
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_each_row_comes_once_and_when_it_is_whole(tails, files):
    assert (tails.begin_again(), tails.metrics(), tails.evaluations()) == (False, [], [])
    append(files.metrics, '{"updates": 1, "loss": 0.5}\n{"updates": 2')
    append(files.evaluations, "evaluator,mean,more\nme,2.5,x\nyou,3")
    assert tails.metrics() == [Point(1, 0.5)]
    assert tails.evaluations() == [Score(2.5, "me")]
    append(files.metrics, "}\n")
    append(files.evaluations, ".5,y\n")
    assert not tails.begin_again()
    assert tails.metrics() == [Point(2)]
    assert tails.evaluations() == [Score(3.5, "you")]
    assert (tails.metrics(), tails.evaluations()) == ([], [])


def test_damaged_lines_are_left_out_and_the_next_are_read(tails, files):
    append(files.metrics, '{"updates": "many"}\n\n{\n{"updates": 3}\n')
    append(files.evaluations, "mean\nhigh\n1,2\n\n4\n")
    assert tails.metrics() == [Point(3)]
    assert tails.evaluations() == [Score(4.0)]


def test_another_file_in_the_place_of_one_has_both_read_anew(tails, files, tmp_path):
    append(files.metrics, '{"updates": 1}\n')
    append(files.evaluations, "mean\n1\n")
    assert not tails.begin_again()
    tails.metrics(), tails.evaluations()
    (tmp_path / "new").write_text("evaluator,mean\nme,7\n", encoding="utf-8")
    (tmp_path / "new").replace(files.evaluations)
    assert tails.begin_again()
    assert tails.metrics() == [Point(1)]
    assert tails.evaluations() == [Score(7.0, "me")]
    assert not tails.begin_again()
