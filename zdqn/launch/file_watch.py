"""What the files of a training say of it where no server answers: `zdqn train` has none."""

from __future__ import annotations

from pathlib import Path

import msgspec

from zdqn.config import Config
from zdqn.records.run_files import RunFiles
from zdqn.roles.building import describe_limits
from zdqn.wire.status import LearnerStatus, MetricsRow, ProgressStatus, RunStatus

_TAIL_BYTES = 8_192


class TrainingFiles:
    """Reads the newest row of metrics of a training that goes on.

    Args:
        run_directory: of the training.
        config: of it.
    """

    def __init__(self, run_directory: Path, config: Config) -> None:
        self._directory = run_directory
        self._path = RunFiles(run_directory).metrics
        self._limits = describe_limits(config)
        self._row = MetricsRow()

    def look(self) -> LearnerStatus | None:
        """Give what the newest row says, as a status; None if no row has come since the last."""
        row = self._newest()
        if row is None or row == self._row:
            return None
        self._row = row
        return LearnerStatus(
            run=RunStatus(directory=str(self._directory), phase="training", wall_s=row.wall_s),
            progress=ProgressStatus(**msgspec.structs.asdict(row)),
            stop=self._limits,
        )

    def _newest(self) -> MetricsRow | None:
        try:
            with self._path.open("rb") as file:
                file.seek(0, 2)
                file.seek(max(file.tell() - _TAIL_BYTES, 0))
                whole = file.read().rpartition(b"\n")[0]
            return msgspec.json.decode(whole.rpartition(b"\n")[2], type=MetricsRow)
        except (OSError, msgspec.MsgspecError):  # none yet, or one that is damaged
            return None
