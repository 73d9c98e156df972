"""What an agent does about the ends of its roles when there is no launcher any more."""

import json
import threading

import pytest

from zdqn.launch.cluster.frames import EndedReport, InputOrder, OutputReport, StartOrder
from zdqn.launch.cluster.keeper import Keeper


class Host:
    """Stands for the processes of a host, none of which is started."""

    def __init__(self):
        self.started: list[str] = []
        self.told: list[tuple[str, bytes]] = []
        self.said: list[str] = []
        self.keeper = Keeper(
            start=lambda order: self.started.append(order.name),
            write_input=lambda name, data: self.told.append((name, data)),
            say=lambda name, text: self.said.append(text),
        )

    def begin(self, role, name):
        self.keeper.note(StartOrder(role, name, {"X": "1"}))
        self.keeper.note(InputOrder(name, b"half "))
        self.keeper.note(InputOrder(name, b"order"))

    def end(self, name, code, **word):
        if word:
            self.keeper.see(OutputReport(name, json.dumps({"ended": word}).encode()))
        self.keeper.see(EndedReport(name, code))


@pytest.fixture
def host():
    return Host()


def test_a_role_that_was_killed_is_started_again_and_told_the_same(host, in_thread, until):
    host.begin("collector", "collector-0@h")
    host.keeper.keep(3)
    in_thread(host.keeper.run)
    host.end("collector-0@h", -9)
    until(lambda: host.told)
    assert host.started == ["collector-0@h"]
    assert host.told == [("collector-0@h", b"half order")]
    assert "starting collector-0@h again (1 of 3)" in host.said
    host.end("collector-0@h", 0, signal="", reason="the run is over")


def test_so_often_and_no_more(host):
    host.begin("collector", "c")
    host.keeper.keep(0)
    host.end("c", 70)
    host.keeper.run()
    assert host.started == []
    assert host.said == ["c ended with exit code 70; it stays so"]
    assert host.keeper.ends == {"c": 70}


@pytest.mark.parametrize(
    ("role", "code", "word"),
    [
        ("collector", 0, {"signal": "", "reason": "the run is over"}),
        ("memory", 0, {"signal": "", "reason": "the run is over"}),
        ("collector", 78, {}),
        ("learner", -9, {}),
    ],
)
def test_what_would_not_help_is_not_done(host, role, code, word):
    host.begin(role, "x")
    host.keeper.keep(3)
    host.end("x", code, **word)
    host.keeper.run()
    assert host.started == []


def test_while_there_is_a_launcher_it_decides(host):
    host.begin("collector", "c")
    host.end("c", -9)
    assert host.started == []
    assert host.keeper.ends == {"c": -9}


def test_it_is_done_when_all_have_ended(host):
    host.begin("memory", "memory")
    host.begin("collector", "c")
    host.keeper.keep(3)
    done = threading.Thread(target=host.keeper.run)
    done.start()
    host.end("c", 0, signal="", reason="over")
    assert done.is_alive()
    host.end("memory", 0, signal="", reason="over")
    done.join(60)
    assert not done.is_alive()
