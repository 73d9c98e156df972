import json
import logging
from types import SimpleNamespace

import pytest

from zdqn.records.totals import RunTotals
from zdqn.roles.learner.known_memories import KnownMemories
from zdqn.wire.memory_messages import Progress
from zdqn.wire.status import MemoryStatistics

NAMES = [name for name in Progress.__struct_fields__ if name != "session"]
EMPTY = (
    "resuming with a memory that begins empty, and fills again: what it held before was not kept"
)


def progress(session):
    return Progress(session=session, **dict.fromkeys(NAMES, 0))


class Told(dict[int, MemoryStatistics | None]):
    """What each start of the memory tells of itself, by its session; the first was joined."""

    @property
    def first_session(self):
        return next(iter(self), None)

    def came_back(self, session):
        return self.get(session)


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "zdqn.learner")

    def read():
        lines = [(record.levelname, record.getMessage()) for record in caplog.records]
        caplog.clear()
        return lines

    return read


def resumed_totals(*sessions):
    earlier = RunTotals()
    for session in sessions:
        earlier.observe(progress(session))
    totals = RunTotals()
    totals.load_state_dict(json.loads(json.dumps(earlier.state_dict())))
    return totals


def test_of_a_new_run_nothing_is_said(said):
    totals = RunTotals()
    memories = KnownMemories(totals, Told({3: MemoryStatistics()}), resumed=False)
    for _ in range(2):
        memories.observe(progress(3))
    assert (said(), totals.restarts) == ([], 0)


@pytest.mark.parametrize(
    ("session", "told", "line"),
    [
        (4, MemoryStatistics(size=9), EMPTY),
        (4, MemoryStatistics(came_back_with=50_000), "resuming with the 50000 transitions that "
         "the memory kept"),
        (4, MemoryStatistics(came_back_with=1, came_back_without=2_000), "resuming with the 1 "
         "transitions that the memory kept, and without 2000 that came after its snapshot"),
        (3, MemoryStatistics(size=4_000), "resuming with the memory that went on meanwhile: it "
         "holds 4000 transitions"),
    ],
)  # fmt: skip
def test_a_resumed_run_says_once_with_what_and_warns_of_nothing(said, session, told, line):
    totals = resumed_totals(3)
    memories = KnownMemories(totals, Told({session: told}), resumed=True)
    memories.begin()
    for _ in range(3):
        memories.observe(progress(session))
    assert said() == [("INFO", line)]
    assert totals.restarts == 0


def test_a_replay_on_disk_counts_on_under_its_old_session_and_is_no_restart(said):
    totals = resumed_totals(3)
    memories = KnownMemories(totals, Told({4: MemoryStatistics(came_back_with=7)}), resumed=True)
    memories.begin()
    memories.observe(progress(3))
    totals.meet(4)
    memories.observe(progress(3))
    assert said() == [("INFO", "resuming with the 7 transitions that the memory kept")]
    assert totals.restarts == 0


def test_it_waits_until_the_memory_has_told(said):
    told = SimpleNamespace(first_session=4, came_back=lambda _session: None)
    memories = KnownMemories(resumed_totals(3), told, resumed=True)
    memories.observe(progress(4))
    assert said() == []
    told.came_back = Told({4: MemoryStatistics()}).came_back
    memories.observe(progress(4))
    assert said() == [("INFO", EMPTY)]


@pytest.mark.parametrize("resumed", [False, True])
def test_a_memory_that_is_replaced_while_the_learner_runs_is_a_warning_each_time(said, resumed):
    totals = resumed_totals(3) if resumed else RunTotals()
    told = Told({4: MemoryStatistics()})
    memories = KnownMemories(totals, told, resumed=resumed)
    memories.observe(progress(4))
    said()
    told[5] = MemoryStatistics(came_back_with=17, came_back_without=5)
    told[6] = MemoryStatistics()
    for session in (5, 5, 6, 6):
        memories.observe(progress(session))
    assert said() == [
        ("WARNING", "the memory was restarted: it came back with 17 transitions, and without 5 "
         "that came after its snapshot"),
        ("WARNING", "the memory was restarted: what it held is lost, and fills again"),
    ]  # fmt: skip
    assert totals.restarts == 2


def test_one_that_goes_before_it_tells_is_only_a_restart(said):
    told = Told({4: None})
    memories = KnownMemories(resumed_totals(3), told, resumed=True)
    memories.observe(progress(4))
    told[5] = MemoryStatistics()
    memories.observe(progress(5))
    memories.observe(progress(5))
    assert [level for level, _ in said()] == ["WARNING"]
