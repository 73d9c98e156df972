"""A connection to an agent, a real one: what is asked and told over it, and how it breaks."""

import sys

import pytest

from tests.launch.cluster.agents import ANSWER_S, Heard, connect
from zdqn.errors import MismatchError, PeerUnavailableError, ProtocolError
from zdqn.launch.cluster.host_link import HostLink
from zdqn.launch.cluster.versions import zdqn_version


@pytest.fixture
def heard():
    return Heard()


def test_an_agent_says_who_it_is(heard):
    with connect(heard) as link:
        who = link.ask("who", {}, ANSWER_S)
        assert who["zdqn"] == zdqn_version()
        with pytest.raises(ProtocolError, match='h: the agent knows no question "what"'):
            link.ask("what", {}, ANSWER_S)
    assert link.is_over


def test_what_a_login_prints_is_no_answer(heard):
    said: list[str] = []
    words = 'echo Welcome; echo quota 3 >&2; exec "$0" -P -m zdqn.launch.cluster'
    with connect(heard, ["sh", "-c", words, sys.executable], said) as link:
        assert link.ask("who", {}, ANSWER_S)["python"]


def test_what_is_no_agent_is_explained(heard):
    with pytest.raises(MismatchError, match="h: its Python has no zdqn"):
        connect(heard, [sys.executable, "-c", "import sys; sys.exit('No module named zdqn')"])


def test_one_that_does_not_speak_is_not_waited_for(heard):
    with (
        HostLink(
            "h", [sys.executable, "-c", "input()"], listener=heard, say=lambda line: None
        ) as link,
        pytest.raises(PeerUnavailableError, match="no agent of zdqn has answered within 0 s"),
    ):
        link.wait_for_agent(0.01)


def test_an_agent_that_is_killed_is_lost_and_said_so_once(heard, until):
    link = connect(heard)
    link._process.kill()
    until(lambda: heard.losses)
    assert len(heard.losses) == 1
    assert "h: the connection broke" in heard.losses[0]
    with pytest.raises(PeerUnavailableError, match="the connection broke"):
        link.ask("who", {}, ANSWER_S)
    link.close()
