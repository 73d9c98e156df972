"""Blocks that go until they are acknowledged: through a world of faults, and by hand."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.roles.acting.unreliable_world import SESSION, World
from zdqn.records.block_accounts import BlockTotals, Sent
from zdqn.roles.acting.acked_link import AckedLink
from zdqn.wire.memory_messages import Arrivals

WAYS = st.fixed_dictionaries(
    {"paced": st.booleans(), "bad": st.sampled_from([0.0, 0.1]), "most_blocks": st.integers(1, 12)}
)


def play(seed, way, options):
    """Let a world go on for a while, and then let all arrive."""
    rng = random.Random(seed)
    world = World(rng, way=way, **options)
    world.faults = rng.choice([0.0, 0.02, 0.1])
    blocks = rng.randint(1, 60)
    world.collect(blocks)
    world.drain()
    world._tell()
    world.accounts.told([Sent(SESSION, blocks)])
    assert world.stream.blocks_sent == blocks
    assert len(world.lives) < 1000
    return world, blocks


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), WAYS)
def test_with_disk_every_block_is_stored_once_and_in_order(seed, options):
    world, blocks = play(seed, "disk", options)
    bad = world.source.bad
    assert world.memory.store.numbers == [n for n in range(blocks) if n not in bad]
    totals = world.accounts.counts()
    assert (totals.sent, totals.stored, totals.in_flight) == (blocks, blocks - len(bad), 0)
    assert totals.lost + totals.refused == len(bad)
    if not bad:
        assert world.memory.intake.ledger.lost == 0


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), WAYS)
def test_with_ram_each_memory_stores_in_order_and_what_dies_untold_is_lost(seed, options):
    world, blocks = play(seed, "ram", options)
    bad = world.source.bad
    known = set()
    for life in world.lives:
        numbers = life.store.numbers
        if numbers:
            assert numbers == [n for n in range(numbers[0], numbers[-1] + 1) if n not in bad]
        known |= set(numbers[: world.told.get(life.session, 0)])
    assert {n for life in world.lives for n in life.store.numbers} == {*range(blocks)} - bad
    totals = world.accounts.counts()
    assert totals.sent == blocks == sum(totals[1:])
    assert totals.in_flight == 0
    if not bad:
        assert totals == BlockTotals(blocks, len(known), blocks - len(known), 0, 0)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), WAYS)
def test_what_came_after_a_snapshot_is_lost_and_counted_exactly(seed, options):
    world, blocks = play(seed, "snapshot", options)
    numbers, bad = world.memory.store.numbers, world.source.bad
    assert numbers == sorted(set(numbers) - bad)
    totals = world.accounts.counts()
    assert totals.sent == blocks == sum(totals[1:])
    assert (totals.stored, totals.in_flight) == (len(numbers), 0)
    if not bad:
        assert totals.lost == blocks - len(numbers)


def test_a_world_without_faults_sends_nothing_again():
    world = World(random.Random(1))
    world.collect(200)
    world.drain()
    assert world.memory.store.numbers == [*range(200)]
    assert world.link.resent == world.memory.intake.ledger.duplicated == 0


@pytest.mark.parametrize("fault", ["cut", "kill", "drop", "reorder"])
def test_each_fault_would_lose_blocks(fault, monkeypatch):
    """Without going back the same schedules lose some, so that the tests above can fail."""
    monkeypatch.setattr("tests.roles.acting.unreliable_world.FAULTS", (fault,))
    monkeypatch.setattr("zdqn.roles.acting.acked_link.AckedLink._go_back", lambda *_: None)
    incomplete = 0
    for seed in range(20):
        world = World(random.Random(seed), most_blocks=1000)
        world.faults = 0.2
        monkeypatch.setattr(world.link, "_breaks", lambda: False)
        world.collect(30)
        world.faults = 0.0
        for _ in range(100):
            world.wait()
        incomplete += world.memory.store.numbers != [*range(30)]
    assert incomplete


# --- by hand ------------------------------------------------------------------------------------


class Sender:
    """Takes messages while there is room."""

    def __init__(self):
        self.messages: list[bytes] = []
        self.room = True
        self.breaks = 0
        self.reopened: list[int] = []

    def send(self, message, give_up):
        while not self.room:
            if give_up():
                return False
        self.messages.append(message)
        return True

    def broke(self):
        broke = self.breaks > 0
        self.breaks -= broke
        return broke

    def reopen(self):
        self.reopened.append(len(self.messages))


class Inquiry:
    """Gives the next of a list of answers whenever one is waited for; None takes the whole time."""

    address = World.address

    def __init__(self, clock):
        self.clock = clock
        self.asked: list[tuple[int, int, int]] = []
        self.answers: list[Arrivals | None] = []
        self.forgotten = 0

    def ask(self, blocks, *, wait_ms, oldest=0):
        self.asked.append((blocks, wait_ms, oldest))

    def forget(self):
        self.forgotten += 1

    def answer(self, timeout_ms):
        answer = self.answers.pop(0) if self.answers and timeout_ms else None
        if answer is None:
            self.clock.now_s += timeout_ms / 1000
        return answer


class Clock:
    now_s = 50.0

    def __call__(self):
        return self.now_s


class Acting:
    def __init__(self, *, most_blocks=4, most_bytes=1000, paced=False):
        self.clock = Clock()
        self.sender, self.inquiry = Sender(), Inquiry(self.clock)
        self.link = AckedLink(
            self.sender, self.inquiry, paced=paced,  # type: ignore[arg-type]
            most_blocks=most_blocks, most_bytes=most_bytes, clock=self.clock,
        )  # fmt: skip
        self.sent = 0

    def send(self, count, give_up=lambda: False):
        for _ in range(count):
            if not (
                self.link.wait(self.sent, give_up) and self.link.send(b"%d" % self.sent, give_up)
            ):
                return False
            self.sent += 1
            self.link.note_sent(self.sent)
        return True

    def goes_again(self, answer):
        """Take an answer, and say which blocks went because of it."""
        before = len(self.sender.messages)
        self.inquiry.answers = [answer]
        self.link.finish(iter([False, True, True, True]).__next__)
        self.link._send_kept(lambda: False)
        return [int(message) for message in self.sender.messages[before:]]


def came(heard, *, session=9, held_back=False, gap=False):
    return Arrivals(session=session, heard=heard, held_back=held_back, gap=gap)


def test_blocks_are_kept_until_they_are_acknowledged():
    acting = Acting()
    acting.send(3)
    assert (acting.link.heard, acting.link.unacknowledged) == (0, 3)
    assert acting.goes_again(came(2)) == []
    assert (acting.link.heard, acting.link.unacknowledged) == (2, 1)
    assert acting.sender.reopened == []


def test_when_the_window_is_full_it_waits_and_says_so(caplog):
    caplog.set_level("INFO")
    acting = Acting(most_blocks=4)
    acting.send(4)
    waited = []

    def look():
        waited.append(acting.link.waits_s)
        return False

    acting.inquiry.answers = [None] * 300 + [came(1)]
    assert acting.send(1, look)
    assert max(waited) == pytest.approx(30)
    assert acting.link.waits_s == 0
    assert acting.sender.messages == [b"0", b"1", b"2", b"3", b"4"]
    said = [line for line in caplog.messages if "to acknowledge 4 blocks" in line]
    assert said[0].startswith("waiting for the memory at tcp://memory:5556")
    assert 1 <= len(said) <= 3


def test_a_memory_that_holds_it_back_by_the_ratio_is_no_such_wait(caplog):
    caplog.set_level("INFO")
    acting = Acting(most_blocks=4)
    acting.send(4)
    acting.inquiry.answers = [came(0, held_back=True)] + [None] * 300 + [came(1, held_back=True)]
    assert acting.send(1)
    assert not [line for line in caplog.messages if "to acknowledge" in line]


def test_so_it_does_when_it_holds_many_bytes():
    acting = Acting(most_blocks=100, most_bytes=3)
    acting.send(3)
    left = iter([False, True])
    assert not acting.send(1, left.__next__)
    assert len(acting.sender.messages) == 3


def test_paced_it_sends_one_at_a_time_to_a_memory_that_holds_it_back():
    acting = Acting(paced=True, most_blocks=100)
    acting.send(1)
    left = iter([False, False, True])
    assert not acting.send(1, left.__next__)
    acting.inquiry.answers = [came(1, held_back=True)]
    assert acting.send(1)
    assert not acting.send(1, lambda: True)


def test_another_memory_gets_all_that_is_missing_over_a_new_connection():
    acting = Acting(most_blocks=8)
    acting.send(5)
    acting.goes_again(came(2))
    assert acting.goes_again(came(0, session=10)) == [2, 3, 4]
    assert acting.sender.reopened == [5]
    assert acting.inquiry.asked[-1][2] == 2  # it is told from where on blocks can come
    assert acting.link.resent == 3
    assert acting.goes_again(came(5, session=10)) == []


def test_after_a_break_it_is_asked_first_and_at_once():
    acting = Acting(most_blocks=8)
    acting.send(3)
    acting.sender.breaks = 1
    assert acting.goes_again(None) == []
    assert acting.inquiry.forgotten == 1
    assert acting.inquiry.asked[-1] == (2, 0, 0)
    assert acting.goes_again(came(1)) == [1, 2]
    assert acting.sender.reopened == [3]
    assert acting.goes_again(came(1)) == []


def test_connections_that_break_before_anything_came_are_made_ever_more_seldom():
    acting = Acting(most_blocks=8)
    acting.send(2)
    pauses_ms = []
    for _ in range(7):
        acting.sender.breaks = 1
        acting.goes_again(came(0))
        pauses_ms.append(acting.inquiry.asked[-1][1])
    assert pauses_ms == [0, 100, 200, 400, 800, 1600, 2000]
    acting.goes_again(came(1))
    acting.sender.breaks = 1
    acting.goes_again(came(1))
    assert acting.inquiry.asked[-1][1] == 0


def test_nothing_new_goes_into_a_connection_that_broke():
    acting = Acting(most_blocks=8)
    acting.send(1)
    acting.sender.breaks = 1
    acting.clock.now_s += 1  # it does not look every time
    assert not acting.send(1, lambda: True)
    assert acting.sender.messages == [b"0"]
    acting.inquiry.answers = [came(1)]
    assert acting.send(1)
    assert acting.sender.messages == [b"0", b"1"]


def test_a_gap_that_is_told_is_filled_at_once_but_not_over_and_over():
    acting = Acting(most_blocks=8)
    acting.send(3)
    assert acting.goes_again(came(1, gap=True)) == [1, 2]
    assert acting.goes_again(came(1, gap=True)) == []  # what was under way before looks like one
    acting.clock.now_s += 9
    assert acting.goes_again(came(1, gap=True)) == []
    acting.clock.now_s += 2
    assert acting.goes_again(came(1, gap=True)) == [1, 2]
    assert acting.goes_again(came(2)) == []
    acting.clock.now_s += 6  # what came makes it as patient as at first
    assert acting.goes_again(came(2, gap=True)) == [2]


@pytest.mark.parametrize(("held_back", "patience_s"), [(False, 5), (True, 50)])
def test_what_does_not_come_for_long_goes_again_ever_more_seldom(held_back, patience_s):
    acting = Acting(most_blocks=8)
    acting.send(2)
    for patience in (patience_s, 2 * patience_s):
        acting.clock.now_s += patience - 1
        assert acting.goes_again(came(0, held_back=held_back)) == []
        acting.clock.now_s += 1.5
        assert acting.goes_again(came(0, held_back=held_back)) == [0, 1]


def test_who_gives_up_while_there_is_no_room_has_not_sent():
    acting = Acting()
    acting.sender.room = False
    assert not acting.send(1, lambda: True)
    assert acting.link.unacknowledged == 0
    acting.sender.room = True
    assert acting.send(1)
    assert acting.sender.messages == [b"0"]


def test_it_asks_for_half_of_what_it_keeps_when_that_is_much():
    acting = Acting(most_blocks=100, most_bytes=10)
    acting.send(4)
    assert acting.inquiry.asked == []
    acting.send(1)
    assert acting.inquiry.asked == [(3, 1000, 0)]


def test_what_was_idle_for_long_is_not_impatient():
    acting = Acting(most_blocks=8)
    acting.send(1)
    acting.goes_again(came(1))
    acting.clock.now_s += 100
    acting.send(1)
    assert acting.goes_again(came(1)) == []


def test_at_the_end_it_waits_for_the_last_and_says_how_many_are_missing():
    acting = Acting(most_blocks=8)
    acting.send(3)
    acting.inquiry.answers = [None, came(2), None, None]
    until_s = acting.clock.now_s + 1
    assert acting.link.finish(lambda: acting.clock.now_s > until_s) == 1
    acting.inquiry.answers = [came(3)]
    assert acting.link.finish(lambda: False) == 0


def test_a_collector_that_sends_little_asks_all_the_same():
    acting = Acting(most_blocks=100)
    acting.send(1)
    assert acting.inquiry.asked == []
    acting.clock.now_s += 1
    acting.send(1)
    assert acting.inquiry.asked == [(1, 1000, 0)]
