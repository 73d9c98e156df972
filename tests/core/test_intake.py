"""Blocks in, transitions stored or refusals out; together they are stored as one by one."""

import json

import numpy as np
import pytest

from tests.rl.sampled import arrays_of
from zdqn.core.intake import Intake
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError, ProtocolError
from zdqn.wire import block_payload, codec
from zdqn.wire.memory_messages import BlockHeader, SampleRequest


@pytest.fixture
def start(spec, make_store, make_sender):
    """A store that has room, its intake, and a collector."""

    def make(**changes):
        store = make_store(spec, **changes)
        intake = Intake(store, n_step=1)
        return store, intake, make_sender(intake, spec)

    return make


@pytest.fixture
def make_large(make_store):
    """A store with room for many blocks, and its intake."""

    def make(spec, **changes):
        settings = {"capacity": 4000, "block_transitions": 16, "min_size": 1, **changes}
        store = make_store(spec, **settings)
        return store, Intake(store, n_step=1)

    return make


# --- one by one ---------------------------------------------------------------------------------


def test_a_block_that_comes_twice_is_stored_once(start):
    store, intake, sender = start()
    message = sender.message()
    intake.insert(message)
    intake.insert(message)
    assert store.size == 5
    assert intake.ledger.duplicated == 1


@pytest.mark.parametrize(
    "other",
    [
        EnvironmentSpec((5,), "float32", 2),
        EnvironmentSpec((4,), "float64", 2),
        EnvironmentSpec((4,), "float32", 3),
        EnvironmentSpec((4,), "float32", 2, 2),
        EnvironmentSpec((4,), "float32", 2, action_masks=True),
    ],
)
def test_a_block_of_another_environment_is_refused_and_others_go_on(other, start, make_sender):
    store, intake, sender = start()
    sender.send()
    stranger = make_sender(intake, other, session=2)
    with pytest.raises(
        MismatchError, match=r"another run or environment.*session 0000000000000002 sent it"
    ):
        stranger.send()
    sender.send()
    assert (store.size, intake.refused) == (10, 1)


@pytest.mark.parametrize("cut", [0, 3, 20, -1, -100])
def test_a_malformed_block_is_refused_counted_and_nothing_stored(cut, start):
    store, intake, sender = start()
    with pytest.raises(ProtocolError):
        intake.insert(sender.message()[:cut])
    assert (store.size, intake.refused) == (0, 1)
    sender.send()
    assert store.size == 5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_reward_that_is_not_finite_never_enters(value, start, spec, make_block):
    store, intake, sender = start()
    block = make_block(spec, 5)
    block.records["reward"][3] = value
    with pytest.raises(ProtocolError, match="not finite"):
        intake.insert(sender.message(block=block))
    assert (store.size, intake.refused) == (0, 1)


def test_something_other_than_a_block_is_refused(start):
    _, intake, _ = start()
    with pytest.raises(ProtocolError, match="expected BLOCK, got SAMPLE_REQUEST"):
        intake.insert(codec.encode(SampleRequest(batch_size=1)))
    assert intake.refused == 1


def test_a_block_larger_than_agreed_is_refused(start, spec, make_block):
    store, intake, sender = start(block_transitions=5)
    with pytest.raises(ProtocolError, match=r"6 transitions.*at most 5 .*block_transitions"):
        sender.send(6)
    with pytest.raises(ProtocolError, match="11 frames"):
        intake.insert(sender.message(block=make_block(spec, 5, frames=11)))
    with pytest.raises(ProtocolError, match=r"1 transitions and 3 frames.*at most 2 frames each"):
        intake.insert(sender.message(block=make_block(spec, 1, frames=3)))
    intake.insert(sender.message(block=make_block(spec, 5, frames=10)))
    assert (store.size, intake.refused) == (5, 3)


def test_a_refused_block_is_not_counted_as_lost_besides(start):
    _, intake, sender = start()
    sender.send()
    with pytest.raises(ProtocolError):
        intake.insert(sender.message()[:-1])
    sender.sequence += 1
    sender.send()
    assert (intake.refused, intake.ledger.lost) == (1, 0)


# --- together -----------------------------------------------------------------------------------


def encode(spec, block, sequence, **changes):
    values = {
        "session": 5, "sequence": sequence, "origin": spec.digest,
        "frames": len(block.frames), "transitions": len(block.records),
        "environment_steps": len(block.records) * (sequence + 1), "episodes": sequence,
        **changes,
    }  # fmt: skip
    return block_payload.encode_block(BlockHeader(**values), block)


def contents(store):
    """All that is stored, by key."""
    replay = store._replay
    batch = replay.sample(1, 4000)
    order = np.unique(batch.keys, return_index=True)[1]
    return {
        name: array[order] for name, array in arrays_of(batch).items() if name != "probabilities"
    }


@pytest.mark.parametrize("stack", [1, 3])
@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
@pytest.mark.parametrize("transitions", [1, 5])
def test_together_is_what_one_by_one_is(make_block, make_large, stack, kind, transitions):
    spec = EnvironmentSpec((2, 3), "uint8", 4, stack)
    blocks = [make_block(spec, transitions, seed=seed) for seed in range(6)]
    messages = [encode(spec, block, number) for number, block in enumerate(blocks)]
    prioritized = kind == "prioritized"
    together, by_one = (make_large(spec, prioritized=prioritized) for _ in range(2))
    assert together[1]._insert_joined(messages)
    for message in messages:
        by_one[1].insert(message)
    assert together[1].state_dict() == by_one[1].state_dict()
    assert together[0].limiter.state_dict() == by_one[0].limiter.state_dict()
    one, other = contents(together[0]), contents(by_one[0])
    assert len(one["keys"]) == 6 * transitions
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    together[0]._replay.check_valid()


@pytest.mark.parametrize(
    "numbers",
    [[0, 1, 2, 3], [0, 2, 1, 1, 3], [3, 2, 1, 0], [0, 0, 1, 0, 2, 1, 3], [1, 2, 0, 1]],
)
def test_acked_blocks_are_stored_in_order_however_they_come(make_block, make_large, numbers):
    spec = EnvironmentSpec((4,), "float32", 2)
    messages = {n: encode(spec, make_block(spec, 3), n, acked=True) for n in range(4)}
    together, by_one = (make_large(spec) for _ in range(2))
    together[1].insert_together([messages[number] for number in numbers])
    for number in numbers:
        by_one[1].insert(messages[number])
    missing, duplicated, early = 0, 0, 0
    for number in numbers:
        duplicated += number < missing
        early += number > missing
        missing += number == missing
    for store, intake in (together, by_one):
        assert store.size == 3 * missing
        assert (intake.heard(5), intake.ledger.received, intake.ledger.lost) == (
            missing,
            missing,
            0,
        )
        assert (intake.ledger.duplicated, intake.order.early) == (duplicated, early)


def test_the_same_blocks_are_stored_if_they_are_not_acked_and_what_is_missing_is_lost(
    make_block, make_large
):
    spec = EnvironmentSpec((4,), "float32", 2)
    store, intake = make_large(spec)
    intake.insert_together([encode(spec, make_block(spec, 3), number) for number in (0, 2, 3)])
    assert (store.size, intake.ledger.lost, intake.order.early) == (9, 1, 0)


def test_an_acked_block_that_is_refused_is_not_waited_for(make_block, make_large):
    spec = EnvironmentSpec((4,), "float32", 2)
    store, intake = make_large(spec)
    good, bad = make_block(spec, 3), make_block(spec, 3)
    bad.records["reward"][1] = np.nan
    messages = [
        encode(spec, block, n, acked=True) for n, block in enumerate([bad, good, bad, good])
    ]
    for number, message in enumerate(messages):
        refused = intake.insert_together([message, message])
        assert len(refused) == (number % 2 == 0)
        assert intake.heard(5) == number + 1
    assert (intake.refused, intake.ledger.lost, intake.ledger.duplicated) == (2, 0, 4)
    assert [tuple(row) for row in intake.sessions()] == [(5, 4, 2, 2)]
    assert store.size == 6


def test_a_memory_that_counts_on_from_a_snapshot_knows_what_is_gone(make_block, make_large):
    spec = EnvironmentSpec((4,), "float32", 2)
    messages = [encode(spec, make_block(spec, 3), n, acked=True) for n in range(8)]
    _, before = make_large(spec)
    before.insert_together(messages[:3])
    state = json.loads(json.dumps(before.state_dict()))
    before.insert_together(messages[3:6])
    _, intake = make_large(spec)
    intake.go_on_from(state, [])
    assert (intake.heard(5), intake.ledger.received) == (3, 0)
    assert intake.order.begin_at(5, 6) == 3
    assert intake.insert_together(messages[5:]) == []
    assert (intake.ledger.received, intake.ledger.lost, intake.ledger.duplicated) == (2, 3, 1)
    assert [tuple(row) for row in intake.sessions()] == [(5, 8, 5, 0)]
    assert intake.ledger.environment_steps == 6  # those of the others were counted before


def odd_ones(spec, good, make_block):
    bad_action = make_block(spec, 3)
    bad_action.records["action"] = [0, spec.num_actions, 1]
    bad_reference = make_block(spec, 3)
    bad_reference.records["observation"][1] = len(bad_reference.frames)
    not_finite = make_block(spec, 3)
    not_finite.frames[0, 0] = np.nan
    bad_reward = make_block(spec, 3)
    bad_reward.records["reward"] = [0, np.inf, 1]
    return {
        "garbage": b"garbage",
        "cut": encode(spec, good, 1)[:-1],
        "foreign": encode(spec, good, 1, origin=1),
        "empty": encode(spec, good, 1, frames=1),
        "action": encode(spec, bad_action, 1),
        "reference": encode(spec, bad_reference, 1),
        "reward": encode(spec, bad_reward, 1),
        "another run": encode(spec, good, 1, origin=spec.origin("another")),
        "frame": encode(spec, not_finite, 1),
    }


@pytest.mark.parametrize(
    "odd",
    ["garbage", "cut", "foreign", "empty", "action", "reference", "reward", "another run", "frame"],
)
def test_an_odd_one_is_refused_alone_and_named(make_block, make_large, odd):
    spec = EnvironmentSpec((4,), "float32", 2)
    store, intake = make_large(spec)
    good = make_block(spec, 3)
    messages = [encode(spec, good, 0), odd_ones(spec, good, make_block)[odd], encode(spec, good, 2)]
    errors = [refused.error for refused in intake.insert_together(messages)]
    assert len(errors) == intake.refused == 1
    assert store.size == 6
    if odd == "garbage":
        assert intake.ledger.lost == 1
        assert "nobody can say who sent it" in str(errors[0])
    else:
        assert intake.ledger.lost == 0, "it came, and was refused"
        assert "session 0000000000000005 sent it" in str(errors[0])
        assert intake.refusals[5].blocks == 1
        assert intake.refusals[5].reason in str(errors[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_frame_that_is_not_finite_is_refused_whatever_its_dtype(
    make_block, make_large, value, dtype
):
    spec = EnvironmentSpec((4,), dtype, 2)
    store, intake = make_large(spec)
    block = make_block(spec, 3)
    block.frames[-1, -1] = value
    ((_, error),) = intake.insert_together([encode(spec, block, 0)])
    assert "an observation that is not finite" in str(error)
    assert store.size == 0


def test_blocks_of_this_run_and_of_none_are_taken_and_of_another_refused(make_block, make_large):
    spec = EnvironmentSpec((4,), "float32", 2)
    _, intake = make_large(spec)
    block = make_block(spec, 3)
    intake.belong_to("run-a")
    origins = [spec.origin("run-a"), spec.digest, spec.origin("run-b")]
    for number, origin in enumerate(origins):
        refused = intake.insert_together([encode(spec, block, number, origin=origin)])
        assert len(refused) == (number == 2)
    intake.belong_to("run-b")
    assert intake.insert_together([encode(spec, block, 3, origin=origins[2])]) == []
    ((_, error),) = intake.insert_together([encode(spec, block, 4, origin=origins[0])])
    assert "run run-b" in str(error)


def test_a_sender_is_called_what_the_memory_calls_it(make_block, make_store):
    spec = EnvironmentSpec((4,), "float32", 2)
    intake = Intake(make_store(spec), n_step=1, name_of=lambda session: f"collector-{session}@host")
    block = make_block(spec, 3)
    ((_, error),) = intake.insert_together([encode(spec, block, 0, origin=1)])
    assert "collector-5@host sent it" in str(error)
    assert intake.refusals[5].blocks == 1


def test_of_very_many_senders_the_newest_are_told_apart(make_block, make_store):
    spec = EnvironmentSpec((4,), "float32", 2)
    intake = Intake(make_store(spec), n_step=1)
    block = make_block(spec, 3)
    for session in range(1_500):
        intake.insert_together([encode(spec, block, 0, origin=1, session=session)])
    assert intake.refused == 1_500
    assert sorted(intake.refusals) == list(range(500, 1_500))


def test_a_block_that_came_before_is_dropped_and_counted(make_block, make_large):
    spec = EnvironmentSpec((4,), "float32", 2)
    store, intake = make_large(spec)
    messages = [encode(spec, make_block(spec, 2), number) for number in (0, 1, 1, 2)]
    assert intake.insert_together(messages) == []
    assert (store.size, intake.ledger.duplicated, intake.ledger.received) == (6, 1, 3)


def test_a_large_part_of_a_small_ring_is_not_evicted_at_once(make_block, make_large):
    spec = EnvironmentSpec((4,), "float32", 2)
    store, intake = make_large(spec, capacity=8)
    messages = [encode(spec, make_block(spec, 4), number) for number in range(10)]
    assert not intake._insert_joined(messages)
    assert intake.insert_together(messages) == []
    assert store.size == 8


@pytest.mark.parametrize(("frame_bytes", "stored"), [(2047, 1), (2048, 3)])
def test_only_small_blocks_are_joined(make_block, make_large, monkeypatch, frame_bytes, stored):
    spec = EnvironmentSpec((frame_bytes,), "uint8", 2)
    store, intake = make_large(spec)
    assert store.block_bytes == 16 * frame_bytes
    sizes = []
    insert = store.insert

    def count(block, note, *, imported):
        sizes.append(len(block))
        insert(block, note)

    monkeypatch.setattr(store, "insert", count)
    messages = [encode(spec, make_block(spec, 2), number) for number in range(3)]
    assert intake.insert_together(messages) == []
    assert len(sizes) == stored
    assert sum(sizes) == store.size == 6


# --- state --------------------------------------------------------------------------------------


def test_an_intake_goes_on_where_another_was(start):
    _, intake, sender = start()
    sender.send()
    intake.insert(message := sender.message())
    with pytest.raises(ProtocolError):
        intake.insert(message[:-1])
    store, other, _ = start()
    other.load_state_dict(json.loads(json.dumps(intake.state_dict())))
    assert (other.refused, other.ledger.received) == (1, 2)
    assert other.insert_together([message, message]) == []
    assert (store.size, other.ledger.duplicated) == (0, 2)


# --- imported -------------------------------------------------------------------------------------


@pytest.mark.parametrize("joined", [True, False])
def test_no_samples_are_owed_for_imported_blocks_and_steps_are_nobodys(
    make_block, make_large, joined
):
    spec = EnvironmentSpec((4,), "float32", 2)
    store, intake = make_large(spec, samples_per_insert=2.0, samples_per_insert_window=1e6)
    nobodys = {"environment_steps": 0, "episodes": 0}
    messages = [
        encode(spec, make_block(spec, 3), 0),
        encode(spec, make_block(spec, 5), 0, session=6, imported=True, **nobodys),
        encode(spec, make_block(spec, 5), 1, session=6, imported=True, **nobodys),
    ]
    if joined:
        assert intake._insert_joined(messages)
    else:
        for message in messages:
            intake.insert(message)
    assert store.size == 13
    assert store.limiter.error == (4.0 if not joined else 6.0)  # the first of all fills the replay
    assert (intake.ledger.environment_steps, intake.ledger.episodes) == (3, 0)
    intake.insert(encode(spec, make_block(spec, 5), 2, session=6, **nobodys))
    assert store.limiter.error == (14.0 if not joined else 16.0)  # one that counts


def test_what_was_imported_is_known_from_what_is_kept_with_blocks(make_block, make_large):
    spec = EnvironmentSpec((4,), "float32", 2)
    _, intake = make_large(spec, kept=True)
    headers = [
        BlockHeader(
            session=session, sequence=0, origin=spec.digest, frames=4, transitions=count,
            environment_steps=0 if imported else count, episodes=0, imported=imported,
        )
        for session, count, imported in ((5, 30, False), (6, 7, True))
    ]  # fmt: skip
    note = intake._note(headers)
    for again in (False, True):
        store, other = make_large(spec, samples_per_insert=1.0, samples_per_insert_window=1e6)
        store.limiter.inserts = 37  # as of the arrays
        if again:
            other.go_on_from(intake.state_dict(), [note])
        else:
            other.take_in(note)
            assert other.ledger.accounts[6].received == 1
        assert store.limiter.error == 30.0
