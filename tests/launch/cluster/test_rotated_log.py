"""A log that does not fill a disk, and how it is read while it grows."""

from zdqn.launch.cluster.rotated_log import RotatedLog, read_log


def test_lines_are_added_and_each_has_an_end(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("before\n")
    log = RotatedLog(path)
    log.write(b"one\n")
    log.write(b"two")
    log.close()
    assert path.read_text() == "before\none\ntwo\n"


def test_a_long_log_becomes_the_one_before(tmp_path):
    path = tmp_path / "a.log"
    log = RotatedLog(path, most_bytes=10)
    for line in (b"12345678\n", b"abcdefgh\n", b"ABCDEFGH\n"):
        log.write(line)
    log.close()
    assert path.read_text() == "ABCDEFGH\n"
    assert path.with_name("a.log.1").read_text() == "abcdefgh\n"


def test_the_last_lines_are_read_and_then_what_comes(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("1\n2\n3\nhalf")
    first = read_log(path, -1, 2)
    assert first == {"piece": b"2\n3\n", "end": 6}
    with path.open("a") as file:
        file.write(" a line\n")
    assert read_log(path, first["end"], 0) == {"piece": b"half a line\n", "end": 18}
    assert read_log(path, 18, 0) == {"piece": b"", "end": 18}


def test_a_new_log_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("new\n")
    assert read_log(path, 1_000, 0) == {"piece": b"new\n", "end": 4}
    assert read_log(tmp_path / "none.log", -1, 5) == {"piece": b"", "end": 0}
