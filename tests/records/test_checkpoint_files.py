import io
import os
import pickle  # noqa: TID251 - to write the file that must be refused
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zdqn.core.checkpoints import CheckpointDirectory, load_checkpoint, save_checkpoint
from zdqn.errors import FileError, MismatchError, UsageError

STATE: dict[str, Any] = {
    "weights": {"layer.weight": torch.arange(600.0).reshape(20, 30), "count": torch.tensor(3)},
    "updates": 12,
    "rate": 0.5,
    "name": "run",
    "spec": [None, True, (1, 2)],
}


def test_a_checkpoint_gives_back_what_was_saved(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", STATE)
    state = load_checkpoint(tmp_path / "a.pt")
    weights = state.pop("weights")
    assert state == {name: value for name, value in STATE.items() if name != "weights"}
    for name, tensor in STATE["weights"].items():
        assert torch.equal(weights[name], tensor)
        assert weights[name].dtype == tensor.dtype


def test_only_the_owner_may_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, STATE)
    save_checkpoint(path, {"second": True})
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert load_checkpoint(path) == {"second": True}


@pytest.mark.parametrize("broken", ["os.fsync", "os.fdopen", "pathlib.Path.replace"])
def test_a_failure_leaves_the_former_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"former": True})

    def fail(*arguments: Any) -> None:
        if broken == "os.fdopen":
            os.close(arguments[0])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(broken, fail)
        with pytest.raises(FileError, match=r"a\.pt: No space left on device"):
            save_checkpoint(path, STATE)
    assert list(tmp_path.iterdir()) == [path]
    assert load_checkpoint(path) == {"former": True}


def test_an_interrupted_save_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path / "a.pt", STATE)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=r"file/a\.pt"):
        save_checkpoint(tmp_path / "file" / "a.pt", STATE)
    with pytest.raises(FileError, match="file/checkpoints"):
        CheckpointDirectory(tmp_path / "file" / "checkpoints", 2).save(STATE, 1)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": {"b": np.float64(1.0)}}, r"state\['a'\]\['b'\] is a float64"),
        ({"a": [1, np.zeros(2)]}, r"state\['a'\]\[1\] is a ndarray"),
        ({"a": {Path("x"): 1}}, r"a key of state\['a'\] is a PosixPath"),
        ({"a": {1, 2}}, r"state\['a'\] is a set"),
    ],
)
def test_what_could_not_be_read_back_is_refused_when_saving(
    tmp_path: Path, value: dict[str, Any], where: str
) -> None:
    with pytest.raises(UsageError, match=where):
        save_checkpoint(tmp_path / "a.pt", value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.pt: No such file"):
        load_checkpoint(tmp_path / "none.pt")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, STATE)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FileError, match=r"a\.pt is no checkpoint, or was cut short"):
        load_checkpoint(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, STATE)
    content = bytearray(path.read_bytes())
    place = content.index(np.arange(600, dtype=np.float32).tobytes()) + 100
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"a\.pt is damaged"):
        load_checkpoint(path)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def test_a_file_that_would_run_a_program_is_refused_and_does_not(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    in_archive, bare = tmp_path / "archive.pt", tmp_path / "bare.pt"
    torch.save({"format": 1, "state": {"x": Evil(victim)}}, in_archive)
    bare.write_bytes(pickle.dumps(Evil(victim)))
    for path in (in_archive, bare):
        with pytest.raises(FileError, match=path.name) as caught:
            load_checkpoint(path)
        assert "weights_only" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not victim.exists()


@pytest.mark.parametrize(
    ("document", "error", "message"),
    [
        ({"format": 2, "state": {}}, MismatchError, "format 2.*up to 1"),
        ({"state": {}}, FileError, "no checkpoint of zdqn"),
        ([1], FileError, "no checkpoint of zdqn"),
        ({"format": 1}, FileError, "holds no state"),
    ],
)
def test_other_peoples_files_and_later_formats_are_told_apart(
    tmp_path: Path, document: Any, error: type[Exception], message: str
) -> None:
    buffer = io.BytesIO()
    torch.save(document, buffer)
    (tmp_path / "a.pt").write_bytes(buffer.getvalue())
    with pytest.raises(error, match=message):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 hello"])
def test_what_is_no_pytorch_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(FileError, match=r"a\.pt is no checkpoint"):
        load_checkpoint(tmp_path / "a.pt")


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


def test_the_newest_are_kept_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
    directory = CheckpointDirectory(tmp_path / "checkpoints", keep=2)
    path = directory.save({"updates": 0}, 0)
    assert path == tmp_path / "checkpoints" / "update-000000000.pt"
    foreign = ["best.pt", "update-1.pt", "update-000000001.pt.bak", ".update-000000001.pt.tmp"]
    for name in foreign:
        (directory.path / name).touch()
    (directory.path / ".update-000000001.pt.0123456789abcdef.tmp").touch()
    for updates in (12_000, 1_000, 1_234_567_890):
        directory.save({"updates": updates}, updates)
    kept = ["update-000012000.pt", "update-1234567890.pt"]
    assert names(directory.path) == sorted([*foreign, *kept])
    assert directory.newest().state == {"updates": 1_234_567_890}


def test_going_on_from_an_earlier_state_removes_neither_it_nor_the_later_ones(
    tmp_path: Path,
) -> None:
    directory = CheckpointDirectory(tmp_path, keep=2)
    for updates in (10, 20, 30, 15):
        directory.save({"updates": updates}, updates)
    assert names(tmp_path) == [f"update-0000000{number}.pt" for number in (15, 20, 30)]


def test_a_failed_save_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = CheckpointDirectory(tmp_path, keep=2)
    directory.save({}, 1)
    directory.save({}, 2)
    before = names(tmp_path)

    def fail(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(FileError):
        directory.save({}, 3)
    assert names(tmp_path) == before


def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path: Path) -> None:
    directory = CheckpointDirectory(tmp_path, keep=3)
    for updates in (1, 2, 3):
        directory.save({"updates": updates}, updates)
    whole = directory.newest()
    assert (whole.state, whole.warnings) == ({"updates": 3}, ())
    (tmp_path / "update-000000003.pt").write_bytes(b"half")
    loaded = directory.newest()
    assert loaded.state == {"updates": 2}
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
    directory.save({}, 1)
    torch.save({"format": 9, "state": {}}, tmp_path / "update-000000002.pt")
    with pytest.raises(MismatchError, match="format 9"):
        directory.newest()


def test_fewer_than_two_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keep = 1"):
        CheckpointDirectory(tmp_path, keep=1)
