"""Processes of this machine, as the launcher starts them."""

import os
import signal
import sys
from contextlib import contextmanager

import pytest

from zdqn.launch.starting import start_locally


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


def test_a_program_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        start_locally(["/no/such/program"], {})
