"""Two numbers in a file, which outlive the process that counts."""

import os
import signal
import subprocess
import sys

import pytest

from zdqn.errors import FileError
from zdqn.records.arrival_count import ArrivalCount


def test_they_go_on_from_start_to_start(tmp_path):
    path = tmp_path / "replay" / "arrived.bin"
    with ArrivalCount(path) as count:
        assert (count.blocks, count.transitions) == (0, 0)
        count.note(3, 90)
        count.note(4, 120)
    with ArrivalCount(path) as count:
        assert (count.blocks_before, count.transitions_before) == (4, 120)
        count.note(1, 30)
        assert (count.blocks, count.transitions) == (5, 150)


def test_a_killed_process_leaves_what_it_noted_last(tmp_path):
    path = tmp_path / "arrived.bin"
    script = (
        "import os, pathlib, signal, sys\n"
        "from zdqn.records.arrival_count import ArrivalCount\n"
        "ArrivalCount(pathlib.Path(sys.argv[1])).note(7, 8)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], check=False, env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    with ArrivalCount(path) as count:
        assert (count.blocks, count.transitions) == (7, 8)


def test_one_that_was_cut_short_begins_anew(tmp_path):
    path = tmp_path / "arrived.bin"
    path.write_bytes(b"abc")
    with ArrivalCount(path) as count:
        assert count.blocks == 0


def test_a_place_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="Cannot write"):
        ArrivalCount(tmp_path / "file" / "arrived.bin")
