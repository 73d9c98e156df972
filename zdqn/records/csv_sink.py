"""``metrics.csv``: the rows of ``metrics.jsonl``, for what reads tables."""

from __future__ import annotations

from pathlib import Path

import msgspec

from zdqn.records.run_files import RunFiles
from zdqn.records.sinks import OwnSink
from zdqn.records.whole_lines import append_line, csv_line
from zdqn.wire.status import MetricsRow


class CsvSink(OwnSink):
    """Writes rows of metrics as CSV; evaluations are a table anyway, ``evaluations.csv``.

    Args:
        run_directory: where.
    """

    def __init__(self, run_directory: Path) -> None:
        self._path = RunFiles(run_directory).metrics_csv

    def add_metrics(self, row: MetricsRow) -> None:
        """Append a row.

        Raises:
            FileError: when it cannot be written; the file is what it was then.
        """
        header = csv_line(MetricsRow.__struct_fields__)
        append_line(self._path, csv_line(msgspec.structs.astuple(row)), header=header)
