"""What a launch writes down for its owner alone."""

import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from zdqn.errors import FileError, NotAllowedError
from zdqn.launch.private_records import read_private_record, write_private_record


@dataclass(frozen=True)
class Kept:
    folder: Path
    names: tuple[str, ...] = ()


def test_what_is_written_is_read_and_replaced_for_its_owner_alone(tmp_path):
    path = tmp_path / "kept.json"
    for kept in (Kept(Path("/a b"), ("x", "y")), Kept(Path("c"))):
        write_private_record(path, kept)
        assert read_private_record(path, Kept, missing="") == kept
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_missing_cannot_be_written_or_was_open_to_others_is_named(tmp_path):
    path = tmp_path / "kept.json"
    with pytest.raises(FileError, match="Nothing was launched"):
        read_private_record(path, Kept, missing="Nothing was launched here.")
    with pytest.raises(FileError, match="Cannot write"):
        write_private_record(tmp_path / "no" / "kept.json", Kept(Path("a")))
    write_private_record(path, Kept(Path("a")))
    path.chmod(0o644)
    with pytest.raises(NotAllowedError):
        read_private_record(path, Kept, missing="")


def test_another_record_is_an_error_that_the_caller_words(tmp_path):
    path = tmp_path / "kept.json"
    write_private_record(path, {"folder": 7})
    with pytest.raises(msgspec.MsgspecError):
        read_private_record(path, Kept, missing="")
