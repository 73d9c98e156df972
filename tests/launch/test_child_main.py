"""The child's side: what it is told, what it tells, how it ends."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import zdqn
from zdqn.config import Config, RunSection
from zdqn.errors import ConfigError, EnvironmentFailedError, FileError, MismatchError
from zdqn.launch.child_main import (
    Assignment,
    ReportPipe,
    encode_assignment,
    read_assignment,
    run_role,
)
from zdqn.launch.starting import MOST_OUTPUT_BYTES
from zdqn.stopping import StopEvent


@pytest.fixture
def report():
    """A report, and a function that gives what was reported."""
    read_end, write_end = os.pipe()

    def reported():
        os.close(write_end)
        with os.fdopen(read_end) as stream:
            return [json.loads(line) for line in stream]

    return ReportPipe(write_end), reported


def assignment(**arguments):
    return Assignment(Config(run=RunSection(seed=3)), arguments, "info")


@pytest.mark.parametrize("piece_bytes", [1, 7, 1 << 20])
def test_an_assignment_arrives_however_it_is_cut(piece_bytes, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, ""])
    outside = 41
    data = encode_assignment(assignment(environment=lambda: outside + 1))
    stream = io.BytesIO(data)
    received = read_assignment(lambda size: stream.read(min(size, piece_bytes)))
    assert received is not None
    assert received.config == Config(run=RunSection(seed=3))
    assert received.arguments["environment"]() == 42
    assert "" not in sys.path  # the child may work elsewhere
    assert str(Path.cwd()) in sys.path


@pytest.mark.parametrize("length", [0, 5, 300])
def test_no_assignment_when_the_parent_dies_first(length):
    stream = io.BytesIO(encode_assignment(assignment())[:length])
    assert read_assignment(stream.read) is None


class Role:
    """Stands in for a role."""

    def __init__(self, config, *, stop, fault=None, result=None, on_bound=None):
        self.fault = fault
        self.result = result
        if on_bound is not None:
            on_bound({"samples": "tcp://a:1"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self):
        if self.fault is not None:
            raise self.fault
        return self.result


def test_an_assignment_for_elsewhere_is_text_and_brings_no_path():
    config = Config(run=RunSection(seed=5))
    given = {"run_directory": Path("/there"), "resume": None, "bind": "tcp://x:1", "insecure": True}
    data = encode_assignment(Assignment(config, given, "debug", elsewhere=True))
    head, _, body = data.partition(b"\n")
    assert json.loads(head) == {"plain": True, "bytes": len(body)}
    assert json.loads(body)["config"]["run"]["seed"] == 5
    before = list(sys.path)
    read = read_assignment(io.BytesIO(data).read)
    assert sys.path == before
    assert read is not None
    assert (read.config, read.log_level) == (config, "debug")
    del given["resume"]
    assert read.arguments == given


def run_stand_in(monkeypatch, report, role="memory", stop=None, **arguments):
    monkeypatch.setattr(zdqn, role.capitalize(), Role)
    return run_role(role, assignment(**arguments), report, stop or StopEvent())


def test_a_server_reports_its_addresses_and_its_end(monkeypatch, report):
    teller, reported = report
    assert run_stand_in(monkeypatch, teller) == 0
    assert reported() == [
        {"bound": {"samples": "tcp://a:1"}},
        {"ended": {"signal": "", "reason": ""}},
    ]


@dataclass(frozen=True)
class Result:
    stop_reason: str


@pytest.mark.parametrize(
    ("signalled", "result", "signal_told", "reason_told"),
    [
        ("", None, "", ""),
        ("", Result("updates"), "", "updates"),
        ("SIGTERM", None, "SIGTERM", ""),
        ("SIGTERM", Result("SIGTERM"), "SIGTERM", "SIGTERM"),
        ("SIGTERM", Result("zdqn stop"), "", "zdqn stop"),  # it was ending already
    ],
)
def test_the_end_of_a_run_and_a_signal_are_told_apart(
    monkeypatch, report, signalled, result, signal_told, reason_told
):
    teller, reported = report
    stop = StopEvent()
    if signalled:
        stop.set_for(signalled)
    assert run_stand_in(monkeypatch, teller, "collector", stop, result=result) == 0
    assert reported() == [{"ended": {"signal": signal_told, "reason": reason_told}}]


def test_a_mistake_is_reported_with_its_class(monkeypatch, report):
    teller, reported = report
    assert run_stand_in(monkeypatch, teller, "collector", fault=ConfigError("no such id")) == 78
    ((failed,),) = (message.values() for message in reported())
    assert (failed["kind"], failed["message"]) == ("ConfigError", "no such id")


def test_a_fault_is_reported_with_its_traceback(monkeypatch, report):
    teller, reported = report
    assert run_stand_in(monkeypatch, teller, "collector", fault=KeyError("lost")) == 70
    ((failed,),) = (message.values() for message in reported())
    assert failed["kind"] == "RoleFailedError"
    assert "KeyError" in failed["message"]
    assert "Traceback" in failed["traceback"]


def caused(error, cause):
    """Give an error that another one, which was raised here, has caused."""
    try:
        try:
            raise cause
        except type(cause) as caught:
            raise error from caught
    except type(error) as raised:
        return raised


@pytest.mark.parametrize(
    ("fault", "somebody_wants_to_see_where"),
    [
        (KeyError("lost"), True),
        (EnvironmentFailedError("it raised"), True),
        (caused(EnvironmentFailedError("it raised"), ValueError("fire")), True),
        (caused(ConfigError("the factory raised"), ZeroDivisionError()), True),
        (ConfigError("no such id"), False),
        (caused(ConfigError("no such module"), ImportError("x")), False),
        (caused(FileError("cannot read"), OSError("x")), False),
        (caused(ConfigError("wrong"), MismatchError("x")), False),
    ],
)
def test_whether_the_traceback_is_worth_a_look(
    monkeypatch, report, fault, somebody_wants_to_see_where
):
    teller, reported = report
    run_stand_in(monkeypatch, teller, "collector", fault=fault)
    ((failed,),) = (message.values() for message in reported())
    assert failed["by_given_code"] is somebody_wants_to_see_where


def test_a_report_is_never_longer_than_its_parent_takes(monkeypatch, report):
    teller, reported = report
    told = []

    def read():
        told.extend(reported())

    monkeypatch.setattr(teller, "_file_descriptor", os.dup(teller._file_descriptor))
    reader = threading.Thread(target=read)
    reader.start()
    run_stand_in(monkeypatch, teller, "collector", fault=ValueError("x" * 10_000_000 + "end"))
    os.close(teller._file_descriptor)
    reader.join()
    (message,) = told
    assert len(json.dumps(message)) < MOST_OUTPUT_BYTES
    assert message["failed"]["message"].endswith("end.")
    assert "characters left out" in message["failed"]["message"]


def test_a_report_to_a_dead_parent_is_no_error(monkeypatch):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with pytest.raises(BrokenPipeError):
        os.write(write_end, b"nobody reads this")
    assert run_stand_in(monkeypatch, ReportPipe(write_end)) == 0
    os.close(write_end)


@pytest.fixture
def memory_process():
    """Starts a memory in a process of its own, and gives it once it is up."""
    started = []

    def start(**how):
        child = subprocess.Popen(
            [sys.executable, "-m", "zdqn.launch", "memory", "memory"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(child)
        assert child.stdin is not None
        assert child.stdout is not None
        told = replace(assignment(bind="tcp://127.0.0.1:0"), **how)
        child.stdin.write(encode_assignment(told))
        child.stdin.flush()
        bound = json.loads(child.stdout.readline())["bound"]
        assert set(bound) == {"samples", "transitions"}
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def test_a_real_memory_lives_as_long_as_its_standard_input(memory_process):
    child = memory_process()
    child.stdin.close()
    assert child.wait(90) == 0
    assert b"serving samples" in child.stderr.read()
    child.stdin = None  # which `communicate` would flush


def last_word(child):
    """Wait for the end of a process, and give what it reported when it ended well."""
    assert child.wait(90) == 0
    reports, _ = child.communicate()
    return json.loads(reports.splitlines()[-1])["ended"]


def test_a_signal_ends_it_unless_that_is_its_parents_to_answer(memory_process):
    child = memory_process()
    child.send_signal(signal.SIGTERM)
    assert last_word(child)["signal"] == "SIGTERM"
    child = memory_process(ended_by_parent=True)
    for _ in range(3):
        child.send_signal(signal.SIGTERM)
    child.stdin.write(b"enough")
    child.stdin.close()
    child.stdin = None
    assert last_word(child)["signal"] == "enough"


def test_the_second_signal_ends_it_at_once_whoever_asked_before():
    script = """
import os, signal
from zdqn.launch.child_main import _stop_on_signals
from zdqn.stopping import StopEvent
stop = StopEvent()
_stop_on_signals(stop)
stop.set_for("asked by its parent")
os.kill(os.getpid(), signal.SIGTERM)
print(stop.reason, flush=True)
os.kill(os.getpid(), signal.SIGTERM)
print("not ended")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert done.stdout == b"asked by its parent\n"
    assert done.returncode == 128 + signal.SIGTERM


def test_why_its_parent_asks_it_to_stop_comes_before_the_end_of_its_input():
    script = """
import threading, time
from zdqn.launch.child_main import _stop_at_end_of_input
from zdqn.stopping import StopEvent
stop = StopEvent()
threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
stop.wait()
print(stop.reason)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], input=b"SIGINT", capture_output=True, check=True, timeout=60
    )
    assert done.stdout == b"SIGINT\n"
