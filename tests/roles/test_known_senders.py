"""What a memory knows of those who send it blocks."""

import logging

import pytest

from zdqn.core.intake import Refused, RefusedBlock
from zdqn.errors import MismatchError
from zdqn.roles.known_senders import KnownSenders
from zdqn.wire.peers import PeerTable
from zdqn.wire.protocol import Delivery


class FakeIntake:
    def __init__(self):
        self.ledger = self
        self.senders: set[int] = set()
        self.refusals: dict[int, Refused] = {}
        self.refused = 3
        self.written_off: list[tuple[int, int]] = []

    def stored(self, session):
        return 10 * session

    def write_off(self, session, blocks_sent):
        self.written_off.append((session, blocks_sent))
        return 2


class Setting:
    def __init__(self):
        self.now_s = 100.0
        self.intake = FakeIntake()
        self.peers = PeerTable(dead_after_s=10.0)
        self.senders = KnownSenders(
            self.intake,  # type: ignore[arg-type]
            self.peers,
            clock=lambda: self.now_s,
        )

    def meet(self, session, role="collector"):
        return self.peers.hello(role, f"{role}-{session}", session, self.now_s)


@pytest.fixture
def setting():
    return Setting()


def test_who_sends_blocks_lives_and_who_does_not_dies(setting):
    for session in (1, 2):
        setting.meet(session)
    for _ in range(4):
        setting.now_s += 4.0
        setting.intake.senders |= {1, 99}
        setting.senders.note_signs_of_life()
        assert not setting.intake.senders
    assert [peer.session for peer in setting.peers.newly_dead(setting.now_s)] == [2]


def test_blocks_do_not_bring_back_who_has_gone(setting):
    peer = setting.meet(1)
    setting.now_s += 11.0
    setting.intake.senders = {1}
    setting.senders.note_signs_of_life()
    assert setting.peers.newly_dead(setting.now_s) == [peer]


def test_a_collector_is_told_what_became_of_its_blocks_and_nobody_else_is(setting):
    for session, role in ((1, "collector"), (2, "learner"), (3, "collector")):
        setting.meet(session, role)
    setting.intake.refusals[3] = Refused(5, "of another\x1b spec " + 300 * "x")
    assert setting.senders.delivery(1) == Delivery(stored=10, refused=0, reason="")
    told = setting.senders.delivery(3)
    assert (told.stored, told.refused, told.reason[:20]) == (30, 5, "of another  spec xxx")
    assert len(told.reason) == 256
    assert setting.senders.delivery(2) is None
    assert setting.senders.delivery(99) is None


def test_refused_blocks_are_logged_with_the_name_of_their_sender(setting, caplog):
    setting.meet(1)
    assert setting.senders.name_of(1) == "collector-1"
    assert setting.senders.name_of(2) == "session 0000000000000002"
    setting.senders.complain([RefusedBlock(1, MismatchError("bad; collector-1 sent it"))])
    assert caplog.messages == ["refused bad; collector-1 sent it (3 refused so far)"]


def test_what_a_gone_collector_sent_is_written_off_at_once_or_once_it_cannot_come(setting, caplog):
    caplog.set_level(logging.WARNING)
    gone, left = setting.meet(1), setting.meet(2)
    gone.statistics, left.statistics = {"blocks_sent": 4}, {"blocks_sent": 6}
    setting.senders.departed(left, died=False)
    setting.senders.departed(gone, died=True)
    setting.senders.write_off_departed()
    assert setting.intake.written_off == [(1, 4)]
    setting.now_s += 60.0
    setting.senders.write_off_departed()
    assert setting.intake.written_off == [(1, 4), (2, 6)]
    assert "2 blocks that collector-2 had sent never came: lost" in caplog.messages
