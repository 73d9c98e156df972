"""Blocks that come again: which may be stored, and what is not waited for."""

import pytest

from zdqn.core import block_order
from zdqn.core.block_order import BlockOrder
from zdqn.core.ledger import Ledger


class Setting:
    def __init__(self):
        self.ledger = Ledger()
        self.order = BlockOrder(self.ledger, self)  # type: ignore[arg-type]
        self.forgotten: list[int] = []

    def believed_sent(self, session, sent):
        """Be what bounds counts: five blocks may be missing."""
        account = self.ledger.accounts.get(session)
        return sent if account is None else min(sent, account.next_sequence + 5)

    def forget(self, session):
        self.forgotten.append(session)

    def come(self, *numbers, session=7):
        """Let blocks come, and give those that were stored."""
        stored = []
        for number in numbers:
            if self.order.take(session, number):
                assert self.ledger.accept(session, number, 1, number, 0)
                stored.append(number)
        return stored


@pytest.fixture
def setting():
    return Setting()


def test_blocks_are_taken_in_order_and_no_other(setting):
    assert setting.come(1, 0, 2, 1, 1, 0, 2, 4, 3) == [0, 1, 2, 3]
    assert (setting.order.early, setting.ledger.duplicated) == (3, 2)
    assert setting.ledger.lost == 0
    assert setting.order.next_of(7) == 4
    assert (setting.order.early_of(7), setting.order.early_of(8)) == (3, 0)


def test_sessions_have_each_an_order(setting):
    assert setting.come(0, 1) == [0, 1]
    assert setting.come(0, session=8) == [0]
    assert (setting.order.next_of(7), setting.order.next_of(8)) == (2, 1)


def test_what_was_refused_does_not_come_again(setting):
    assert setting.order.take(7, 0)
    setting.order.pass_over(7, 0)
    assert setting.come(0, 1) == [1]
    setting.order.pass_over(7, 2)
    assert setting.come(3) == [3]
    assert (setting.ledger.lost, setting.ledger.received) == (0, 2)


def test_a_session_that_outlived_a_memory_begins_where_it_says(setting):
    assert setting.come(41, 42) == []
    assert setting.order.begin_at(7, 40) == 0
    assert setting.come(41, 40, 41) == [40, 41]
    assert setting.ledger.lost == 0
    assert setting.order.begin_at(7, 41) == 0  # it had not heard of 41 yet
    assert setting.come(42) == [42]


def test_what_is_not_kept_any_more_is_lost_if_it_can_be_true(setting):
    setting.come(0, 1)
    assert setting.order.begin_at(7, 4) == 2
    assert setting.forgotten == [7]  # what its next block may count is not bounded by the last
    assert setting.come(4) == [4]
    assert setting.order.begin_at(7, 10**9) == 0
    assert setting.ledger.lost == 2
    assert setting.come(10**9) == [10**9]  # counted from there on, and what was before is not
    assert setting.ledger.lost == 2


def test_of_what_a_memory_came_back_with_more_may_be_missing_once(setting):
    setting.come(0, 1)
    setting.order.come_back(setting.ledger.accounts)
    assert setting.order.begin_at(7, 1000) == 998
    assert setting.order.begin_at(7, 2000) == 0
    assert setting.ledger.lost == 998


def test_what_was_written_off_is_lost_once(setting):
    setting.come(0, 1)
    assert setting.ledger.write_off(7, 5) == 3
    assert setting.order.begin_at(7, 4) == 2
    assert setting.ledger.lost == 2
    setting.ledger.write_off(7, 6)
    setting.order.pass_over(7, 4)
    assert setting.ledger.lost == 2


def test_no_more_strangers_are_remembered_than_so_many(setting, monkeypatch):
    monkeypatch.setattr(block_order, "_MOST_SESSIONS", 2)
    for session in range(1, 5):
        setting.order.begin_at(session, 10)
        setting.order.take(session, 20)
    assert [setting.order.next_of(session) for session in range(1, 5)] == [0, 0, 10, 10]
    assert [setting.order.early_of(session) for session in range(1, 5)] == [0, 0, 1, 1]
