from pathlib import Path
from typing import Any

import pytest
import torch

from zdqn.config import load_config
from zdqn.core.agenda import Counters
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, FileError, MismatchError, UsageError
from zdqn.records.checkpoint_files import read_state, write_state
from zdqn.records.checkpoints import (
    Checkpoint,
    CheckpointDirectory,
    TrainingState,
    load_checkpoint,
    save_checkpoint,
)

USABLE = {
    "observation_shape": [4], "observation_dtype": "uint8", "num_actions": 2, "frame_stack": 1,
}  # fmt: skip
TRAINING = TrainingState(
    trainer={"updates": 7, "online": {"weight": torch.ones(2)}},
    totals={"restarts": 1},
    metrics={"wall_s": 1.5, "best_return": None},
    snapshots=3,
    version=41,
)


def checkpoint(updates: int, training: TrainingState | None = TRAINING) -> Checkpoint:
    return Checkpoint(
        config=load_config(None, ("run.seed=5", "network.hidden=[7, 8]")),
        spec=EnvironmentSpec((3, 5), "uint8", 6, 4),
        online={"weight": torch.arange(3.0)},
        counters=Counters(100, updates, 4, 90, 1.25),
        training=training,
        evaluation_return=2.5 if training is None else None,
    )


@pytest.mark.parametrize("training", [TRAINING, None], ids=["to go on from", "best.pt"])
def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path, training: TrainingState | None) -> None:
    written = checkpoint(12, training)
    save_checkpoint(tmp_path / "a.pt", written)
    read = load_checkpoint(tmp_path / "a.pt")
    assert torch.equal(read.online["weight"], torch.arange(3.0))
    for part in ("config", "spec", "counters", "evaluation_return"):
        assert getattr(read, part) == getattr(written, part), part
    if training is None:
        assert read.training is None
        return
    assert read.training is not None
    assert torch.equal(read.training.trainer["online"]["weight"], torch.ones(2))
    for part in ("totals", "metrics", "snapshots", "version"):
        assert getattr(read.training, part) == getattr(training, part), part


@pytest.mark.parametrize("part", ["config", "spec", "online", "counters", "training"])
def test_a_part_that_is_missing_is_refused(tmp_path: Path, part: str) -> None:
    save_checkpoint(tmp_path / "a.pt", checkpoint(1))
    state = read_state(tmp_path / "a.pt")
    del state[part]
    write_state(tmp_path / "a.pt", state)
    with pytest.raises(MismatchError, match=r"a\.pt.*another checkpoint"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize(
    "spec",
    [
        3,
        None,
        {},
        {"observation_shape": 4},
        {**USABLE, "observation_shape": []},
        {**USABLE, "observation_dtype": "object"},
        {**USABLE, "num_actions": 0},
    ],
)
def test_a_checkpoint_without_a_usable_spec(tmp_path: Path, spec: Any) -> None:
    save_checkpoint(tmp_path / "a.pt", checkpoint(1))
    write_state(tmp_path / "a.pt", {**read_state(tmp_path / "a.pt"), "spec": spec})
    with pytest.raises(MismatchError, match="spec of the environment"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_configuration_of_another_zdqn_is_explained(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", checkpoint(1))
    state = {**read_state(tmp_path / "a.pt"), "config": {"replay": {"capcity": 3}}}
    write_state(tmp_path / "a.pt", state)
    with pytest.raises(ConfigError, match=r"a\.pt.*capacity"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_network_alone_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "update-000000005.pt", checkpoint(5, training=None))
    with pytest.raises(MismatchError, match="a network only"):
        CheckpointDirectory(tmp_path, keep=2).newest()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="file/checkpoints"):
        CheckpointDirectory(tmp_path / "file" / "checkpoints", 2).save(checkpoint(1))


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


def test_the_newest_are_kept_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
    directory = CheckpointDirectory(tmp_path / "checkpoints", keep=2)
    path = directory.save(checkpoint(0))
    assert path == tmp_path / "checkpoints" / "update-000000000.pt"
    foreign = ["best.pt", "update-1.pt", "update-000000001.pt.bak", ".update-000000001.pt.tmp"]
    for name in foreign:
        (directory.path / name).touch()
    (directory.path / ".update-000000001.pt.0123456789abcdef.tmp").touch()
    for updates in (12_000, 1_000, 1_234_567_890):
        directory.save(checkpoint(updates))
    kept = ["update-000012000.pt", "update-1234567890.pt"]
    assert names(directory.path) == sorted([*foreign, *kept])
    assert directory.newest().checkpoint.counters.updates == 1_234_567_890


def test_going_on_from_an_earlier_state_removes_neither_it_nor_the_later_ones(
    tmp_path: Path,
) -> None:
    directory = CheckpointDirectory(tmp_path, keep=2)
    for updates in (10, 20, 30, 15):
        directory.save(checkpoint(updates))
    assert names(tmp_path) == [f"update-0000000{number}.pt" for number in (15, 20, 30)]


def test_a_failed_save_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = CheckpointDirectory(tmp_path, keep=2)
    directory.save(checkpoint(1))
    directory.save(checkpoint(2))
    before = names(tmp_path)

    def fail(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(FileError):
        directory.save(checkpoint(3))
    assert names(tmp_path) == before


def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path: Path) -> None:
    directory = CheckpointDirectory(tmp_path, keep=3)
    for updates in (1, 2, 3):
        directory.save(checkpoint(updates))
    whole = directory.newest()
    assert (whole.checkpoint.counters.updates, whole.warnings) == (3, ())
    (tmp_path / "update-000000003.pt").write_bytes(b"half")
    loaded = directory.newest()
    assert loaded.checkpoint.counters.updates == 2
    assert loaded.path == tmp_path / "update-000000002.pt"
    (warning,) = loaded.warnings
    assert "update-000000003.pt" in warning


def test_without_any_whole_checkpoint_every_reason_is_given(tmp_path: Path) -> None:
    directory = CheckpointDirectory(tmp_path, keep=2)
    for updates in (1, 2):
        (tmp_path / f"update-00000000{updates}.pt").write_bytes(b"half")
    with pytest.raises(FileError, match=r"update-000000002\.pt.*update-000000001\.pt"):
        directory.newest()


@pytest.mark.parametrize("folder", ["", "absent"])
def test_without_any_checkpoint_the_folder_is_named(tmp_path: Path, folder: str) -> None:
    with pytest.raises(FileError, match="there is no checkpoint"):
        CheckpointDirectory(tmp_path / folder, keep=2).newest()


def test_a_later_format_is_no_damage_to_fall_back_from(tmp_path: Path) -> None:
    directory = CheckpointDirectory(tmp_path, keep=2)
    directory.save(checkpoint(1))
    torch.save({"format": 9, "state": {}}, tmp_path / "update-000000002.pt")
    with pytest.raises(MismatchError, match="format 9"):
        directory.newest()


def test_fewer_than_two_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keep = 1"):
        CheckpointDirectory(tmp_path, keep=1)
