"""Sent = stored + lost + refused + in flight, whatever dies in between."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zdqn.core.ledger import Ledger
from zdqn.records.block_accounts import NO_BLOCKS, BlockAccounts, BlockTotals, Sent, Told
from zdqn.wire.memory_messages import SessionBlocks


def counts(*heard, sent, left=False):
    """Give the counts of one collector, whose memories told (heard, received, refused) in turn."""
    accounts = BlockAccounts()
    for memory, row in enumerate(heard):
        accounts.heard(memory, Told([SessionBlocks(5, *row)]))
    accounts.told([Sent(5, sent, left)])
    return accounts.counts()


def test_without_collectors_there_are_no_blocks():
    assert BlockAccounts().counts() == NO_BLOCKS == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("heard", "sent", "left", "expected"),
    [
        ([], 4, False, BlockTotals(4, 0, 0, 0, 4)),
        ([], 4, True, BlockTotals(4, 0, 4, 0, 0)),
        ([(4, 4, 0)], 4, False, BlockTotals(4, 4, 0, 0, 0)),
        ([(4, 4, 0)], 6, False, BlockTotals(6, 4, 0, 0, 2)),
        ([(4, 4, 0)], 6, True, BlockTotals(6, 4, 2, 0, 0)),
        ([(5, 3, 1)], 5, False, BlockTotals(5, 3, 1, 1, 0)),
        ([(4, 4, 0)], 2, False, BlockTotals(4, 4, 0, 0, 0)),  # it told before it sent more
        ([(4, 0, 4)], 4, False, BlockTotals(4, 0, 0, 4, 0)),
        # the second memory hears of number 10 first: 4 to 9 died with the first
        ([(4, 4, 0), (12, 2, 0)], 13, False, BlockTotals(13, 6, 6, 0, 1)),
        ([(4, 4, 0), (12, 2, 0)], 13, True, BlockTotals(13, 6, 7, 0, 0)),
        # nothing has come since, and it may still: it is not lost yet
        ([(4, 4, 0), (0, 0, 0)], 9, False, BlockTotals(9, 4, 0, 0, 5)),
        # a memory that had told nothing, and one that refuses everything
        ([(0, 0, 0), (8, 0, 3)], 8, False, BlockTotals(8, 0, 5, 3, 0)),
        ([(0, 0, 8), (0, 0, 3)], 20, False, BlockTotals(20, 0, 0, 11, 9)),
        # 7 to 9 came again, as the first memory died before the collector knew that it had them
        ([(10, 10, 0), (12, 5, 0)], 12, False, BlockTotals(12, 12, 0, 0, 0)),
        ([(10, 10, 0), (12, 5, 0), (15, 4, 0)], 15, False, BlockTotals(15, 15, 0, 0, 0)),
        ([(10, 10, 0), (12, 4, 1)], 13, True, BlockTotals(13, 11, 1, 1, 0)),
    ],
)
def test_every_block_is_somewhere(heard, sent, left, expected):
    assert counts(*heard, sent=sent, left=left) == expected
    assert expected.sent == sum(expected[1:])


def test_collectors_add_up_and_the_last_word_of_each_memory_counts():
    accounts = BlockAccounts()
    accounts.heard(1, Told([SessionBlocks(5, 2, 2, 0), SessionBlocks(6, 3, 2, 1)]))
    accounts.heard(1, Told([SessionBlocks(5, 4, 3, 0)]))
    accounts.told([Sent(5, 6), Sent(6, 3), Sent(7, 1)])
    assert accounts.counts() == BlockTotals(sent=10, stored=5, lost=1, refused=1, in_flight=3)


def test_a_memory_that_counts_on_from_an_earlier_moment_takes_the_place_of_others():
    accounts = BlockAccounts()
    accounts.told([Sent(5, 20), Sent(6, 9)])
    accounts.heard(1, Told([SessionBlocks(5, 15, 15, 0), SessionBlocks(6, 9, 9, 0)]))
    accounts.heard(2, Told([SessionBlocks(5, 10, 10, 0)], continues=True))
    assert accounts.counts() == BlockTotals(sent=29, stored=19, lost=0, refused=0, in_flight=10)
    accounts.heard(2, Told([SessionBlocks(5, 16, 11, 0)], continues=True))  # 10 to 14 are gone
    assert accounts.counts() == BlockTotals(sent=29, stored=20, lost=5, refused=0, in_flight=4)
    accounts.heard(3, Told([SessionBlocks(5, 20, 4, 0)]))
    assert accounts.counts() == BlockTotals(sent=29, stored=24, lost=5, refused=0, in_flight=0)


def test_who_does_not_tell_again_after_a_resume_has_left():
    accounts = BlockAccounts()
    accounts.heard(1, Told([SessionBlocks(5, 2, 2, 0)]))
    accounts.told([Sent(5, 6), Sent(6, 3)])
    resumed = BlockAccounts()
    resumed.load_state_dict(json.loads(json.dumps(accounts.state_dict())))
    assert resumed.counts() == BlockTotals(sent=9, stored=2, lost=7, refused=0, in_flight=0)
    resumed.told([Sent(6, 4)])
    assert resumed.counts() == BlockTotals(sent=10, stored=2, lost=4, refused=0, in_flight=4)


class World:
    """Three collectors, the memories that come and go, and a list of what became of each block.

    A killed memory's blocks count as lost where it had not told of them: nobody knows of them.
    """

    def __init__(self):
        self.accounts = BlockAccounts()
        self.memory = 0
        self.ledger = Ledger()
        self.refused: dict[int, int] = {}
        self.fates: dict[int, list[str]] = {0: [], 1: [], 2: []}
        self.queues: dict[int, list[int]] = {0: [], 1: [], 2: []}
        self.untold: list[tuple[int, int]] = []

    def send(self, session):
        self.queues[session].append(len(self.fates[session]))
        self.fates[session].append("in flight")

    def _leave_queue(self, session, fate):
        if not self.queues[session]:
            return None
        number = self.queues[session].pop(0)
        self.fates[session][number] = fate
        self.untold.append((session, number))
        return number

    def drop(self, session):
        self._leave_queue(session, "lost")

    def arrive(self, session):
        number = self._leave_queue(session, "stored")
        assert number is None or self.ledger.accept(session, number, 1, number, 0)

    def refuse(self, session):
        if self._leave_queue(session, "refused") is not None:
            self.ledger.refuse(session)
            self.refused[session] = self.refused.get(session, 0) + 1

    def tell(self, _session):
        rows = []
        for session in self.ledger.accounts.keys() | self.refused.keys():
            refused = self.refused.get(session, 0)
            account = self.ledger.accounts.get(session)
            heard, received = (account.heard, account.received) if account else (refused, 0)
            rows.append(SessionBlocks(session, heard, received, refused))
        self.accounts.heard(self.memory, Told(rows))
        self.untold.clear()

    def ping(self, session):
        self.accounts.told([Sent(session, len(self.fates[session]))])

    def kill(self, _session):
        for session, number in self.untold:
            self.fates[session][number] = "lost"
        self.untold.clear()
        self.memory, self.ledger = self.memory + 1, Ledger()
        self.refused.clear()

    def resume(self, _session):
        state = json.loads(json.dumps(self.accounts.state_dict()))
        self.accounts = BlockAccounts()
        self.accounts.load_state_dict(state)


_EVENTS = st.sampled_from(["send", "arrive", "drop", "refuse", "tell", "ping", "kill", "resume"])


@settings(max_examples=300)
@given(st.lists(st.tuples(_EVENTS, st.integers(0, 2)), max_size=200))
def test_it_agrees_with_a_list_of_all_blocks(events):
    """At the end the memory tells, and the collectors: then each block counts as what it became.

    What is dropped after the last that came is still thought to be on its way.
    """
    world = World()
    for event, session in [*events, ("tell", 0), ("ping", 0), ("ping", 1), ("ping", 2)]:
        getattr(world, event)(session)
    found = world.accounts.counts()
    blocks = [fate for of_one in world.fates.values() for fate in of_one]
    assert found.sent == found.stored + found.lost + found.refused + found.in_flight == len(blocks)
    assert found.stored == blocks.count("stored")
    assert found.refused == blocks.count("refused")
    assert found.in_flight >= blocks.count("in flight")
