"""Files that are replaced: the new one or the old one, and nothing besides."""

from pathlib import Path

import pytest

from zdqn.errors import FileError
from zdqn.records.replaced_files import replace_text


def test_a_new_file_and_one_that_is_replaced(tmp_path):
    path = tmp_path / "file"
    replace_text(path, "old\n")
    before = path.open(encoding="utf-8")
    replace_text(path, "nëw\n")
    with before:
        assert before.read() == "old\n"  # who had it open reads all of the old one
    assert path.read_text(encoding="utf-8") == "nëw\n"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    replace_text(path, "old")

    def full(self, text, **options):
        self.open("w").close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(FileError, match=r"Cannot write .*file: No space left on device\."):
        replace_text(path, "new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_its_place_is_named_and_left(tmp_path):
    path = tmp_path / "file"
    path.mkdir()
    with pytest.raises(FileError, match="file"):
        replace_text(path, "new")
    assert list(tmp_path.iterdir()) == [path]
