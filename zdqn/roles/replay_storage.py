"""Where the replay of a run is kept, as configured."""

from __future__ import annotations

from pathlib import Path

from zdqn.config import Config, flatten
from zdqn.errors import ConfigError
from zdqn.records.replay_files import ReplayFolder
from zdqn.records.run_files import RunFiles
from zdqn.roles.replay_keeping import DiskKeeping, ReplayKeeping
from zdqn.roles.replay_snapshots import SnapshotKeeping

_SETTINGS = (
    "algorithm.discount",
    "algorithm.n_step",
    "algorithm.reward_clip",
    "environment",
    "replay.capacity",
    "replay.frames_per_transition",
    "replay.kind",
    "replay.min_size",
    "replay.priority_exponent",
    "replay.samples_per_insert",
)
"""What transitions, arrays and counts of a replay mean."""
_NOT_WRITTEN = {"algorithm.reward_clip": 0.0}
"""Keys that some kept replays are older than, with the values that those were made with."""


def keep_replay(config: Config, run_directory: Path | None) -> ReplayKeeping:
    """Choose how a memory's replay is kept, as configured.

    Args:
        config: of the run.
        run_directory: of the run, if it is known here.

    Raises: as `open_replay_folder` does.
    """
    if config.replay.storage == "ram":
        if config.replay.snapshot_period_s == 0:
            return ReplayKeeping()
        return SnapshotKeeping(
            lambda number, anew: open_replay_folder(
                config, run_directory, anew=anew, within=f"snapshot-{number}"
            ),
            config.replay.snapshot_period_s,
        )
    folder = open_replay_folder(config, run_directory)
    return DiskKeeping(folder, config.replay.sync_period_s)


def hold_replay(config: Config, run_directory: Path) -> ReplayKeeping:
    """Choose where the replay of one process that trains alone is: it begins anew at each start.

    Args:
        config: of the run.
        run_directory: of the run.

    Raises: as `open_replay_folder` does.
    """
    if config.replay.storage == "ram":
        return ReplayKeeping()
    return DiskKeeping(open_replay_folder(config, run_directory, anew=True), sync_period_s=0.0)


def open_replay_folder(
    config: Config, run_directory: Path | None, *, anew: bool = False, within: str = ""
) -> ReplayFolder:
    """Open the folder of a replay that is kept, as configured.

    Args:
        config: of the run.
        run_directory: of the run, if it is known here.
        anew: whether what is there is given up.
        within: name of a folder in it; "": the folder itself.

    Raises:
        ConfigError: when there is no folder to keep it in, or another replay in it.
        RunDirectoryTakenError: when another memory has it.
        FileError: when it cannot be used.
    """
    if config.replay.path:
        path = Path(config.replay.path)
    elif run_directory is not None:
        path = RunFiles(run_directory).replay
    else:
        raise ConfigError(
            'replay.storage is "disk", or replay.snapshot_period_s is set, and nothing says where: '
            "give the run directory (--run-dir), or set replay.path."
        )
    settings = {
        key: value
        for key, value in flatten(config).items()
        if (key in _SETTINGS or key.partition(".")[0] in _SETTINGS)
        and (key not in _NOT_WRITTEN or value != _NOT_WRITTEN[key])
    }
    return ReplayFolder(path / within, settings, anew=anew)
