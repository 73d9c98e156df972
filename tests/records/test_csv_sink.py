"""``metrics.csv``: a header, and a row for each that was told and not trained again."""

import csv

import pytest

from tests.records.told_rows import ROW
from zdqn.config import Config
from zdqn.core.agenda import Counters
from zdqn.errors import FileError
from zdqn.records.csv_sink import CsvSink
from zdqn.wire.status import MetricsRow


def test_rows_have_one_header_even_over_a_restart(tmp_path):
    CsvSink(tmp_path).add_metrics(ROW)
    CsvSink(tmp_path).add_metrics(MetricsRow(updates=9, q_mean=2.5))
    with (tmp_path / "metrics.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == MetricsRow.__struct_fields__
    assert (first["updates"], first["loss"], first["q_mean"]) == ("7", "0.5", "")
    assert (second["updates"], second["q_mean"]) == ("9", "2.5")


def rows_of(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [
            (int(row["environment_steps"]), int(row["updates"])) for row in csv.DictReader(file)
        ]


def tell(folder, *rows, goes_on_from=None):
    sink = CsvSink(folder)
    if goes_on_from is not None:
        sink.go_on_from(goes_on_from)
    sink.begin(Config())
    for steps, updates in rows:
        sink.add_metrics(MetricsRow(environment_steps=steps, updates=updates))


def test_what_a_run_that_goes_on_writes_takes_the_place_of_what_was_lost(tmp_path):
    tell(tmp_path, (10, 1), (20, 2), (20, 3), (30, 3), (40, 4))
    tell(tmp_path, (25, 3), (50, 5), goes_on_from=Counters(environment_steps=20, updates=2))
    assert rows_of(tmp_path) == [(10, 1), (20, 2), (25, 3), (50, 5)]


def test_of_a_run_that_goes_on_where_it_ended_nothing_is_cut_off(tmp_path):
    tell(tmp_path, (10, 1), (20, 2))
    before = (tmp_path / "metrics.csv").read_bytes()
    tell(tmp_path, goes_on_from=Counters(environment_steps=20, updates=2))
    assert (tmp_path / "metrics.csv").read_bytes() == before


@pytest.mark.parametrize("text", [None, ""])
def test_a_run_that_goes_on_may_have_had_no_table(tmp_path, text):
    if text is not None:
        (tmp_path / "metrics.csv").write_text(text)
    tell(tmp_path, (25, 3), goes_on_from=Counters(environment_steps=20, updates=2))
    assert rows_of(tmp_path) == [(25, 3)]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "environment_steps,updates\n0\n", "\0\n"])
def test_a_table_that_is_another_is_left_alone_and_named(tmp_path, text):
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(FileError, match=r"Cannot read .*metrics\.csv"):
        tell(tmp_path, goes_on_from=Counters())
    assert (tmp_path / "metrics.csv").read_text() == text
