"""What a collector may count: what an honest one sends is taken, and no lie moves a total far."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.core import block_counts
from zdqn.core.accumulator import Accumulator
from zdqn.core.block_counts import BlockCounts, SkippedError
from zdqn.core.intake import Intake
from zdqn.data import EnvironmentSpec
from zdqn.errors import ProtocolError
from zdqn.roles.acting.block_stream import BlockStream
from zdqn.wire import codec
from zdqn.wire.memory_messages import BlockHeader

SPEC = EnvironmentSpec((1,), "uint8", 2)
MOST = 2**48 - 1


def header(sequence, steps, episodes=0, *, transitions=5, session=1):
    return BlockHeader(
        session=session, sequence=sequence, origin=0, frames=1, transitions=transitions,
        environment_steps=steps, episodes=episodes,
    )  # fmt: skip


@pytest.fixture
def counts():
    return BlockCounts(block_transitions=5, n_step=1)


def take(counts, *headers):
    for one in headers:
        taken = counts.follow(one)
        assert taken is not None
        assert taken.next_sequence == one.sequence + 1
        assert (taken.environment_steps, taken.episodes) == (one.environment_steps, one.episodes)
        counts.keep({one.session: taken})


# --- honest ---------------------------------------------------------------------------------------


class World:
    """Environments that begin, step and end by chance; what `BlockStream` sends is kept."""

    def __init__(self, rng, environments, n_step, block_transitions, *, lockstep):
        self._rng, self._count, self._lockstep = rng, environments, lockstep
        self._accumulator = Accumulator(
            SPEC, environments=environments, n_step=n_step, discount=0.9,
            block_transitions=block_transitions,
        )  # fmt: skip
        self._playing = np.zeros(environments, np.bool_)
        self.take_block = self._accumulator.take_block
        self.episodes = 0
        if lockstep:
            self._accumulator.begin_all(np.zeros((environments, 1), np.uint8))

    @property
    def pending(self):
        return self._accumulator.pending

    @property
    def full(self):
        return self._accumulator.full

    @property
    def environment_steps(self):
        return self._accumulator.environment_steps

    def step(self):
        frames = np.zeros((self._count, 1), np.uint8)
        over = self._rng.random(self._count) < self._rng.choice([0.05, 0.9])
        values = [None, np.zeros(self._count, np.float32)]
        q = values[self._rng.integers(2)]
        if self._lockstep:
            starting = self._playing  # of the row before: it ended
            ended = over & ~starting
            self._accumulator.step_all(
                np.zeros(self._count, np.int64), np.zeros(self._count), frames, ended,
                np.zeros(self._count, np.bool_), 1, q, q, starting,
            )  # fmt: skip
            self._playing, self.episodes = ended, self.episodes + int(ended.sum())
            return
        chosen = np.flatnonzero(self._rng.random(self._count) < 0.7)
        new = chosen[~self._playing[chosen]]
        if len(new):
            self._accumulator.begin(new, frames[new])
            self._playing[new] = True
        if len(chosen):
            ended, zeros = over[chosen], np.zeros(len(chosen))
            self._accumulator.step(
                chosen, zeros.astype(np.int64), zeros, frames[chosen], ended, ended & False, 1
            )
            self._playing[chosen[ended]] = False
            self.episodes += int(ended.sum())
        playing = np.flatnonzero(self._playing)
        if len(playing) and self._rng.random() < 0.1:
            self._accumulator.cut(playing)  # the world is left
            self._playing[playing] = False
            self.episodes += len(playing)


class Sent:
    """Keeps what a stream sends; some of it is given up, as when a run ends."""

    def __init__(self):
        self.headers = []
        self.gives_up = False

    def send(self, message, give_up):
        if not self.gives_up:
            self.headers.append(codec.decode(message).header)
        return not self.gives_up


@given(
    seed=st.integers(0, 2**32 - 1),
    environments=st.integers(1, 5),
    n_step=st.integers(1, 7),
    room=st.integers(0, 4),
    lockstep=st.booleans(),
    age_s=st.sampled_from([0.5, 1e9]),
    lost=st.sampled_from([0.0, 0.1, 0.4]),
    heard_from=st.integers(0, 3),
    gives_up=st.booleans(),
)
def test_whatever_an_honest_collector_sends_is_taken(
    seed, environments, n_step, room, lockstep, age_s, lost, heard_from, gives_up
):
    rng = np.random.default_rng(seed)
    block_transitions = environments + room
    world = World(rng, environments, n_step, block_transitions, lockstep=lockstep)
    clock, sent = iter(range(1_000_000)), Sent()
    stream = BlockStream(
        world, sent, session=1, origin=0, compression="none", block_age_s=age_s,
        clock=lambda: next(clock),
    )  # fmt: skip
    for _ in range(60):
        world.step()
        stream.send_if_due(lambda: False)
    if gives_up:
        sent.gives_up = True
        while not stream.send_if_due(lambda: True):
            world.step()
        sent.gives_up = False
    stream.finish(lambda: False, wanted=True)
    counts = BlockCounts(block_transitions=block_transitions, n_step=n_step)
    for one in sent.headers[heard_from:]:
        if rng.random() >= lost:
            take(counts, one)


def test_blocks_that_queues_held_may_be_lost_when_a_link_breaks(counts):
    take(counts, header(0, 5), header(65, 330))
    with pytest.raises(SkippedError):
        counts.follow(header(69, 350))  # it lost 64 and 3, and two blocks came
    take(counts, header(66, 335), header(70, 355))


def test_a_collector_that_outlived_a_memory_is_counted_from_there(counts):
    take(counts, header(1_000_000, 5_000_000, 400_000), header(1_000_001, 5_000_005, 400_001))
    with pytest.raises(ProtocolError, match="at most 5000030"):
        counts.follow(header(1_000_002, 5_000_031, 400_001))


# --- lies -----------------------------------------------------------------------------------------

LIES: dict[str, list[tuple[int, ...]]] = {
    "steps of nobody": [(0, MOST)],
    "more steps than fit": [(0, 5 + 21)],
    "episodes without a step": [(0, 5, 6)],
    "steps out of a gap": [(0, 5), (3, 20 + 21)],
    "steps little by little": [*((number, 5 + 6 * number) for number in range(30))],
    "steps that go back": [(0, 5), (1, 4)],
    "episodes that go back": [(0, 5, 2), (1, 10, 1)],
    "more blocks than can be lost": [(0, 5), (MOST, MOST)],
    "a gap again and again": [(65 * number, 325 * number + 5) for number in range(30)],
    "first heard of with too much": [(3, 20 + 21)],
    "first heard of with too many episodes": [(3, 20, 21)],
    "heard of again with more": [(3, 20), (4, 25 + 21)],
    "heard of again with more episodes": [(9, 50), (10, 55, 11)],
}


@pytest.mark.parametrize("lie", LIES)
def test_a_count_that_no_block_can_hold_is_refused(counts, lie):
    refused = []
    for one in LIES[lie]:
        try:
            take(counts, header(*one))
        except ProtocolError as error:
            refused.append((one, str(error)))
    (sequence, steps, *_), text = refused[0]
    assert str(sequence if "block" in lie or "gap again" in lie else steps) in text


@pytest.mark.parametrize("together", [False, True])
def test_33_blocks_of_a_liar_move_no_total_further_than_33_blocks_can(
    make_store, make_sender, spec, together
):
    intake = Intake(
        make_store(spec, capacity=4_000), n_step=1, name_of=lambda session: f"liar-{session}"
    )
    honest, liar = make_sender(intake, spec), make_sender(intake, spec, session=2)
    honest.send()
    messages = [liar.message(sequence=n, environment_steps=MOST, episodes=MOST) for n in range(33)]
    batches = [messages] if together else [[message] for message in messages]
    refused = [block for batch in batches for block in intake.insert_together(batch)]
    assert intake.ledger.environment_steps == 5
    assert intake.ledger.episodes == 0
    assert intake.refused == len(refused) == 33
    text = str(refused[0].error)
    assert "liar-2 sent it" in text
    assert str(MOST) in text
    assert "at most" in text
    assert "environment_steps" in intake.refusals[2].reason
    honest.send()
    assert intake.ledger.environment_steps == 10


@given(st.lists(st.tuples(st.integers(0, 3), *[st.integers(0, MOST)] * 3), max_size=40))
def test_no_lie_moves_a_total_further_than_blocks_can(lies):
    """Whatever a peer says, a block adds no more than blocks and what queues lost can hold."""
    counts = BlockCounts(block_transitions=5, n_step=1)
    before: dict[int, int] = {}
    for session, sequence, steps, episodes in lies:
        one = header(sequence, steps, episodes, session=session)
        try:
            taken = counts.follow(one)
        except ProtocolError:
            continue
        if taken is None:
            continue  # it came before
        counts.keep({session: taken})
        if session in before:
            assert taken.environment_steps - before[session] <= 20 + 5 * (40 + 64)
        before[session] = taken.environment_steps


def test_a_number_out_of_nowhere_adds_nothing_to_what_is_lost(make_store, make_sender, spec):
    intake = Intake(make_store(spec), n_step=1)
    sender = make_sender(intake, spec)
    sender.send()
    steps = sender.steps + 5 * (MOST - 1)
    ((_, error),) = intake.insert_together(
        [sender.message(sequence=MOST - 1, environment_steps=steps % MOST)]
    )
    assert isinstance(error, SkippedError)
    assert (intake.ledger.lost, intake.ledger.environment_steps) == (0, 5)
    sender.send()  # counted from here on
    sender.send()
    assert (intake.ledger.lost, intake.ledger.environment_steps, intake.ledger.received) == (
        0, 15, 3,
    )  # fmt: skip


def test_a_goodbye_writes_off_no_more_than_can_be_lost(make_store, make_sender, spec):
    intake = Intake(make_store(spec), n_step=1)
    sender = make_sender(intake, spec)
    sender.send()
    assert intake.write_off(1, 8) == 7
    assert intake.write_off(1, MOST) == 65
    assert intake.ledger.lost == 65
    assert intake.write_off(99, MOST) == 0


def test_sessions_without_end_take_no_room_without_end(make_store, make_sender, spec, monkeypatch):
    monkeypatch.setattr(block_counts, "MOST_SESSIONS", 3)
    intake = Intake(make_store(spec), n_step=1)
    honest = make_sender(intake, spec)
    for session in range(2, 20):
        honest.send()
        make_sender(intake, spec, session=session).send()
    assert sorted(intake.ledger.accounts) == sorted(intake._counts._sessions) == [1, 18, 19]
    assert intake.ledger.accounts[1].next_sequence == 18
    assert intake.ledger.environment_steps == 2 * 18 * 5


def test_counts_go_on_from_a_saved_ledger(make_store, make_sender, spec):
    intake, other = (Intake(make_store(spec), n_step=1) for _ in range(2))
    sender = make_sender(intake, spec)
    sender.send()
    sender.send(episodes=4)
    other.load_state_dict(intake.state_dict())
    assert other.insert_together([sender.message(environment_steps=MOST)]) != []
    assert other.insert_together([sender.message(episodes=6)]) == []
