"""The training thread and the clients, watched by a clock that a test moves."""

from typing import Any

import pytest

from zdqn.roles.learner.stall_watch import IN_AN_UPDATE, Pulse, StallWatch
from zdqn.wire.peers import Peer
from zdqn.wire.status import RunStatus

TRAINING = RunStatus(run_id="r", phase="training")


class Setting:
    def __init__(self, caplog):
        caplog.set_level("INFO", "zdqn.learner")
        self.caplog = caplog
        self.now_s = 100.0
        self.pulse = Pulse()
        self.peers: list[Peer] = []
        self.watch = StallWatch(self.pulse, clock=lambda: self.now_s)

    def look(self, after_s=1.0, run=TRAINING):
        self.now_s += after_s
        self.watch.look(run, 31_349, lambda: self.peers)

    def said(self):
        return [record.getMessage() for record in self.caplog.records]

    def client(self, role, name, **statistics: Any):
        self.peers = [Peer(role, name, 7, 0, 0.0, statistics)]


@pytest.fixture
def setting(caplog):
    return Setting(caplog)


def update(setting, count=2):
    for _ in range(count):
        setting.pulse.beat("asking for a batch")
        setting.pulse.beat(IN_AN_UPDATE)


def test_a_training_thread_that_stands_still_is_named_and_so_is_that_it_goes_on(setting):
    update(setting)
    setting.look()
    setting.look(9.0)
    assert setting.said() == []
    assert setting.watch.stalled_s == 9.0
    setting.look(1.0)
    setting.look(5.0)
    told = setting.watch.tell(TRAINING, 31_349)
    assert (told.stalled_s, told.run_id) == (15.0, "r")
    assert told.last_did == "in an update, after 31,349 updates"
    setting.pulse.beat("asking for a batch")
    setting.look()
    assert setting.said() == [
        "the learner is stalled for 10 s, in an update, after 31,349 updates: its training thread "
        "does not go on",
        "the learner goes on, after 16 s",
    ]
    assert setting.watch.tell(TRAINING, 5) == TRAINING


def test_one_that_waits_for_data_beats(setting):
    update(setting)
    for _ in range(50):
        setting.pulse.beat("asking for a batch")
        setting.look()
    assert setting.said() == []


def test_the_first_update_may_take_long(setting):
    update(setting, 1)
    setting.look()
    setting.look(119.0)
    assert setting.said() == []
    setting.look(1.0)
    assert "the learner is stalled for 120 s" in setting.said()[0]


def test_only_training_is_judged(setting):
    update(setting)
    for _ in range(50):
        setting.look(run=RunStatus(phase="waiting for evaluations"))
    assert setting.said() == []


def test_clients_are_named_with_what_they_last_did(setting):
    setting.client("collector", "c-0", idle_s=10.0, environment_steps=90)
    setting.look()
    setting.client("collector", "c-0", idle_s=11.0, environment_steps=90)
    setting.look()
    setting.client("collector", "c-0", idle_s=0.0, environment_steps=91)
    setting.look()
    assert setting.said() == [
        "c-0 is stalled for 10 s, after 90 environment steps: a step or reset of its environment "
        "has not come back",
        "c-0 goes on, after 12 s",
    ]


def test_of_one_that_has_gone_nothing_more_is_said(setting):
    setting.client("evaluator", "e-0", idle_s=10.0, doing="evaluating snapshot 3")
    setting.look()
    setting.peers = []
    setting.look()
    assert len(setting.said()) == 1
    assert "e-0 is stalled for 10 s, evaluating snapshot 3, after 0" in setting.said()[0]


def test_it_looks_twice_a_second_at_most(setting):
    update(setting)
    setting.look(20.0)
    setting.client("collector", "c-0", idle_s=10.0)
    setting.look(0.4)
    assert setting.said() == []
    setting.look(0.2)
    assert len(setting.said()) == 1
