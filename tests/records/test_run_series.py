"""The columns of a run's tables as they grow."""

import json
import math

import numpy as np
import pytest

from zdqn.records.run_directory import EVALUATION_COLUMNS
from zdqn.records.run_files import RunFiles
from zdqn.records.run_series import (
    PROGRESS,
    BoundedTable,
    EvaluationRow,
    Series,
    SeriesReader,
    SeriesTables,
)
from zdqn.wire.status import MetricsRow


def add(path, text):
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


def metrics_line(steps, **values):
    return json.dumps({"environment_steps": steps, "wall_s": steps / 10, **values}) + "\n"


def evaluation_line(steps, mean, **values):
    row = dict.fromkeys(EVALUATION_COLUMNS, 0) | {
        "environment_steps": steps, "mean": mean, "minimum": 1, "maximum": 9, "episodes": 5,
        "evaluator": "evaluator-0", **values,
    }  # fmt: skip
    return ",".join(str(row[name]) for name in EVALUATION_COLUMNS) + "\n"


# --- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100, 1000])
def test_of_many_rows_each_is_in_one_mean(count):
    table = BoundedTable(["value"], most=8)
    rng = np.random.default_rng(0)
    values = rng.normal(size=count)
    for i, value in enumerate(values):
        table.add((10 * i, i / 2, i), (float(value),))
    columns = table.columns()
    assert set(columns) == {*PROGRESS, "value"}
    shown = columns["value"]
    assert len(shown) <= 8
    ends = [int(steps or 0) // 10 + 1 for steps in columns["environment_steps"]]
    assert ends == sorted(ends)
    assert (ends[-1] if ends else 0) == count
    for begin, end, mean in zip([0, *ends][: len(ends)], ends, shown, strict=True):
        assert mean == pytest.approx(values[begin:end].mean())


def test_what_is_unknown_counts_in_no_mean():
    table = BoundedTable(["a", "b"], most=2)
    for i, values in enumerate([(1.0, None), (None, math.nan), (3.0, math.inf), (None, None)]):
        table.add((i, i, i), values)
    assert table.columns()["a"] == [2.0]
    assert table.columns()["b"] == [None]


def test_a_row_takes_the_place_of_those_that_it_has_overtaken():
    table = BoundedTable(["value"])
    for steps, value in [(10, 1.0), (20, 2.0), (30, 3.0), (20, 4.0)]:
        table.add((steps, steps, steps), (value,))
    assert table.columns()["environment_steps"] == [10, 20, 20]
    assert table.columns()["value"] == [1.0, 2.0, 4.0]


# --- the reader -----------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    return RunFiles(tmp_path)


def test_what_is_missing_is_empty(files):
    series = SeriesReader(files.path).read()
    assert series.last is None
    assert series.best is None
    assert series.metrics["loss"] == []
    assert series.evaluations["mean"] == []


def test_what_is_added_is_read_and_told_by_another_version(files):
    reader = SeriesReader(files.path)
    before = reader.read()
    add(files.metrics, metrics_line(10, loss=0.5) + metrics_line(20, updates_per_s=3.5))
    add(files.evaluations, ",".join(EVALUATION_COLUMNS) + "\n" + evaluation_line(10, 4.0))
    first = reader.read()
    assert first.version != before.version
    assert first.metrics["environment_steps"] == [10, 20]
    assert first.metrics["loss"] == [0.5, None]
    assert first.metrics["updates_per_s"] == [None, 3.5]
    assert first.last is not None
    assert (first.last.environment_steps, first.count) == (20, 1)
    assert first.evaluations["maximum"] == [9.0]
    assert reader.read() is first
    add(files.evaluations, evaluation_line(20, 3.0))
    second = reader.read()
    assert second.version != first.version
    assert second.best == first.newest[0]
    assert [row.mean for row in second.newest] == [4.0, 3.0]


def test_damaged_lines_are_left_out(files):
    add(files.metrics, metrics_line(10, loss=0.5) + "nonsense\n[]\n" + metrics_line(20, loss=1.5))
    add(files.evaluations, ",".join(EVALUATION_COLUMNS) + "\n1,2\n" + evaluation_line(10, "nan"))
    add(files.evaluations, evaluation_line(20, 3.0))
    series = SeriesReader(files.path).read()
    assert series.metrics["loss"] == [0.5, 1.5]
    assert series.evaluations["mean"] == [3.0]


def test_a_run_in_the_place_of_another_is_read_from_its_beginning(files):
    reader = SeriesReader(files.path)
    add(files.metrics, metrics_line(10, loss=0.5) * 3)
    before = reader.read()
    files.metrics.unlink()
    add(files.metrics, metrics_line(5, loss=2.5))
    after = reader.read()
    assert after.metrics["loss"] == [2.5]
    assert after.version != before.version


def test_rows_can_be_told_without_any_file():
    tables = SeriesTables()
    tables.add_metrics(MetricsRow(environment_steps=10, loss=0.5))
    tables.add_evaluation(
        EvaluationRow(environment_steps=10, mean=2.0, deviation=0.0, minimum=1.0, maximum=3.0)
    )
    series = tables.series()
    assert series != Series()
    assert series.metrics["loss"] == [0.5]
    assert series.evaluations["minimum"] == [1.0]
