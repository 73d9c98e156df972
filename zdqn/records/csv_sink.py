"""``metrics.csv``: the rows of ``metrics.jsonl``, for what reads tables."""

from __future__ import annotations

from pathlib import Path

import msgspec

from zdqn.config import Config
from zdqn.core.agenda import Counters
from zdqn.errors import FileError
from zdqn.records.replaced_files import replace_text
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
        self._goes_on_from: Counters | None = None

    def go_on_from(self, counters: Counters) -> None:
        """Have `begin` cut off what was written from after a checkpoint."""
        self._goes_on_from = counters

    def begin(self, config: Config) -> None:
        """Cut off the rows that are overtaken; those of ``metrics.jsonl`` stay.

        Raises:
            FileError: when the file cannot be read or written; it is what it was then.
        """
        if self._goes_on_from is None or not self._path.exists():
            return
        try:
            text = self._path.read_text(encoding="utf-8")
            kept = _without_overtaken(text, self._goes_on_from)
        except (OSError, ValueError, IndexError) as error:
            raise FileError(
                f"Cannot read {self._path}, to which the run that goes on would add: {error}. Move "
                f"it elsewhere, or leave sinks.csv out."
            ) from error
        if kept != text:
            replace_text(self._path, kept)

    def add_metrics(self, row: MetricsRow) -> None:
        """Append a row.

        Raises:
            FileError: when it cannot be written; the file is what it was then.
        """
        header = csv_line(MetricsRow.__struct_fields__)
        append_line(self._path, csv_line(msgspec.structs.astuple(row)), header=header)


def _without_overtaken(text: str, checkpoint: Counters) -> str:
    """Leave out the rows of a table that are from after a checkpoint.

    Raises:
        ValueError: when it is no table of metrics.
        IndexError: likewise.
    """
    if not text:
        return text
    header, *rows = text.splitlines(keepends=True)
    names = header.strip().split(",")
    steps, updates = names.index("environment_steps"), names.index("updates")

    def comes_before(row: str) -> bool:
        values = row.split(",")  # which are numbers: none is quoted
        return (
            int(values[steps]) <= checkpoint.environment_steps
            and int(values[updates]) <= checkpoint.updates
        )

    return header + "".join(row for row in rows if row.endswith("\n") and comes_before(row))
