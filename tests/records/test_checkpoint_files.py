import io
import os
import pickle  # noqa: TID251 - to write the file that must be refused
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zdqn.errors import FileError, MismatchError, UsageError
from zdqn.records.checkpoint_files import FORMAT, read_state, write_state

STATE: dict[str, Any] = {
    "weights": {"layer.weight": torch.arange(600.0).reshape(20, 30), "count": torch.tensor(3)},
    "updates": 12,
    "rate": 0.5,
    "name": "run",
    "spec": [None, True, (1, 2)],
}


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    write_state(tmp_path / "a.pt", STATE)
    state = read_state(tmp_path / "a.pt")
    weights = state.pop("weights")
    assert state == {name: value for name, value in STATE.items() if name != "weights"}
    for name, tensor in STATE["weights"].items():
        assert torch.equal(weights[name], tensor)
        assert weights[name].dtype == tensor.dtype


def test_only_the_owner_may_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    write_state(path, STATE)
    write_state(path, {"second": True})
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert read_state(path) == {"second": True}


@pytest.mark.parametrize("broken", ["os.fsync", "os.fdopen", "pathlib.Path.replace"])
def test_a_failure_leaves_the_former_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "a.pt"
    write_state(path, {"former": True})

    def fail(*arguments: Any) -> None:
        if broken == "os.fdopen":
            os.close(arguments[0])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(broken, fail)
        with pytest.raises(FileError, match=r"a\.pt: No space left on device"):
            write_state(path, STATE)
    assert list(tmp_path.iterdir()) == [path]
    assert read_state(path) == {"former": True}


def test_an_interrupted_save_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_state(tmp_path / "a.pt", STATE)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=r"file/a\.pt"):
        write_state(tmp_path / "file" / "a.pt", STATE)


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
        write_state(tmp_path / "a.pt", value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.pt: No such file"):
        read_state(tmp_path / "none.pt")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.pt"
    write_state(path, STATE)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FileError, match=r"a\.pt is no checkpoint, or was cut short"):
        read_state(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    write_state(path, STATE)
    content = bytearray(path.read_bytes())
    place = content.index(np.arange(600, dtype=np.float32).tobytes()) + 100
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"a\.pt is damaged"):
        read_state(path)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def test_a_file_that_would_run_a_program_is_refused_and_does_not(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    in_archive, bare = tmp_path / "archive.pt", tmp_path / "bare.pt"
    torch.save({"format": FORMAT, "state": {"x": Evil(victim)}}, in_archive)
    bare.write_bytes(pickle.dumps(Evil(victim)))
    for path in (in_archive, bare):
        with pytest.raises(FileError, match=path.name) as caught:
            read_state(path)
        assert "weights_only" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not victim.exists()


@pytest.mark.parametrize(
    ("document", "error", "message"),
    [
        ({"format": 3, "state": {}}, MismatchError, "format 3; this zdqn reads format 2"),
        ({"format": 1, "state": {}}, MismatchError, "older format 1; this zdqn reads format 2"),
        ({"state": {}}, FileError, "no checkpoint of zdqn"),
        ([1], FileError, "no checkpoint of zdqn"),
        ({"format": 2}, FileError, "holds no state"),
    ],
)
def test_other_peoples_files_and_other_formats_are_told_apart(
    tmp_path: Path, document: Any, error: type[Exception], message: str
) -> None:
    buffer = io.BytesIO()
    torch.save(document, buffer)
    (tmp_path / "a.pt").write_bytes(buffer.getvalue())
    with pytest.raises(error, match=message):
        read_state(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 hello"])
def test_what_is_no_pytorch_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(FileError, match=r"a\.pt is no checkpoint"):
        read_state(tmp_path / "a.pt")
