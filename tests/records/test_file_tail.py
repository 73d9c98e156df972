"""What is added to a file of lines."""

import os

import pytest

from zdqn.records import file_tail
from zdqn.records.file_tail import FileTail


def add(path, text):
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lines"


def test_a_file_that_is_missing_is_empty(path):
    tail = FileTail(path)
    assert not tail.is_another()
    assert tail.lines() == []


def test_each_line_is_given_once_and_whole(path):
    tail = FileTail(path)
    add(path, "one\ntw")
    assert tail.lines() == ["one"]
    assert tail.lines() == []
    add(path, "o\nthree\n")
    assert tail.lines() == ["two", "three"]


@pytest.mark.parametrize("how", ["replaced", "shortened", "removed"])
def test_another_file_in_its_place_is_told_and_read_from_its_beginning(path, how):
    tail = FileTail(path)
    add(path, "a long first line\n")
    assert not tail.is_another()
    assert tail.lines() == ["a long first line"]
    if how == "replaced":
        path.rename(path.with_name("other"))
        add(path, "a line that is longer than the first\n")
    elif how == "shortened":
        path.write_text("short\n")
    else:
        path.unlink()
    assert tail.is_another()
    tail.start_again()
    assert len(tail.lines()) == (how != "removed")
    assert not tail.is_another()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_empty_and_not_waited_for(path, kind):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    assert FileTail(path).lines() == []


def test_a_look_reads_so_much_and_the_next_goes_on(path, monkeypatch):
    monkeypatch.setattr(file_tail, "MOST_BYTES", 8)
    add(path, "one\ntwo\nthree\n" + 20 * "x" + "\nlast\n")
    tail = FileTail(path)
    looks = [tail.lines() for _ in range(8)]
    assert looks[:2] == [["one", "two"], ["three"]]
    assert looks[-2:] == [[], []]
    told = [line for lines in looks for line in lines]
    assert told[-1] == "last"
    assert 20 * "x" not in told
