"""The acting end of the transitions link, with a fake source, a fake link and a fake clock."""

import numpy as np
import pytest

from zdqn.data import NO_PRIORITY, Block, EnvironmentSpec
from zdqn.roles.acting.block_stream import BlockStream
from zdqn.wire import block_payload, codec
from zdqn.wire.memory_messages import BlockHeader

SPEC = EnvironmentSpec((4,), "float32", 2)


class Source:
    """Transitions to be taken three at a time."""

    def __init__(self):
        self.pending = 0
        self.environment_steps = 0
        self.episodes = 0

    @property
    def full(self):
        return self.pending >= 3

    def collect(self, transitions):
        self.pending += transitions
        self.environment_steps += transitions

    def take_block(self):
        count = min(3, self.pending)
        self.pending -= count
        if not count:
            return None
        records = np.zeros(count, SPEC.record_dtype)
        records["observation"][:, 0] = np.arange(count)
        records["next_observation"][:, 0] = np.arange(count) + 1
        records["priority"] = NO_PRIORITY
        frames = np.full((count + 1, 4), self.environment_steps, np.float32)
        return Block(frames, records)


class Link:
    """Takes messages; while it has no room, it asks whether to give up, a second each time."""

    def __init__(self, clock):
        self.clock, self.room, self.messages = clock, True, []

    def send(self, message, give_up):
        while not self.room:
            self.clock.now_s += 1.0
            if give_up():
                return False
        self.messages.append(message)
        return True

    @property
    def headers(self):
        return [codec.expect(codec.decode(message), BlockHeader) for message in self.messages]


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


class Acting:
    def __init__(self, **options):
        self.clock = Clock()
        self.source, self.link = Source(), Link(self.clock)
        self.stream = BlockStream(
            self.source,
            self.link,
            clock=self.clock,
            **{
                "session": 77,
                "origin": SPEC.digest,
                "compression": "none",
                "block_age_s": 2.0,
                **options,
            },
        )

    @property
    def counts(self):
        stream = self.stream
        return stream.blocks_sent, stream.transitions_sent, stream.transitions_unsent


def never():
    return False


def test_a_full_block_goes_at_once_and_says_what_it_is():
    acting = Acting()
    acting.source.collect(2)
    assert not acting.stream.send_if_due(never)
    acting.source.collect(1)
    acting.source.episodes = 5
    assert acting.stream.send_if_due(never)
    (header,) = acting.link.headers
    assert (header.session, header.sequence, header.origin) == (77, 0, SPEC.digest)
    assert (header.frames, header.transitions) == (4, 3)
    assert (header.environment_steps, header.episodes) == (3, 5)
    assert acting.counts == (1, 3, 0)
    block = block_payload.read_block(codec.decode(acting.link.messages[0]), SPEC)
    assert (block.frames == 3).all()


@pytest.mark.parametrize("acked", [False, True])
def test_a_block_says_whether_it_is_acked(acked):
    acting = Acting(acked=acked)
    acting.source.collect(3)
    acting.stream.send_if_due(never)
    assert acting.link.headers[0].acked is acked


def test_blocks_are_numbered_without_gaps():
    acting = Acting()
    for _ in range(4):
        acting.source.collect(3)
        acting.stream.send_if_due(never)
    assert [header.sequence for header in acting.link.headers] == [0, 1, 2, 3]
    assert acting.counts == (4, 12, 0)


def test_a_part_of_a_block_goes_when_the_last_one_is_old():
    acting = Acting(block_age_s=2.0)
    acting.source.collect(1)
    acting.clock.now_s += 2.0
    assert not acting.stream.send_if_due(never)
    acting.clock.now_s += 0.1
    assert acting.stream.send_if_due(never)
    assert acting.link.headers[0].transitions == 1
    acting.source.collect(1)
    acting.clock.now_s += 1.9
    assert not acting.stream.send_if_due(never)
    acting.source.collect(2)
    assert acting.stream.send_if_due(never)  # full: its age is of no account
    acting.source.collect(1)
    acting.clock.now_s += 1.9
    assert not acting.stream.send_if_due(never)


def test_nothing_is_not_sent_however_old():
    acting = Acting()
    acting.clock.now_s += 1000
    assert not acting.stream.send_if_due(never)
    acting.source.collect(1)
    assert acting.stream.send_if_due(never)


def test_it_waits_for_room_and_counts_how_long():
    acting = Acting()
    acting.link.room = False
    acting.source.collect(3)

    def make_room_at_the_third_time():
        acting.link.room = acting.clock.now_s >= 103.0
        return False

    assert acting.stream.send_if_due(make_room_at_the_third_time)
    assert acting.counts == (1, 3, 0)
    assert acting.stream.blocked_s == pytest.approx(3.0)


def test_the_age_counts_from_when_the_block_had_gone():
    acting = Acting(block_age_s=2.0)
    acting.link.room = False
    acting.source.collect(4)

    def make_room_late():
        acting.link.room = acting.clock.now_s >= 150.0
        return False

    acting.stream.send_if_due(make_room_late)
    assert not acting.stream.send_if_due(never)


def test_what_was_given_up_is_counted_and_takes_no_number():
    acting = Acting()
    acting.link.room = False
    acting.source.collect(3)
    acting.stream.send_if_due(lambda: True)
    assert acting.counts == (0, 0, 3)
    acting.link.room = True
    acting.source.collect(3)
    acting.stream.send_if_due(never)
    assert acting.link.headers[0].sequence == 0
    assert acting.counts == (1, 3, 3)


def test_at_the_end_all_that_is_ready_goes():
    acting = Acting()
    acting.source.collect(7)
    acting.stream.finish(never, wanted=True)
    assert [header.transitions for header in acting.link.headers] == [3, 3, 1]
    assert acting.counts == (3, 7, 0)


def test_at_the_end_of_the_run_nobody_wants_it():
    acting = Acting()
    acting.source.collect(2)
    acting.stream.finish(never, wanted=False)
    assert acting.link.messages == []
    assert acting.counts == (0, 0, 2)


def test_at_the_end_it_waits_no_longer_than_it_may():
    acting = Acting()
    acting.link.room = False
    acting.source.collect(7)
    acting.stream.finish(lambda: True, wanted=True)
    assert acting.counts == (0, 0, 7)


def test_frames_are_compressed_on_request():
    pytest.importorskip("lz4")
    acting = Acting(compression="lz4")
    acting.source.collect(3)
    acting.stream.send_if_due(never)
    assert acting.link.headers[0].compression == "lz4"
    assert (block_payload.read_block(codec.decode(acting.link.messages[0]), SPEC).frames == 3).all()


# --- running ahead ------------------------------------------------------------------------------


class Window:
    """Has room for two; news comes when the test says so."""

    def __init__(self):
        self.heard = 0
        self.news = []
        self.sent = []

    def wait(self, sent, give_up):
        while sent - self.heard >= 2:
            if give_up():
                return False
            self.heard = self.news.pop(0)
        return True

    def note_sent(self, sent):
        self.sent.append(sent)


def test_a_block_waits_until_few_are_on_their_way():
    window = Window()
    acting = Acting(window=window)
    for _ in range(3):
        acting.source.collect(3)
        window.news = [1]
        assert acting.stream.send_if_due(lambda: False)
    assert window.sent == [1, 2, 3]
    assert window.news == []
    acting.source.collect(3)
    acting.stream.send_if_due(lambda: True)
    assert (acting.stream.blocks_sent, acting.stream.transitions_unsent) == (3, 3)


def test_how_far_it_is_ahead_is_counted_in_steps():
    window = Window()
    acting = Acting(window=window)
    ahead = []
    for heard in ([], [], [1], [3], []):
        acting.source.collect(4)  # a block takes three of them
        window.news = heard
        acting.stream.send_if_due(lambda: False)
        ahead.append(acting.stream.steps_ahead)
    assert ahead == [4, 8, 8, 4, 8]


def test_without_a_window_it_is_not_known():
    acting = Acting()
    acting.source.collect(3)
    acting.stream.send_if_due(lambda: False)
    assert acting.stream.steps_ahead == 0
