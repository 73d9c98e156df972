"""The memory's decisions, as messages in and replies out; no sockets."""

import numpy as np
import pytest

from tests.rl.sampled import arrays_of
from zdqn.core.broker import Draw, MemoryBroker
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, FencedError, MismatchError, ProtocolError
from zdqn.wire import codec, payloads
from zdqn.wire.memory_messages import Batches, NotReady, SampleRequest

PLENTY = 10**12


@pytest.fixture
def make_broker(make_store):
    """A broker that nobody has said hello to."""
    return lambda **changes: MemoryBroker(make_store(**changes), session=77, n_step=1)


@pytest.fixture
def start(spec, make_broker, make_sender):
    """A broker that has agreed on the environment, and a collector."""

    def make(**changes):
        broker = make_broker(**changes)
        broker.agree(spec, PLENTY)
        return broker, make_sender(broker.intake, spec)

    return make


def read(result, spec):
    assert isinstance(result, Draw)
    header, batch = payloads.read_batches(codec.decode(result.message.tobytes()), spec)
    assert result.transitions == header.batch_size * header.batches
    return header, batch


def ask(broker, **changes):
    return broker.sample(SampleRequest(**{"batch_size": 4, **changes}))


# --- not ready ----------------------------------------------------------------------------------


def test_before_any_hello_there_is_no_environment(make_broker):
    broker = make_broker()
    assert not broker.store.wants_inserts()
    answer = ask(broker)
    assert isinstance(answer, NotReady)
    assert (answer.reason, answer.size, answer.needed) == ("no_spec", 0, 10)
    assert answer.progress.session == 77


def test_an_empty_memory_answers_that_it_is_filling(start):
    broker, _ = start(min_size=1)
    assert broker.store.wants_inserts()
    answer = ask(broker)
    assert isinstance(answer, NotReady)
    assert (answer.reason, answer.size) == ("filling", 0)


def test_the_first_batch_comes_exactly_at_min_size(start, spec):
    broker, sender = start(min_size=10)
    sender.send(5)
    sender.send(4)
    answer = ask(broker)
    assert isinstance(answer, NotReady)
    assert (answer.reason, answer.size, answer.needed) == ("filling", 9, 10)
    sender.send(1)
    header, _ = read(ask(broker), spec)
    assert header.size == 10


# --- in and out ---------------------------------------------------------------------------------


def test_what_was_inserted_is_what_is_sampled(start, spec, make_block):
    broker, sender = start(min_size=5)
    block = make_block(spec, 5)
    sender.send(5, block=block)
    header, batch = read(ask(broker, batch_size=64, batches=2), spec)
    assert (header.batch_size, header.batches, len(batch)) == (64, 2, 128)
    assert set(batch.keys) == set(range(5))
    records = block.records[batch.keys]
    np.testing.assert_array_equal(batch.observations, block.frames[records["observation"][:, 0]])
    np.testing.assert_array_equal(
        batch.next_observations, block.frames[records["next_observation"][:, 0]]
    )
    np.testing.assert_array_equal(batch.actions, records["action"])
    np.testing.assert_array_equal(batch.rewards, records["reward"])
    np.testing.assert_array_equal(batch.discounts, records["discount"])
    np.testing.assert_array_equal(batch.weight_versions, records["weight_version"])
    np.testing.assert_allclose(batch.probabilities, 1 / 5)


def test_stacked_frames_come_out_stacked(image_spec, make_block, make_broker, make_sender):
    broker = make_broker(min_size=5)
    broker.agree(image_spec, PLENTY)
    block = make_block(image_spec, 5)
    make_sender(broker.intake, image_spec).send(5, block=block)
    _, batch = read(ask(broker, batch_size=8), image_spec)
    np.testing.assert_array_equal(
        batch.observations, block.frames[block.records["observation"][batch.keys]]
    )
    assert batch.observations.shape == (8, 4, 3, 5)


@pytest.mark.parametrize("capacity", [1, 7, 100])
def test_the_configured_capacity_is_respected(capacity, start, spec):
    broker, sender = start(capacity=capacity, min_size=1)
    for _ in range(30):
        sender.send(5)
        assert broker.store.size <= capacity
    assert broker.store.size == capacity
    header, batch = read(ask(broker, batch_size=200), spec)
    assert header.size == capacity
    assert batch.keys.min() >= 150 - capacity
    assert header.progress.transitions == 150
    assert broker.statistics()["capacity"] == capacity


def test_capacity_1_is_no_replay_only_the_newest_is_learned_from(start, spec):
    broker, sender = start(capacity=1, min_size=1)
    for number in range(1, 4):
        sender.send(3)
        _, batch = read(ask(broker), spec)
        assert set(batch.keys) == {3 * number - 1}
        np.testing.assert_array_equal(batch.probabilities, 1.0)


def test_progress_travels_with_every_answer(start, spec):
    broker, sender = start(min_size=10)
    sender.send(5)
    sender.sequence += 2
    sender.send(5, environment_steps=25, episodes=3)
    assert read(ask(broker, batch_size=8), spec)[0].progress.samples == 8
    progress = read(ask(broker, batch_size=8), spec)[0].progress
    assert progress == broker.progress()
    assert progress.samples == 16
    assert (progress.environment_steps, progress.episodes) == (25, 3)
    assert (progress.transitions, progress.blocks, progress.blocks_lost) == (10, 2, 2)
    statistics = broker.statistics()
    assert (statistics["blocks_lost"], statistics["size"]) == (2, 10)


def test_progress_tells_what_became_of_blocks(start):
    broker, sender = start()
    sender.send()
    message = sender.message()
    for body in (message, message, message[:-1]):
        broker.intake.insert_together([body])
    progress = broker.progress()
    assert (progress.session, progress.transitions, progress.blocks) == (77, 10, 2)
    assert (progress.blocks_duplicated, progress.blocks_refused) == (1, 1)
    statistics = broker.statistics()
    assert (statistics["blocks_duplicated"], statistics["blocks_refused"]) == (1, 1)
    assert statistics["bytes"] == broker.store.nbytes > 0


# --- refusals -----------------------------------------------------------------------------------


def test_another_environment_is_refused_with_both_described(start, spec):
    broker, _ = start()
    broker.agree(spec, PLENTY)  # the same is welcome
    with pytest.raises(MismatchError, match=r"holds float32 \(4,\), 2 actions.*has uint8 \(4,\)"):
        broker.agree(EnvironmentSpec((4,), "uint8", 2), PLENTY)
    assert broker.store.spec == spec


def test_a_replay_larger_than_memory_is_refused_with_what_would_fit(spec, make_broker):
    broker = make_broker(capacity=1_000_000)
    with pytest.raises(
        ConfigError, match=r"replay.capacity is 1000000: .* need 0.1 GB, but only 0.0 GB"
    ):
        broker.agree(spec, 10**6)
    assert broker.store.spec is None
    broker.agree(spec, PLENTY)


@pytest.mark.parametrize(
    "changes", [{"batch_size": 10**8}, {"batches": 10**7}, {"batch_size": 10**5, "batches": 10**5}]
)
def test_a_reply_that_would_be_too_large_is_refused_before_it_is_made(changes, start):
    broker, sender = start()
    sender.send(5)
    sender.send(5)
    with pytest.raises(ProtocolError, match=r"MiB; ask for fewer"):
        ask(broker, **changes)


def test_a_batch_that_the_limiter_could_never_let_through_is_refused_even_before_the_hello(
    start, make_broker
):
    fresh = make_broker(samples_per_insert=2.0)
    agreed, _ = start(samples_per_insert=2.0)
    for broker in (fresh, agreed):
        with pytest.raises(MismatchError, match="batches of 1000 do not fit"):
            ask(broker, batch_size=1000, wait_ms=100)


# --- the limiter --------------------------------------------------------------------------------


def test_without_a_ratio_neither_side_is_held_back(start, spec):
    broker, sender = start()
    for _ in range(20):
        assert broker.store.wants_inserts()
        sender.send()
    assert read(ask(broker, batches=50), spec)[0].batches == 50


def test_the_limiter_holds_back_the_learner_then_the_collectors(start, spec):
    broker, sender = start(samples_per_insert=2.0, min_size=10)
    sender.send()
    sender.send()
    taken = 0
    while not isinstance(answer := ask(broker, batches=3), NotReady):
        header, batch = read(answer, spec)
        assert 1 <= header.batches <= 3
        assert len(batch) == header.batches * 4
        taken += len(batch)
        assert taken < 1_000
    assert answer.reason == "limited"
    assert broker.store.limiter.samples == taken

    sent = 0
    while broker.store.wants_inserts():
        sender.send()
        sent += 1
        assert sent < 1_000
    assert sent >= 1
    assert not isinstance(ask(broker), NotReady)  # the other side may always go on


def test_a_reply_holds_as_many_batches_as_are_allowed(start, spec):
    broker, sender = start(samples_per_insert=1.0, min_size=10)
    for _ in range(3):
        sender.send()
    allowed = broker.store.allowed_batches(4, 100)
    assert 0 < allowed < 100
    assert read(ask(broker, batches=100), spec)[0].batches == allowed


@pytest.mark.parametrize("ratio", [0.5, 4.0])
@pytest.mark.parametrize("eager", ["learner", "collector"])
def test_the_ratio_holds_whoever_is_faster(ratio, eager, start):
    broker, sender = start(samples_per_insert=ratio, min_size=10)
    for _ in range(400):
        for _ in range(10 if eager == "collector" else 1):
            if broker.store.wants_inserts():
                sender.send()
        for _ in range(10 if eager == "learner" else 1):
            ask(broker)
    assert broker.store.limiter.achieved == pytest.approx(ratio, rel=0.05)


# --- learners and priorities --------------------------------------------------------------------


def take_priorities(broker, keys, priorities, *, session=0):
    request = SampleRequest(batch_size=4, session=session, priorities=len(keys))
    arrays = (np.array(keys, np.int64), np.array(priorities, np.float32))
    message = codec.decode(codec.encode(request, arrays))
    broker.take_priorities(request, message)


def test_priorities_ride_on_a_request_and_change_what_is_drawn(start, spec):
    broker, sender = start(prioritized=True, min_size=5, priority_exponent=1.0)
    sender.send()
    take_priorities(broker, [0, 1, 2, 3, 4], [0, 0, 1.0, -3.0, 0])
    _, batch = read(ask(broker, batch_size=400), spec)
    assert np.mean(batch.keys == 3) == pytest.approx(0.75, abs=0.02)
    np.testing.assert_allclose(batch.probabilities[batch.keys == 3], 0.75, rtol=1e-4)


def test_priorities_of_evicted_items_are_counted_and_dropped(start):
    broker, sender = start(prioritized=True, capacity=5, min_size=5)
    for _ in range(2):
        sender.send()
    take_priorities(broker, [0, 4, 5, -1, 2**62], [1.0] * 5)
    assert broker.store.stale_priorities == 4
    assert broker.statistics()["stale_priorities"] == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("prioritized", [True, False])
def test_a_priority_that_is_not_finite_is_refused_and_none_is_taken(value, prioritized, start):
    broker, sender = start(prioritized=prioritized, min_size=5)
    sender.send()
    with pytest.raises(ProtocolError, match="not finite"):
        take_priorities(broker, [0, 1], [100.0, value])


def test_priorities_before_any_data_are_dropped(make_broker):
    broker = make_broker(prioritized=True)
    take_priorities(broker, [0, 1], [1.0, 1.0])
    assert broker.store.stale_priorities == 0


def test_no_more_priorities_are_taken_at_once_than_are_written_in_a_moment(start, monkeypatch):
    broker, sender = start(prioritized=True, min_size=5)
    sender.send()
    monkeypatch.setattr("zdqn.core.broker._MOST_PRIORITIES", 5)
    take_priorities(broker, [0, 1, 2, 3, 4], [1.0] * 5)
    with pytest.raises(ProtocolError, match="6 priorities in one request; at most 5"):
        take_priorities(broker, [0, 1, 2, 3, 4, 0], [1.0] * 6)


def test_a_request_that_claims_other_priorities_than_it_carries_is_refused(start):
    broker, _ = start(prioritized=True)
    request = SampleRequest(batch_size=4, priorities=3)
    message = codec.decode(codec.encode(request, (np.zeros(2, np.int64), np.zeros(2, np.float32))))
    with pytest.raises(ProtocolError, match="imply"):
        broker.take_priorities(request, message)


def test_a_newer_learner_fences_the_older_one(make_broker):
    broker = make_broker()
    broker.admit_learner(session=1, learner_epoch=3)
    take_priorities(broker, [], [], session=1)
    broker.admit_learner(session=2, learner_epoch=4)
    take_priorities(broker, [], [], session=2)
    with pytest.raises(FencedError, match="epoch 4"):
        take_priorities(broker, [], [], session=1)
    with pytest.raises(FencedError, match=r"epoch 4.*epoch 3"):
        broker.admit_learner(session=1, learner_epoch=3)
    take_priorities(broker, [], [], session=2)
    take_priorities(broker, [], [], session=0)  # a plain client is no learner


def test_before_a_restarted_memory_knows_its_learner_it_serves_it(start, spec):
    broker, sender = start(prioritized=True, min_size=5, priority_exponent=1.0)
    sender.send()
    take_priorities(broker, [0, 1, 2, 3, 4], [0, 0, 0, 1.0, 0], session=5)
    _, batch = read(ask(broker, batch_size=400, session=5), spec)
    assert np.mean(batch.keys == 3) > 0.9


def test_samples_say_their_kind(start, spec):
    broker, sender = start(min_size=5)
    sender.send()
    header, _ = read(ask(broker), spec)
    assert isinstance(header, Batches)
    assert len(broker.store.draw(4, 2)) == 8


# --- shared memory ------------------------------------------------------------------------------


def test_with_room_for_them_frames_are_written_there_and_are_the_same(start, spec):
    answers = []
    for room in (None, np.full(10_000, 255, np.uint8)):
        broker, sender = start()
        sender.send(5)
        sender.send(5)
        result = broker.sample(SampleRequest(batch_size=4, batches=2), room)
        assert isinstance(result, Draw)
        message = codec.decode(result.message.tobytes())
        answers.append(payloads.read_batches(message, spec, room))
    (header, sent), (shared_header, shared) = answers
    assert (header.shared, shared_header.shared) == (False, True)
    for name, array in arrays_of(sent).items():
        np.testing.assert_array_equal(getattr(shared, name), array)


def test_frames_for_which_the_room_is_too_short_travel_in_the_reply(start, spec):
    broker, sender = start()
    sender.send(5)
    sender.send(5)
    needed = payloads.slot_bytes(8, spec)
    for nbytes, shared in ((needed, True), (needed - 1, False), (0, False)):
        room = np.full(nbytes, 255, np.uint8)
        result = broker.sample(SampleRequest(batch_size=4, batches=2), room)
        assert isinstance(result, Draw)
        header, _ = payloads.read_batches(codec.decode(result.message.tobytes()), spec, room)
        assert header.shared == shared
        assert shared or (room == 255).all(), "nothing was written"
