"""A host for as long as a run goes on: what waits for it, and what is lost with it."""

import pytest

from zdqn.errors import PeerUnavailableError
from zdqn.launch.cluster import host_session
from zdqn.launch.cluster.frames import CloseInputOrder, InputOrder, StartOrder
from zdqn.launch.cluster.host_session import HostSession


class FakeLink:
    """A connection over which nothing goes."""

    def __init__(self):
        self.sent = []
        self.is_over = False

    def send(self, order):
        self.sent.append(order)

    def ask(self, question, arguments, timeout_s):
        return question

    def finish(self, timeout_s):
        self.is_over = True

    def close(self):
        self.is_over = True


class Road:
    """Leads to a host, or does not."""

    def __init__(self):
        self.links = []
        self.closed = False
        self.said = []

    def connect(self, session):
        if self.closed:
            raise PeerUnavailableError("h: it is down")
        self.links.append(FakeLink())
        return self.links[-1]


@pytest.fixture
def road(monkeypatch):
    monkeypatch.setattr(host_session, "restart_delay_s", lambda failures: 0.005)
    return Road()


@pytest.fixture
def session(road):
    made = HostSession("h", connect=road.connect, say=road.said.append)
    made.open()
    yield made
    made.close()


def test_what_is_said_goes_to_whom_it_is_from(session, road):
    process = session.start("memory", "memory", {"X": "1"})
    process.write_input(b"do")
    assert road.links[0].sent == [
        StartOrder("memory", "memory", {"X": "1"}), InputOrder("memory", b"do"),
    ]  # fmt: skip
    session.output("memory", b"bound\n")
    session.errors("memory", b"line\n")
    session.output("nobody", b"?\n")
    session.ended("memory", 3)
    assert list(process.output_lines()) == [b"bound\n"]
    assert list(process.error_lines()) == [b"line\n"]
    assert process.wait() == 3


def test_with_the_connection_all_is_lost_and_says_why(session, road):
    process = session.start("collector", "c", {})
    session.lost(road.links[0], PeerUnavailableError("h: the connection broke"))
    assert process.wait() == PeerUnavailableError.exit_code
    (report,) = process.output_lines()
    assert b'"failed"' in report
    assert b'"lost": true' in report
    assert b"h: the connection broke" in report


def test_a_start_waits_for_the_host_and_then_has_all_it_was_told(session, road, until):
    road.closed = True
    session.lost(road.links[0], PeerUnavailableError("h: the connection broke"))
    process = session.start("collector", "c", {})
    process.write_input(b"do")
    until(lambda: road.said)
    assert road.said == ["waiting for h, to start c there: h: it is down"]
    road.closed = False
    until(lambda: len(road.links) == 2 and len(road.links[1].sent) == 2)
    assert road.links[1].sent == [StartOrder("collector", "c", {}), InputOrder("c", b"do")]
    until(lambda: "h is back" in road.said)


@pytest.mark.parametrize("end", ["close_input", "kill"])
def test_who_waits_for_a_host_can_be_told_not_to(session, road, until, end):
    road.closed = True
    session.lost(road.links[0], PeerUnavailableError("h: the connection broke"))
    process = session.start("collector", "c", {})
    getattr(process, end)()
    assert process.wait() == 0
    (report,) = process.output_lines()
    assert b'"ended"' in report
    road.closed = False
    until(lambda: len(road.links) == 2)
    assert road.links[1].sent == []


def test_a_connection_that_was_never_ready_takes_nothing_with_it(session, road):
    process = session.start("collector", "c", {})
    session.lost(FakeLink(), PeerUnavailableError("h: another attempt failed"))
    process.close_input()
    assert road.links[0].sent[-1] == CloseInputOrder("c")


def test_nobody_is_asked_while_it_is_away(session, road):
    assert session.ask("who", {}, 1.0) == "who"
    session.lost(road.links[0], PeerUnavailableError("h: the connection broke"))
    with pytest.raises(PeerUnavailableError, match="cannot be reached now"):
        session.ask("who", {}, 1.0)


def test_at_the_end_nobody_waits_any_more(session, road):
    road.closed = True
    session.lost(road.links[0], PeerUnavailableError("h: the connection broke"))
    process = session.start("collector", "c", {})
    session.finish()
    assert process.wait() == 0
