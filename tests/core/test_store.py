"""What is stored, how much room there is, and that a store goes on where another was."""

import json

import numpy as np
import pytest

from tests.rl.sampled import arrays_of
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, UsageError

VECTOR = EnvironmentSpec((4,), "float32", 2)
STACKED = EnvironmentSpec((84, 84), "uint8", 2, 4)


# --- room ---------------------------------------------------------------------------------------


def test_without_a_spec_there_is_nothing_and_nothing_is_wanted(make_store):
    store = make_store()
    assert (store.spec, store.size, store.nbytes, store.block_bytes) == (None, 0, 0, 0)
    assert (store.wants_inserts(), store.wanted_blocks(9), store.allowed_batches(4, 9)) == (0, 0, 0)
    store.make_room(VECTOR)
    assert store.spec == VECTOR
    assert store.block_bytes == 5 * 16
    assert (store.wants_inserts(), store.wanted_blocks(1)) == (1, 1)


@pytest.mark.parametrize("missing", [0, 1])
def test_room_is_made_to_the_last_byte_and_not_beyond(missing, make_store):
    store = make_store(capacity=1000)
    needed = 1206 * 16 + 1000 * (64 + VECTOR.record_dtype.itemsize)  # 1005 times 1.2
    if missing:
        with pytest.raises(ConfigError, match=r"replay.capacity is 1000: 1,206 frames of 16 bytes"):
            store.make_room(VECTOR, needed - missing)
        assert store.spec is None
    else:
        store.make_room(VECTOR, needed)
        assert 0 < store.nbytes <= needed


# --- in and out ---------------------------------------------------------------------------------


def test_the_limiter_says_how_many_blocks_it_wants(make_store, make_block):
    store = make_store(
        VECTOR, capacity=4000, min_size=1, samples_per_insert=1, batch_size=16, block_transitions=16
    )
    store.insert(make_block(VECTOR, 1))
    window = store.limiter.window
    wanted = store.wanted_blocks(100)
    assert wanted == int(window / 2 // 16) >= 1
    for _ in range(wanted):
        assert store.wants_inserts()
        store.insert(make_block(VECTOR, 16))
    assert store.wanted_blocks(100) == 0
    assert not store.wants_inserts()


def test_what_is_drawn_is_counted_and_its_priorities_may_come_too_late(make_store, make_block):
    store = make_store(VECTOR, capacity=5, min_size=5, prioritized=True)
    store.update_priorities(np.array([], np.int64), np.array([], np.float32))
    store.insert(make_block(VECTOR, 5))
    batch = store.draw(4, 2)
    assert len(batch) == store.limiter.samples == 8
    store.insert(make_block(VECTOR, 5))
    assert store.limiter.inserts == 10
    store.update_priorities(batch.keys, np.ones(8, np.float32))
    assert store.stale_priorities == 8
    with pytest.raises(UsageError, match="must be finite"):
        store.update_priorities(np.array([5]), np.array([np.nan], np.float32))


# --- state --------------------------------------------------------------------------------------


class KeptArrays:
    """An allocator that remembers what it made."""

    def __init__(self):
        self.by_name = {}

    def __call__(self, name, shape, dtype):
        assert name not in self.by_name
        self.by_name[name] = np.zeros(shape, dtype)
        return self.by_name[name]


class MappedArrays:
    """An allocator of files, which opens again what is there."""

    def __init__(self, folder, *, plain):
        self._folder, self._plain = folder, plain

    def __call__(self, name, shape, dtype):
        path = self._folder / name
        array = np.memmap(path, dtype, "r+" if path.exists() else "w+", shape=shape)
        return np.asarray(array) if self._plain else array


def through_json(state):
    return json.loads(json.dumps(state))


def copied(store, kept, make):
    """Another store with the same state."""
    state, arrays = through_json(store.state_dict()), KeptArrays()
    other = make(arrays)
    other.load_state_dict(state)
    assert list(arrays.by_name) == list(kept.by_name)
    for name, array in kept.by_name.items():
        arrays.by_name[name][...] = array
    return other, arrays


def work(rng, spec, make_block, store, other):
    """Do the same, at random, to two stores, and compare what comes of it."""
    if rng.random() < 0.5:
        block = make_block(spec, int(rng.integers(1, 6)), seed=int(rng.integers(2**31)))
        block.records["priority"] = rng.choice([-1.0, 0.0, 2.5], len(block))
        for each in (store, other):
            each.insert(block)
    batches = int(rng.integers(1, 4))
    allowed = store.allowed_batches(4, batches)
    assert allowed == other.allowed_batches(4, batches)
    if allowed:
        batch, same = store.draw(4, allowed), other.draw(4, allowed)
        for name, array in arrays_of(batch).items():
            np.testing.assert_array_equal(array, arrays_of(same)[name], err_msg=name)
        keys = batch.keys - rng.integers(0, 30, len(batch))  # some of them are gone
        errors = rng.normal(size=len(keys)).astype(np.float32) * 10
        for each in (store, other):
            each.update_priorities(keys, errors)
    assert store.wanted_blocks(50) == other.wanted_blocks(50)
    assert store.state_dict() == other.state_dict()


NAMES = {"frames", "records", "frame_positions"}
CASES = pytest.mark.parametrize(
    ("prioritized", "spec"),
    [(True, VECTOR), (False, VECTOR), (True, EnvironmentSpec((3, 5), "uint8", 6, 4))],
)


@CASES
def test_a_copy_goes_on_to_the_bit(prioritized, spec, make_store, make_block):
    def make(arrays, seed=8):
        return make_store(
            prioritized=prioritized, capacity=40, samples_per_insert=3.0, allocate=arrays, seed=seed
        )

    rng = np.random.default_rng(0)
    kept = KeptArrays()
    store = make(kept, seed=9)
    other, _ = copied(store, kept, make)  # empty, and without a spec
    assert other.state_dict() == store.state_dict()
    store.make_room(spec)
    other, arrays = copied(store, kept, make)
    assert set(arrays.by_name) == NAMES | ({"sum_tree"} if prioritized else set())
    for number in range(400):
        if number % 40 == 39:
            other, arrays = copied(store, kept, make)
        work(rng, spec, make_block, store, other)
    for name, array in kept.by_name.items():
        np.testing.assert_array_equal(array, arrays.by_name[name], err_msg=name)
    assert store.limiter.inserts > 5 * store.capacity  # the rings went round
    assert (store.stale_priorities > 0) is prioritized


@pytest.mark.parametrize("plain", [True, False])
@CASES
def test_a_store_in_files_can_be_closed_and_opened(
    plain, prioritized, spec, make_store, make_block, tmp_path
):
    """Made anew again and again over the files of the one before, beside one in RAM."""

    def make(**changes):
        return make_store(prioritized=prioritized, capacity=40, samples_per_insert=3.0, **changes)

    rng = np.random.default_rng(0)
    store = make(allocate=MappedArrays(tmp_path, plain=plain))
    store.make_room(spec)
    other = make()
    other.make_room(spec)
    paths = {path.name: path for path in tmp_path.iterdir()}
    assert set(paths) == NAMES | ({"sum_tree"} if prioritized else set())
    assert store.nbytes == other.nbytes <= sum(path.stat().st_size for path in paths.values())
    for number in range(300):
        if number % 30 == 29:
            state = through_json(store.state_dict())
            del store
            store = make(allocate=MappedArrays(tmp_path, plain=plain), seed=number)
            store.load_state_dict(state)
            assert store.size == other.size > 0
        work(rng, spec, make_block, store, other)
    assert any(path.read_bytes().strip(b"\0") for path in paths.values())


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("capacity", {"capacity": 50}, {"capacity": 51}),
        ("frame_capacity", {}, {"most_frames_per_transition": 3.0}),
        ("prioritized", {}, {"prioritized": True}),
        ("priority_exponent", {"prioritized": True}, {"prioritized": True, "priority_exponent": 1}),
    ],
)
def test_arrays_that_would_mean_something_else_are_refused(name, before, after, make_store):
    state = make_store(VECTOR, **before).state_dict()
    with pytest.raises(ConfigError, match=rf"was kept with {name} = .* with {name} = "):
        make_store(VECTOR, **after).load_state_dict(state)


def test_an_exponent_that_nothing_was_raised_to_may_change(make_store, make_block):
    before = make_store(VECTOR, priority_exponent=0.0)
    before.insert(make_block(VECTOR, 10))
    store = make_store(VECTOR, priority_exponent=1.0)
    store.load_state_dict(before.state_dict())
    assert store.state_dict() == before.state_dict()
    assert store.size == 10


def test_the_transitions_of_another_environment_are_refused(make_store):
    state = make_store(STACKED).state_dict()
    with pytest.raises(UsageError, match=r"float32 \(4,\).*uint8 \(84, 84\).*a new one"):
        make_store(VECTOR).load_state_dict(state)
