"""A collector that goes along with servers as they come and go."""

import threading

import pytest

from zdqn.errors import ConfigError, EnvironmentFailedError, PeerUnavailableError
from zdqn.launch.slurm import collector_job
from zdqn.launch.slurm.collector_job import follow, stopped_by
from zdqn.launch.slurm.servers_search import FoundServers, ServersSearch
from zdqn.stopping import StopEvent

DEADLINE_S = 60.0


class Search(ServersSearch):
    """Finds what it was given, and notes after which start it was asked."""

    def __init__(self, *starts):
        self._starts = list(starts)
        self.asked: list[int] = []

    def find(self, *, after):
        self.asked.append(after)
        return FoundServers(self._starts.pop(0), "m", "l") if self._starts else None


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(collector_job, "restart_delay_s", lambda restarts: 0.0)


def collecting(*ends):
    """Collect with these ends: what is returned, or raised."""
    left = list(ends)

    def collect(servers):
        del servers
        end = left.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    return collect


def test_servers_that_said_that_they_end_are_not_joined_again():
    search = Search(1, 2)
    follow(search, collecting(True, True), threading.Event(), most_failures=0)
    assert search.asked == [0, 1, 2]


def test_those_that_moved_are_joined_wherever_they_are():
    search = Search(1, 3, 3)
    follow(search, collecting(False, False, True), threading.Event(), most_failures=0)
    assert search.asked == [0, 0, 0, 3]


def test_those_that_do_not_answer_are_tried_as_long_as_there_may_be_any(caplog):
    search = Search(*[1] * 20)
    ends = [PeerUnavailableError("nobody answers")] * 20
    follow(search, collecting(*ends), threading.Event(), most_failures=0)
    assert caplog.messages == ["nobody answers"] * 20


def test_what_may_pass_is_tried_again_so_often_as_is_allowed(caplog):
    broken = EnvironmentFailedError("it broke.")
    search = Search(1, 1, 1)
    with pytest.raises(EnvironmentFailedError):
        follow(search, collecting(broken, broken, broken), threading.Event(), most_failures=2)
    assert caplog.messages[-1] == "it broke. Beginning again (2 of 2)."


def test_what_would_fail_again_ends_it_at_once():
    with pytest.raises(ConfigError):
        follow(Search(1, 1), collecting(ConfigError("no")), threading.Event(), most_failures=9)


def test_an_attempt_ends_with_the_job_for_its_reason():
    stop = StopEvent()
    with stopped_by(stop, lambda: False, look_s=0.01) as attempt:
        assert not attempt.is_set()
        stop.set_for("SIGTERM")
        assert attempt.wait(DEADLINE_S)
        assert attempt.reason == "SIGTERM"


def test_an_attempt_ends_when_servers_are_others_now():
    moved = threading.Event()
    with stopped_by(StopEvent(), moved.is_set, look_s=0.01) as attempt:
        assert not attempt.is_set()
        moved.set()
        assert attempt.wait(DEADLINE_S)
