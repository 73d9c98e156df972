import json
from types import SimpleNamespace

from zdqn.records.block_accounts import NO_BLOCKS, BlockTotals, Sent, Told
from zdqn.records.totals import RunTotals
from zdqn.roles.learner.block_count import BlockCount, describe_data
from zdqn.wire.memory_messages import Progress, SessionBlocks
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


def test_a_summary_counts_over_all_memories_and_all_starts_of_the_learner():
    earlier = RunTotals()
    earlier.observe(make_progress(1, samples=640))
    earlier.count(snapshots_dropped=2, waited_for_samples_s=1.5, actions_served=7)
    totals = RunTotals()
    totals.load_state_dict(json.loads(json.dumps(earlier.state_dict())))
    totals.begin_with(2)
    totals.observe(make_progress(2, samples=64))
    totals.count(snapshots_dropped=1, waited_for_samples_s=0.25, actions_served=0)
    told = MemoryStatistics(samples=64, samples_per_insert=8.0)
    data = describe_data(told, NO_BLOCKS, totals)
    assert (data["samples"], data["snapshots_dropped"], data["actions_served"]) == (704, 3, 7)
    assert (data["waited_for_samples_s"], data["memory_restarts"]) == (1.75, 0)
    assert data["samples_per_insert"] == 8.0  # a ratio is the last memory's


def make_progress(session, **counters):
    names = [name for name in Progress.__struct_fields__ if name != "session"]
    return Progress(session=session, **{**dict.fromkeys(names, 0), **counters})
