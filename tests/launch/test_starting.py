"""Processes of this machine, as the launcher starts them."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import zdqn
from tests.roles.conftest import DEADLINE_S
from zdqn.launch import starting
from zdqn.launch.starting import MOST_ERROR_BYTES, start_locally, where_zdqn_is


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A line that has begun waits for its end, however busy the machine."""
    monkeypatch.setattr(starting, "PATIENCE_S", DEADLINE_S)


@contextmanager
def started(script, **environment):
    process = start_locally([sys.executable, "-S", "-E", "-c", script], environment)
    output, errors = process.output_lines(), process.error_lines()
    try:
        yield process, output, errors
    finally:
        process.kill()
        process.wait()
        process.close_input()
        for _ in (*output, *errors):
            pass


def test_what_it_is_given_and_what_it_says():
    script = """
import os, sys
print(sys.stdin.readline().strip(), os.environ["OURS"], "PATH" in os.environ, flush=True)
print("first\\nsecond", file=sys.stderr)
sys.exit(7 if sys.stdin.read() == "" else 8)
"""
    with started(script, OURS="set") as (process, output, errors):
        process.write_input(b"hello\n")
        assert next(output) == b"hello set True\n"  # before its input ends
        process.close_input()
        process.close_input()
        assert list(errors) == [b"first\n", b"second\n"]
        assert list(output) == []
        assert process.wait() == 7


def test_one_that_has_ended_takes_nothing_and_can_be_let_go():
    with started("") as (process, _output, _errors):
        assert process.wait() == 0
        with pytest.raises(BrokenPipeError):
            process.write_input(b"too late")
        process.close_input()
        process.kill()


def test_what_it_has_started_ends_with_it():
    script = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-E", "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
child.wait()
"""
    with started(script) as (process, output, _errors):
        grandchild = int(next(output))
        assert os.getpgid(grandchild) != os.getpgid(0)  # so Ctrl-C does not reach it
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert list(output) == []  # the grandchild, which held it open, is no more


def test_a_signal_stops_it_and_another_lets_it_go_on():
    script = """
import os
while True:
    os.write(1, os.read(0, 64))
"""
    with started(script) as (process, output, _errors):
        process.signal(signal.SIGSTOP)
        process.write_input(b"still there\n")
        process.signal(signal.SIGCONT)
        assert next(output) == b"still there\n"
        process.signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM


def test_a_program_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        start_locally(["/no/such/program"], {})


def test_output_that_never_ends_a_line_is_given_while_it_comes(monkeypatch):
    monkeypatch.setattr(starting, "PATIENCE_S", 1.0)
    script = """
import sys, time
sys.stderr.write("loading"); sys.stderr.flush()
sys.stdin.readline()
for _ in range(2000):
    sys.stderr.write("x" * 1000)
sys.stderr.flush()
sys.stdin.read()
"""
    with started(script) as (process, _output, errors):
        assert next(errors) == b"loading"  # while the process waits for us
        process.write_input(b"\n")
        received = b""
        while len(received) < 1_900_000:
            piece = next(errors)
            assert len(piece) <= MOST_ERROR_BYTES
            received += piece
        process.close_input()


def test_a_carriage_return_shows_a_bar_of_progress_and_not_all_of_it():
    script = """
import sys, time
for percent in range(1000):
    sys.stderr.write(f"\\r{percent}")
sys.stderr.write("\\rdone\\n")
"""
    with started(script) as (_process, _output, errors):
        assert list(errors) == [b"done\n"]


IMPORTS = "import sys, zdqn; print(zdqn.__path__[0]); print(sys.path[0])"


def child_of(parent, folder, **environment):
    """Run a program that starts a process with ``-P``, and give what that one prints."""
    program = (
        f"{parent}import sys; from zdqn.launch.starting import start_locally; "
        f"p = start_locally([sys.executable, '-P', '-c', {IMPORTS!r}], {{}}); "
        "print(b''.join(p.output_lines()).decode()); print(b''.join(p.error_lines()).decode())"
    )
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder, env={**inherited, **environment}, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip


def test_a_process_finds_the_zdqn_that_its_parent_found_in_the_current_folder(tmp_path):
    root = Path(zdqn.__path__[0]).parent
    (tmp_path / "zdqn").symlink_to(root / "zdqn")
    found, first = child_of("", tmp_path)[:2]
    assert Path(found).resolve() == root / "zdqn"
    assert first != ""


def test_a_process_is_told_nothing_where_zdqn_is_found_without(monkeypatch):
    root = str(Path(zdqn.__path__[0]).parent)
    monkeypatch.setattr("sys.path", ["/elsewhere", root])
    assert where_zdqn_is() == {}
    monkeypatch.setattr("sys.path", [root, root])
    assert where_zdqn_is() == {}
    monkeypatch.setattr("sys.path", [root, "/elsewhere"])
    monkeypatch.setenv("PYTHONPATH", "/mine")
    assert where_zdqn_is() == {"PYTHONPATH": f"{root}:/mine"}
