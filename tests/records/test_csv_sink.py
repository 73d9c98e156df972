import csv

from tests.records.told_rows import ROW
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
