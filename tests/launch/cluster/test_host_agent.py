"""The agent of a host, with real roles: what it starts lives no longer than it may."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.launch.cluster.agents import ANSWER_S, Heard, connect, settle
from zdqn.config import Config
from zdqn.launch.child_main import Assignment, encode_assignment
from zdqn.launch.cluster import host_agent as agent_module
from zdqn.launch.cluster.agent_place import lives
from zdqn.launch.cluster.frames import (
    AliveOrder,
    CloseInputOrder,
    InputOrder,
    SignalOrder,
    StartOrder,
    encode_frame,
)

MEMORY = encode_assignment(
    Assignment(Config().replace("memory.bind", "tcp://127.0.0.1:0"), {}, "info", elsewhere=True)
)


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def link(heard, tmp_path):
    made = connect(heard)
    settle(made, tmp_path)
    yield made
    made.close()


def begin(link, heard, until):
    link.send(StartOrder("memory", "memory", {"ODD": "$(x)"}))
    link.send(InputOrder("memory", MEMORY))
    until(lambda: any(b"bound" in line for _, _, line in heard.lines))


def record(tmp_path):
    return json.loads((tmp_path / "hosts" / "h" / "agent.json").read_text())


def test_a_role_is_started_logged_and_ended(link, heard, until, tmp_path):
    begin(link, heard, until)
    assert "memory" in record(tmp_path)["processes"]
    link.send(CloseInputOrder("memory"))
    until(lambda: heard.ends)
    assert heard.ends == [("memory", 0)]
    log = (tmp_path / "hosts" / "h" / "logs" / "memory.log").read_bytes()
    assert b"serving samples at" in log
    assert log == b"".join(line for kind, _, line in heard.lines if kind == "errors")
    assert b'"ended"' in heard.lines[-1][2] or any(b'"ended"' in one[2] for one in heard.lines)


def test_a_role_gets_its_signals(link, heard, until):
    begin(link, heard, until)
    link.send(SignalOrder("memory", signal.SIGKILL))
    until(lambda: heard.ends)
    assert heard.ends == [("memory", -signal.SIGKILL)]


def test_roles_end_when_the_launcher_dies(heard, until, tmp_path):
    link = connect(heard)
    settle(link, tmp_path)
    begin(link, heard, until)
    left = record(tmp_path)
    link._process.stdin.close()
    until(lambda: not lives(left["processes"]["memory"]))
    until(lambda: not lives(left["agent"]))
    link.close()


def test_roles_end_when_the_agent_is_killed(link, heard, until, tmp_path):
    begin(link, heard, until)
    left = record(tmp_path)
    os.kill(left["agent"][0], signal.SIGKILL)
    until(lambda: not lives(left["processes"]["memory"]))


def test_what_is_kept_goes_on_until_the_agent_is_told_to_end(heard, until, tmp_path):
    link = connect(heard)
    settle(link, tmp_path)
    begin(link, heard, until)
    link.ask("keep", {"max_restarts": 3}, ANSWER_S)
    link.close()
    left = record(tmp_path)
    assert lives(left["agent"])
    assert lives(left["processes"]["memory"])
    with connect(Heard()) as visitor:
        visitor.ask("visit", {"directory": str(tmp_path), "host": "h"}, ANSWER_S)
        assert visitor.ask("signal", {"name": "memory", "number": 9}, ANSWER_S)
        until(lambda: lives(record(tmp_path)["processes"].get("memory", [])) and
              record(tmp_path)["processes"]["memory"] != left["processes"]["memory"])  # fmt: skip
        log = visitor.ask("read_log", {"name": "memory", "begin": -1, "tail": 50}, ANSWER_S)
        assert b"starting memory again (1 of 3)" in log["piece"]
        assert visitor.ask("signal", {"name": "agent", "number": 15}, ANSWER_S)
        until(lambda: not lives(left["agent"]))
    assert record(tmp_path)["ends"] == {"memory": 0}


def test_silence_is_the_end_of_a_connection():
    ours, theirs = os.pipe()
    os.write(theirs, encode_frame(AliveOrder()))
    orders = list(agent_module.read_orders(ours, lambda: 0.05))
    assert orders == [AliveOrder()]
    os.close(ours)
    os.close(theirs)


def test_what_is_no_order_is_one_too():
    ours, theirs = os.pipe()
    os.write(theirs, b"GET / HTTP/1.1\r\n")
    assert list(agent_module.read_orders(ours, lambda: 10.0)) == []
    os.close(ours)
    os.close(theirs)


def test_a_new_agent_takes_the_place_of_one_that_was_cut_off(link, heard, until, tmp_path):
    begin(link, heard, until)
    left = record(tmp_path)
    newer = connect(Heard())
    settle(newer, Path(tmp_path))
    assert not lives(left["agent"])
    assert not lives(left["processes"]["memory"])
    newer.close()
