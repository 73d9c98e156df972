"""Endpoints are merged whole."""

import os
import subprocess
import sys

import pytest

from zdqn.errors import FileError, UsageError
from zdqn.records.endpoints import newest_run_directory, read_endpoints, record_endpoints


def test_endpoints_of_roles_are_merged_and_replaced(tmp_path):
    record_endpoints(tmp_path, "memory", {"samples": "tcp://a:1"})
    record_endpoints(tmp_path, "learner", {"model": "tcp://b:1"})
    record_endpoints(tmp_path, "memory", {"samples": "tcp://a:2"})
    assert read_endpoints(tmp_path) == {
        "memory": {"samples": "tcp://a:2"},
        "learner": {"model": "tcp://b:1"},
    }


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    code = (
        "import sys, pathlib; from zdqn.records.endpoints import record_endpoints\n"
        "directory, role = pathlib.Path(sys.argv[1]), sys.argv[2]\n"
        "for n in range(50): record_endpoints(directory, role, {'n': str(n)})"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), f"role-{number}"])
        for number in range(2)
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert read_endpoints(tmp_path) == {f"role-{number}": {"n": "49"} for number in range(2)}


@pytest.mark.parametrize("text", ["", "[]", '{"memory": 3}', "{"])
def test_a_spoiled_file_is_named(tmp_path, text):
    (tmp_path / "endpoints.json").write_text(text)
    with pytest.raises(FileError, match=r"endpoints\.json"):
        read_endpoints(tmp_path)


def test_a_folder_without_endpoints(tmp_path):
    with pytest.raises(FileError, match="tcp://"):
        read_endpoints(tmp_path)


def test_the_newest_run_is_the_one_whose_servers_started_last(tmp_path):
    for age_s, name in ((10, "b"), (5, "a"), (20, "c")):
        (tmp_path / name).mkdir()
        record_endpoints(tmp_path / name, "memory", {})
        os.utime(tmp_path / name / "endpoints.json", (1e9 - age_s, 1e9 - age_s))
    (tmp_path / "z-unstarted").mkdir()
    assert newest_run_directory(tmp_path) == tmp_path / "a"


def test_no_run_at_all(tmp_path):
    with pytest.raises(UsageError, match="no run"):
        newest_run_directory(tmp_path)
