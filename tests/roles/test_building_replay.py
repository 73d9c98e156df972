"""From configuration to the replay: every key that is to reach it does."""

import numpy as np
import pytest

from tests.roles.conftest import quick_config
from zdqn.core.broker import MemoryBroker
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError
from zdqn.roles.building_replay import build_broker, build_store
from zdqn.wire.memory_messages import NotReady, SampleRequest

SPEC = EnvironmentSpec((4,), "float32", 2)


@pytest.fixture
def filled(make_block):
    """Makes a store as configured, with some blocks in it."""

    def make(*overrides, blocks=8, transitions=16):
        store = build_store(quick_config("replay.min_size=1", *overrides))
        store.make_room(SPEC)
        for number in range(blocks):
            block = make_block(SPEC, transitions, seed=number)
            block.records["priority"] = 1.0 + np.arange(transitions)
            store.insert(block)
        return store

    return make


def keys_of(store, count=512):
    return store.draw(count, 1).keys


def test_the_capacity_is_the_configured_one(filled):
    assert filled("replay.capacity=40").size == 40
    assert filled("replay.capacity=1000").size == 128


def test_the_seed_is_the_runs(filled):
    keys = [keys_of(filled(f"run.seed={seed}")) for seed in (1, 1, 2)]
    assert np.array_equal(keys[0], keys[1])
    assert not np.array_equal(keys[0], keys[2])


@pytest.mark.parametrize(
    ("overrides", "prefers_the_last"),
    [
        (("replay.kind=uniform",), False),
        (("replay.kind=prioritized", "replay.priority_exponent=0"), False),
        (("replay.kind=prioritized", "replay.priority_exponent=1"), True),
        (
            (
                "replay.kind=prioritized",
                "replay.priority_exponent=1",
                "replay.priority_epsilon=1e6",
            ),
            False,
        ),
    ],
)
def test_kind_and_exponent_decide_what_is_drawn(filled, overrides, prefers_the_last):
    places = keys_of(filled(*overrides), 4096) % 16
    share = np.mean(places >= 8)  # by priority 1, 2, ... 16: 100 of 136
    assert share == pytest.approx(100 / 136 if prefers_the_last else 0.5, abs=0.04)


@pytest.mark.parametrize(("min_size", "batches"), [(128, 1), (129, 0)])
def test_learning_begins_with_the_configured_size(filled, min_size, batches):
    store = filled(f"replay.min_size={min_size}", "replay.samples_per_insert=0")
    assert store.allowed_batches(16, 1) == batches


def test_the_limiter_holds_the_configured_ratio_in_its_window(filled):
    store = filled("replay.samples_per_insert=4", "replay.samples_per_insert_window=1000", blocks=0)
    assert store.limiter.ratio == 4
    assert store.limiter.window == 1000


def test_a_window_too_small_for_batches_and_blocks_is_refused_with_one_that_works():
    config = quick_config("replay.samples_per_insert=2", "replay.samples_per_insert_window=3")
    with pytest.raises(ConfigError, match="48"):  # a batch of 16 and a block of 16 at 2 each
        build_store(config)


def test_room_for_frames_is_the_configured():
    for each, expected in ((1.0, 148), (3.0, 444)):
        config = quick_config(
            "replay.capacity=100", f"replay.frames_per_transition={each}",
        )  # fmt: skip
        room = build_store(config).make_room(SPEC)
        assert room.most_frames == room.usual_frames == expected  # and of three blocks of 16


def test_room_for_frames_is_by_itself_that_of_full_blocks_and_may_become_that_of_any():
    config = quick_config("replay.capacity=100", "algorithm.n_step=3", "collector.environments=4")
    room = build_store(config).make_room(SPEC)
    assert room.usual_frames == 203  # of 100 + 16 transitions, each 1 + 4 * 3 / 16
    assert room.most_frames == 232


def test_a_broker_answers_as_the_session_it_was_given():
    broker = build_broker(quick_config("replay.min_size=64"), session=77)
    assert isinstance(broker, MemoryBroker)
    assert broker.progress().session == 77
    answer = broker.sample(SampleRequest(batch_size=16))
    assert isinstance(answer, NotReady)
    assert answer.needed == 64
