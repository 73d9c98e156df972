from types import SimpleNamespace

from zdqn.records.block_accounts import BlockTotals, Sent, Told
from zdqn.records.totals import RunTotals
from zdqn.roles.learner.block_count import BlockCount
from zdqn.wire.memory_messages import SessionBlocks
from zdqn.wire.status import MemoryStatistics


def test_memories_are_asked_before_collectors_and_both_are_kept():
    asked: list[str] = []
    accounts: dict[int, Told] = {
        1: Told([SessionBlocks(5, 4, 4, 0)]),
        2: Told([SessionBlocks(5, 9, 2, 0)]),
    }
    totals = RunTotals()

    def blocks_sent() -> list[Sent]:
        asked.append("collectors")
        return [Sent(5, 10)]

    def take_accounts() -> dict[int, Told]:
        asked.append("memory")
        return accounts

    count = BlockCount(
        totals,
        SimpleNamespace(blocks_sent=blocks_sent),
        SimpleNamespace(take_accounts=take_accounts),
    )
    expected = BlockTotals(sent=10, stored=6, lost=3, refused=0, in_flight=1)
    assert count.look() == expected
    assert asked == ["memory", "collectors"]
    accounts = {}
    assert count.look() == totals.blocks.counts() == expected


def test_a_memory_that_told_nothing_is_a_restart_all_the_same():
    totals = RunTotals()
    accounts: dict[int, Told] = {1: Told(), 2: Told(), 3: Told()}
    receivers = SimpleNamespace(take_accounts=lambda: accounts)
    count = BlockCount(totals, SimpleNamespace(blocks_sent=list), receivers)
    count.look()
    count.look()
    assert totals.restarts == 2


def test_what_the_newest_memory_began_with_is_asked_of_its_link():
    totals = RunTotals()
    totals.meet(3)
    totals.meet(4)
    told = {4: MemoryStatistics(came_back_with=17)}
    receivers = SimpleNamespace(came_back=told.get)
    count = BlockCount(totals, SimpleNamespace(), receivers)
    assert count.how_memory_came_back() == "it came back with 17 transitions"
    told[4] = MemoryStatistics(came_back_with=17, came_back_without=5)
    assert count.how_memory_came_back() == (
        "it came back with 17 transitions, and without 5 that came after its snapshot"
    )
    told[4] = MemoryStatistics()
    assert count.how_memory_came_back() == "what it held is lost, and fills again"
    totals.meet(5)
    assert count.how_memory_came_back() == ""  # it has not told yet
