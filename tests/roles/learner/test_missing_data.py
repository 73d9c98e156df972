"""What is said while no data comes, and when it is waited for no longer."""

import pytest

from zdqn.errors import PeerUnavailableError
from zdqn.roles.learner.missing_data import MissingData, describe_collectors
from zdqn.wire.status import CollectorStatistics


def told(name, idle_s=0.0):
    return name, CollectorStatistics(idle_s=idle_s)


@pytest.mark.parametrize(
    ("collectors", "words"),
    [
        ([], "no collector is alive"),
        ([told("a")], "1 collector is alive"),
        ([told("a", 9.9), told("b")], "2 collectors are alive"),
        ([told("a", 43.2)], "1 collector is alive; a is stalled, with no step for 43 s: a step "
         "or reset of its environment has not come back"),
        ([told(name, 20.0) for name in "abcde"], "5 collectors are alive; a is stalled, with no "
         "step for 20 s, b is stalled, with no step for 20 s, c is stalled, with no step for 20 s, "
         "and 2 more likewise: a step or reset of its environment has not come back"),
    ],
)  # fmt: skip
def test_collectors_in_words(collectors, words):
    assert describe_collectors(collectors) == words


class Setting:
    def __init__(self, give_up_after_s):
        self.now_s = 50.0
        self.said: list[str] = []
        self.missing = MissingData(
            give_up_after_s,
            collectors=lambda: [told("a")],
            say=self.said.append,
            clock=lambda: self.now_s,
        )

    def wait(self, came, at_s):
        self.now_s = at_s
        self.missing.wait_for("data", came)


def test_what_is_waited_for_is_said_with_who_could_bring_it():
    setting = Setting(0.0)
    setting.wait(0, 51.0)
    setting.wait(0, 1e9)
    assert setting.said == ["data; 1 collector is alive"] * 2


def test_after_so_long_without_a_transition_it_gives_up():
    setting = Setting(10.0)
    setting.wait(0, 1000.0)  # it did not wait before
    setting.wait(0, 1009.9)
    setting.wait(3, 1019.0)  # some have come
    setting.wait(3, 1028.9)
    with pytest.raises(
        PeerUnavailableError, match=r"for 10 s \(learner\.give_up_after_s\); 1 collector is alive"
    ):
        setting.wait(3, 1029.0)
