"""A run directory has one writer at a time, who is named, and who lets go however it ends."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from zdqn.errors import FileError, RunDirectoryTakenError
from zdqn.records.run_lock import RunLock, check_free, describe_holder

HOLD = """
import pathlib, sys, time
from zdqn.records.run_lock import RunLock
lock = RunLock(pathlib.Path(sys.argv[1]))
{then}
print("held", flush=True)
time.sleep(60)
"""
FORK = """
import os
here, there = os.pipe()
if os.fork() == 0:
    os.write(there, b"x")
    time.sleep(60)
os.read(here, 1)
"""


@pytest.fixture
def holding(tmp_path):
    """Starts processes that hold a lock."""
    started = []

    def start(path, then=""):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD.format(then=then), str(path)],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_another_process_is_refused_and_told_who_where_since_when_and_how(tmp_path, holding):
    holder = holding(tmp_path / "lock")
    with pytest.raises(RunDirectoryTakenError) as refused:
        RunLock(tmp_path / "lock")
    text = str(refused.value)
    assert refused.value.exit_code == 73
    assert f"(process {holder.pid} on {os.uname().nodename}, since 2" in text
    assert f"{tmp_path} is in use by {Path(sys.executable).name} -c" in text
    assert f"zdqn stop {tmp_path}" in text
    assert describe_holder(tmp_path / "lock") in text


def test_two_in_one_process_are_two(tmp_path):
    with RunLock(tmp_path / "lock"), pytest.raises(RunDirectoryTakenError):
        RunLock(tmp_path / "lock")
    RunLock(tmp_path / "lock").close()


def test_a_killed_holder_lets_go(tmp_path, holding):
    holder = holding(tmp_path / "lock")
    holder.kill()
    holder.wait(60)
    assert describe_holder(tmp_path / "lock") == ""
    RunLock(tmp_path / "lock").close()


def test_a_worker_that_was_forked_does_not_hold_it_on(tmp_path, holding):
    holder = holding(tmp_path / "lock", FORK)  # such as those of vectorization = "async"
    assert describe_holder(tmp_path / "lock")
    holder.kill()
    holder.wait(60)
    assert describe_holder(tmp_path / "lock") == ""
    with RunLock(tmp_path / "lock"):
        assert f"process {os.getpid()} " in describe_holder(tmp_path / "lock")


def test_who_looks_changes_nothing(tmp_path):
    assert describe_holder(tmp_path / "lock") == ""
    check_free(tmp_path / "lock")
    assert not any(tmp_path.iterdir())
    with RunLock(tmp_path / "lock"):
        with pytest.raises(RunDirectoryTakenError):
            check_free(tmp_path / "lock")
        assert describe_holder(tmp_path / "lock")
    check_free(tmp_path / "lock")


def test_a_look_that_takes_long_is_waited_for_and_a_holder_is_not(tmp_path):
    RunLock(tmp_path / "lock").close()
    ended = []
    with (tmp_path / "lock").open() as look:
        fcntl.flock(look, fcntl.LOCK_SH)

        def end():
            ended.append(True)
            fcntl.flock(look, fcntl.LOCK_UN)

        timer = threading.Timer(0.2, end)
        timer.start()
        with RunLock(tmp_path / "lock"):
            assert ended
            with pytest.raises(RunDirectoryTakenError):
                RunLock(tmp_path / "lock")
        timer.join()


def test_who_looks_keeps_nobody_from_taking_it(tmp_path):
    over = threading.Event()
    RunLock(tmp_path / "lock").close()

    def look():
        while not over.wait(0.0005):
            describe_holder(tmp_path / "lock")

    looking = threading.Thread(target=look)
    looking.start()
    taken = 0
    try:
        for _ in range(30):
            with RunLock(tmp_path / "lock") as lock:
                taken += describe_holder(lock.path) != ""
            time.sleep(0.001)
    finally:
        over.set()
        looking.join()
    assert taken == 30


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 3}', "\x00" * 9])
def test_a_holder_that_says_nothing_of_itself_holds_it_all_the_same(tmp_path, content):
    with RunLock(tmp_path / "lock"):
        (tmp_path / "lock").write_text(content)
        with pytest.raises(RunDirectoryTakenError, match="in use by another process"):
            RunLock(tmp_path / "lock")


def test_a_lock_that_was_removed_while_one_waited_is_not_taken_for_held(tmp_path, monkeypatch):
    first = RunLock(tmp_path / "lock")
    opened = os.open

    def open_and_lose(path, *arguments):
        descriptor = opened(path, *arguments)
        monkeypatch.setattr("zdqn.records.run_lock.os.open", opened)
        first.remove()
        first.close()
        return descriptor

    monkeypatch.setattr("zdqn.records.run_lock.os.open", open_and_lose)
    with RunLock(tmp_path / "lock"), pytest.raises(RunDirectoryTakenError):
        RunLock(tmp_path / "lock")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(FileError, match=r"nowhere is not writable.*--run-dir"):
        RunLock(tmp_path / "nowhere" / "lock")


def test_a_file_system_without_locks_is_said_and_serves(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("zdqn.records.run_lock.fcntl.flock", refuse)
    with RunLock(tmp_path / "lock"):
        assert "cannot be locked (No locks available)" in caplog.text
        assert describe_holder(tmp_path / "lock") == ""
