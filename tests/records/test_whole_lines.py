import os

import pytest

from zdqn.errors import FileError
from zdqn.records.whole_lines import append_line, csv_line, unwritable, write_whole


def test_values_are_written_as_a_table_wants_them():
    assert csv_line([1, None, 'a "b", c']) == '1,,"a ""b"", c"\r\n'


def test_the_header_is_written_once(tmp_path):
    for line in ("1\n", "2\n"):
        append_line(tmp_path / "table", line, header="n\n")
    assert (tmp_path / "table").read_text() == "n\n1\n2\n"


def test_half_a_line_of_somebody_who_was_killed_is_cut_off(tmp_path):
    (tmp_path / "table").write_text("n\n1\n" + "9" * 5_000)
    append_line(tmp_path / "table", "2\n", header="n\n")
    assert (tmp_path / "table").read_text() == "n\n1\n2\n"


def test_what_does_not_fit_is_taken_back(tmp_path, monkeypatch):
    path, write = tmp_path / "table", os.write
    path.write_bytes(b"12345")

    def write_two(descriptor, data):
        if len(path.read_bytes()) > 6:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:2])

    monkeypatch.setattr("os.write", write_two)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        with pytest.raises(OSError, match="No space left"):
            write_whole(descriptor, b"6789", 5)
    finally:
        os.close(descriptor)
    assert path.read_bytes() == b"12345"


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(FileError, match=r"Cannot write .*nowhere/table: No such file"):
        append_line(tmp_path / "nowhere" / "table", "1\n")
    assert str(unwritable(tmp_path, OSError(28, "full"))) == f"Cannot write {tmp_path}: full."
