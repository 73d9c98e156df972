"""The roles of one host, with small programs in their place."""

import signal
import sys

import pytest

from zdqn.launch.cluster import agent_processes
from zdqn.launch.cluster.agent_processes import AgentProcesses
from zdqn.launch.cluster.frames import EndedReport, ErrorsReport, OutputReport, StartOrder
from zdqn.launch.plan import PlannedProcess

ECHO = """
import os, sys
print("says", os.environ["WORD"], flush=True)
print("logs", file=sys.stderr, flush=True)
data = b""
while piece := os.read(0, 100):
    data += piece
print(data.decode(), flush=True)
"""
DEAF = "import time, signal; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"


@pytest.fixture
def reports():
    return []


@pytest.fixture
def processes(tmp_path, reports, monkeypatch):
    scripts = {"echo": ECHO, "deaf": DEAF}

    def argv(self):
        if self.role == "none":
            return ["/no/such/program"]
        return [sys.executable, "-S", "-E", "-c", scripts[self.role]]

    monkeypatch.setattr(PlannedProcess, "argv", argv)
    made = AgentProcesses(tmp_path, reports.append)
    yield made
    made.end_all(0)


def test_what_it_says_and_logs_is_told_and_its_end_last(processes, reports, tmp_path):
    processes.start(StartOrder("echo", "a", {"WORD": "$(x)"}))
    processes.write_input("a", b"in")
    processes.write_input("a", b"put")
    processes.close_input("a")
    assert processes.wait_for_all(60)
    until_ended(reports)
    assert [one for one in reports if isinstance(one, OutputReport)] == [
        OutputReport("a", b"says $(x)\n"), OutputReport("a", b"input\n"),
    ]  # fmt: skip
    assert ErrorsReport("a", b"logs\n") in reports
    assert reports[-1] == EndedReport("a", 0)
    assert (tmp_path / "a.log").read_text() == "logs\n"


def until_ended(reports):
    import threading

    pause = threading.Event()
    while not any(isinstance(one, EndedReport) for one in reports):
        pause.wait(0.01)


def test_one_that_does_not_end_is_killed(processes, reports):
    processes.start(StartOrder("deaf", "a", {}))
    while OutputReport("a", b"\n") not in reports:
        pass
    processes.send_signal("a", signal.SIGTERM)
    processes.end_all(0.05)
    until_ended(reports)
    assert EndedReport("a", -signal.SIGKILL) in reports


def test_one_that_cannot_be_started_has_ended(processes, reports):
    processes.start(StartOrder("none", "a", {}))
    assert reports[-1] == EndedReport("a", agent_processes._CANNOT_START)
    assert b"cannot be started" in reports[0].line


def test_orders_for_who_is_no_more_are_nothing(processes):
    processes.write_input("x", b"y")
    processes.close_input("x")
    processes.send_signal("x", 9)
    assert processes.identities() == {}


def test_the_agent_logs_beside_its_roles(processes, tmp_path):
    processes.log("a", "it did something")
    assert "warning agent: it did something" in (tmp_path / "a.log").read_text()
