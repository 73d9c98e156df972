import json
import os
import subprocess
import sys

import numpy as np
import pytest

from zdqn.errors import ConfigError, FileError, MismatchError, RunDirectoryTakenError
from zdqn.records.replay_files import Kept, ReplayFolder, free_bytes

SETTINGS = {"replay.capacity": 5}


def open_folder(path, **changes):
    return ReplayFolder(path / "replay", {**SETTINGS, **changes})


def test_arrays_and_values_are_there_again(tmp_path):
    with open_folder(tmp_path) as folder:
        assert folder.kept is None
        array = folder.allocate("numbers", (3, 2), np.dtype(np.int32))
        assert not array.any()
        array[:] = 7
        folder.sync()
        folder.write(Kept({"a": [1]}, 4), sure=True)
    with open_folder(tmp_path) as folder:
        assert folder.kept == Kept({"a": [1]}, 4)
        assert (folder.allocate("numbers", (3, 2), np.dtype(np.int32)) == 7).all()


def test_files_are_their_owners_alone_and_have_all_their_blocks(tmp_path):
    with open_folder(tmp_path) as folder:
        folder.allocate("numbers", (100_000,), np.dtype(np.uint8))
        folder.write(Kept({}, 1), sure=False)
        assert folder.path.stat().st_mode & 0o777 == 0o700
        for path in folder.path.iterdir():
            assert path.stat().st_mode & 0o777 == 0o600, path
        assert (folder.path / "numbers.array").stat().st_blocks * 512 >= 100_000


def test_the_higher_number_counts_whichever_was_made_sure(tmp_path):
    for newer in (True, False):
        with open_folder(tmp_path / str(newer)) as folder:
            folder.write(Kept({"sure": newer}, 2), sure=newer)
            folder.write(Kept({"sure": not newer}, 1), sure=not newer)
        with open_folder(tmp_path / str(newer)) as folder:
            assert folder.kept == Kept({"sure": newer}, 2)


def test_of_values_that_are_torn_those_of_before_count(tmp_path):
    with open_folder(tmp_path) as folder:
        folder.write(Kept({"which": "old"}, 1), sure=True)
        folder.write(Kept({"which": "new"}, 2), sure=False)
    newest = tmp_path / "replay" / "newest.json"
    whole = newest.read_bytes()
    for size in range(len(whole)):
        newest.write_bytes(whole[:size])
        with open_folder(tmp_path) as folder:
            assert folder.kept == Kept({"which": "old"}, 1), size
    (tmp_path / "replay" / "state.json").write_bytes(b"{}")
    with pytest.raises(FileError, match=r"cannot be gone on with: .* Remove the folder"):
        open_folder(tmp_path)


def test_another_configuration_is_named_value_by_value(tmp_path):
    with open_folder(tmp_path) as folder:
        folder.write(Kept({}, 1), sure=True)
    with pytest.raises(ConfigError, match=r"there 5, here 6.*replay.path, or remove"):
        open_folder(tmp_path, **{"replay.capacity": 6})
    with ReplayFolder(tmp_path / "replay", {"replay.capacity": 6}, anew=True) as folder:
        assert folder.kept is None


def test_another_format_is_refused(tmp_path):
    with open_folder(tmp_path) as folder:
        folder.write(Kept({}, 1), sure=True)
    file = tmp_path / "replay" / "state.json"
    head, _, body = file.read_bytes().partition(b"\n")
    file.write_bytes(json.dumps({**json.loads(head), "format": 2}).encode() + b"\n" + body)
    with pytest.raises(MismatchError, match="format 2; this zdqn reads format 1"):
        open_folder(tmp_path)


def test_a_folder_in_which_nothing_was_kept_yet_is_begun_anew(tmp_path):
    with open_folder(tmp_path) as folder:
        folder.allocate("numbers", (10,), np.dtype(np.uint8))[:] = 1
    with open_folder(tmp_path) as folder:
        assert not folder.allocate("numbers", (20,), np.dtype(np.uint8)).any()


def test_one_process_at_a_time_has_it(tmp_path):
    taken = pytest.raises(RunDirectoryTakenError, match=r"replay is in use by .*process \d+")
    with open_folder(tmp_path), taken:
        open_folder(tmp_path)
    open_folder(tmp_path).close()


def test_a_file_of_another_size_is_refused(tmp_path):
    with open_folder(tmp_path) as folder:
        folder.allocate("numbers", (10,), np.dtype(np.uint8))
        folder.write(Kept({}, 1), sure=True)
    os.truncate(tmp_path / "replay" / "numbers.array", 9)
    with open_folder(tmp_path) as folder:
        with pytest.raises(FileError, match=r"numbers\.array has not the 10 bytes"):
            folder.allocate("numbers", (10,), np.dtype(np.uint8))
        with pytest.raises(FileError, match=r"others\.array: No such file"):
            folder.allocate("others", (10,), np.dtype(np.uint8))


FILL = """
import sys, numpy, pathlib
from zdqn.errors import FileError
from zdqn.records.replay_files import Kept, ReplayFolder
folder = ReplayFolder(pathlib.Path(sys.argv[1]) / "replay", {})
folder.allocate("small", (1000,), numpy.dtype(numpy.uint8))
try:
    folder.allocate("large", (4 * 2**20,), numpy.dtype(numpy.uint8))
except FileError as error:
    print(error)
print(sorted(path.name for path in folder.path.iterdir()))
folder.write(Kept({"a": 1}, 1), sure=True)
(folder.path.parent / "rest").write_bytes(b"x" * 2**19)
try:
    while True:
        with open(folder.path.parent / "rest", "ab") as rest: rest.write(b"x" * 4096)
except OSError:
    pass
try:
    folder.write(Kept({"a": "x" * 5000}, 2), sure=True)
except FileError as error:
    print(error)
folder.close()
print(ReplayFolder(folder.path, {}).kept)
"""


def test_a_full_disk_is_an_error_that_names_need_and_room(tmp_path):
    mount = f"mount -t tmpfs -o size=1m tmpfs {tmp_path}"
    inside = ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    try:
        subprocess.run([*inside, "true"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system of one's own may not be mounted here")
    done = subprocess.run(
        [*inside, sys.executable, "-c", FILL, str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    refused, files, failed, kept = done.stdout.strip().splitlines()
    assert "large.array needs 0.004 GB, and 0.001 GB are free (No space left" in refused
    assert "lower replay.capacity, or give another replay.path" in refused
    assert files == "['lock']"
    assert "Cannot write" in failed
    assert kept == "Kept(values={'a': 1}, number=1)"


def test_room_is_that_of_the_folders_disk(tmp_path):
    assert free_bytes(tmp_path) > 0
