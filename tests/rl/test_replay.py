import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rl.sampled import arrays_of
from zdqn.data import NO_PRIORITY, EnvironmentSpec
from zdqn.errors import ConfigError, RoleFailedError, UsageError
from zdqn.rl.action_masks import pack_masks, unpack_masks
from zdqn.rl.replay import Replay

VECTOR = EnvironmentSpec((3,), "float32", 2)
STACKED = EnvironmentSpec((2, 2), "uint8", 2, frame_stack=4)
MASKED = EnvironmentSpec((2, 2), "uint8", 11, frame_stack=3, action_masks=True)


def make(spec=VECTOR, *, capacity=10, frames=40, prioritized=False, exponent=0.6, seed=0, **others):
    return Replay(
        spec,
        capacity=capacity,
        frame_capacity=frames,
        prioritized=prioritized,
        priority_exponent=exponent,
        priority_epsilon=0.01,
        rng=np.random.default_rng(seed),
        **others,
    )


def block(rng, spec, count, num_frames, *, priorities=NO_PRIORITY):
    frames = rng.integers(0, 256, (num_frames, *spec.observation_shape)).astype(spec.dtype)
    records = np.zeros(count, spec.record_dtype)
    for name in ("observation", "next_observation"):
        records[name] = rng.integers(0, max(num_frames, 1), (count, spec.frame_stack))
    records["action"] = rng.integers(0, 2, count)
    records["reward"] = rng.normal(size=count)
    records["discount"] = rng.random(count)
    records["weight_version"] = rng.integers(0, 2**40, count)
    records["priority"] = priorities
    if not spec.action_masks:
        return frames, records
    return frames, records, b"", pack_masks(rng.random((num_frames, spec.num_actions)) < 0.5)


def insert_some(replay, count, *, spec=VECTOR, priorities=NO_PRIORITY):
    replay.insert(*block(np.random.default_rng(0), spec, count, count, priorities=priorities))


class SlowReplay:
    """Copies every stack at once; forgets whole blocks while their frames are too many."""

    def __init__(self, spec, capacity, frame_capacity):
        self.spec, self.capacity, self.frame_capacity = spec, capacity, frame_capacity
        self.blocks = []  # (frames, key after the block), of those with a transition alive
        self.items = {}
        self.next_key = 0

    def insert(self, frames, records, note=b"", masks=None):
        self.forget(self.next_key + len(records) - self.capacity)
        while sum(count for count, _ in self.blocks) + len(frames) > self.frame_capacity:
            self.forget(self.blocks[0][1])
        for record in records:
            row = {name: record[name] for name in ("action", "reward", "discount")}
            row["weight_version"] = record["weight_version"]
            for name in ("observation", "next_observation"):
                stack = np.stack([frames[reference] for reference in record[name]])
                row[name] = stack.reshape(self.spec.stacked_shape).copy()
                if masks is not None:
                    row[f"{name} mask"] = unpack_masks(masks, self.spec.num_actions)[
                        record[name][-1]
                    ]
            self.items[self.next_key] = row
            self.next_key += 1
        self.blocks.append((len(frames), self.next_key))
        self.forget(self.next_key - self.capacity)

    def forget(self, oldest):
        self.items = {key: row for key, row in self.items.items() if key >= oldest}
        self.blocks = [(count, after) for count, after in self.blocks if after > oldest]

    def assert_equal(self, batch):
        for row, key in enumerate(batch.keys.tolist()):
            item = self.items[key]
            np.testing.assert_array_equal(batch.observations[row], item["observation"])
            np.testing.assert_array_equal(batch.next_observations[row], item["next_observation"])
            assert batch.actions[row] == item["action"]
            assert batch.rewards[row] == item["reward"]
            assert batch.discounts[row] == item["discount"]
            assert batch.weight_versions[row] == item["weight_version"]
            if self.spec.action_masks:
                assert batch.allowed[row].tolist() == item["observation mask"].tolist()
                assert batch.next_allowed[row].tolist() == item["next_observation mask"].tolist()


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    spec=st.sampled_from([VECTOR, STACKED, MASKED]),
    prioritized=st.booleans(),
    capacity=st.integers(1, 30),
    frame_capacity=st.integers(8, 60),
)
def test_it_agrees_with_a_slow_replay(seed, spec, prioritized, capacity, frame_capacity):
    rng = np.random.default_rng(seed)
    replay = make(
        spec, capacity=capacity, frames=frame_capacity, prioritized=prioritized, seed=seed
    )
    slow = SlowReplay(spec, capacity, frame_capacity)
    for _ in range(25):
        count, num_frames = int(rng.integers(0, 12)), int(rng.integers(1, 9))
        new = block(rng, spec, count, num_frames, priorities=rng.choice([-1.0, 0.0, 2.5], count))
        replay.insert(*new)
        if count:
            slow.insert(*new)
        replay.check_valid()
        assert replay.next_key == slow.next_key
        assert list(range(replay.oldest_key, replay.next_key)) == list(slow.items)
        assert replay.size == len(slow.items) <= capacity
        if replay.size == 0:
            continue
        batch = replay.sample(5, 3)
        assert len(batch) == 15
        assert (batch.probabilities > 0).all()
        slow.assert_equal(batch)
        stale = rng.integers(-2, replay.next_key + 2, 6)
        dropped = replay.update_priorities(stale, rng.normal(size=6).astype(np.float32))
        assert dropped == (sum(key not in slow.items for key in stale.tolist()) * prioritized)
        replay.check_valid()
    if replay.size:
        many = replay.sample(1, 40 * replay.size)
        slow.assert_equal(many)
        if not prioritized:
            assert set(many.keys.tolist()) <= set(slow.items)


@pytest.mark.parametrize("spec", [VECTOR, STACKED, MASKED])
@pytest.mark.parametrize("prioritized", [False, True])
def test_a_given_batch_is_filled_in_place_and_has_the_agreed_types(spec, prioritized):
    rng = np.random.default_rng(3)
    replay, twin = (make(spec, prioritized=prioritized, seed=7) for _ in range(2))
    new = block(rng, spec, 8, 6)
    replay.insert(*new)
    twin.insert(*new)
    fresh, out = twin.sample(4, 2), replay.sample(4, 2)
    arrays = list(arrays_of(out).values())
    replay, twin = (make(spec, prioritized=prioritized, seed=7) for _ in range(2))
    replay.insert(*new)
    for array in arrays:
        array[...] = 1
    assert replay.sample(4, 2, out=out) is out
    for name, array in arrays_of(fresh).items():
        np.testing.assert_array_equal(arrays_of(out)[name], array)
        assert arrays_of(out)[name].dtype == array.dtype
    assert out.observations.shape == out.next_observations.shape == (8, *spec.stacked_shape)
    assert out.observations.dtype == spec.dtype
    assert [len(part) for part in out.split(4)] == [4, 4]


def test_the_same_seed_draws_the_same():
    for prioritized in (False, True):
        draws = []
        for seed in (1, 1, 2):
            replay = make(prioritized=prioritized, capacity=50, frames=50, seed=seed)
            insert_some(replay, 50)
            draws.append(replay.sample(8).keys.tolist())
        assert draws[0] == draws[1] != draws[2]


def frequencies(replay, draws):
    counts = Counter(replay.sample(draws).keys.tolist())
    return np.array([counts[key] / draws for key in range(replay.oldest_key, replay.next_key)])


def test_uniform_draws_are_uniform():
    replay = make()
    insert_some(replay, 10)
    np.testing.assert_allclose(frequencies(replay, 40_000), 0.1, atol=0.01)
    assert set(replay.sample(5).probabilities.tolist()) == {0.1}


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_prioritized_draws_follow_the_priorities(exponent):
    replay = make(prioritized=True, exponent=exponent)
    insert_some(replay, 10)
    errors = np.arange(-5.0, 5.0, dtype=np.float32)
    assert replay.update_priorities(np.arange(10), errors) == 0
    weights = [(abs(error) + 0.01) ** exponent for error in errors.tolist()]
    expected = np.array(weights) / sum(weights)
    np.testing.assert_allclose(frequencies(replay, 40_000), expected, atol=0.005)
    batch = replay.sample(64)
    np.testing.assert_allclose(batch.probabilities, expected[batch.keys], rtol=1e-12)


def test_exponent_zero_is_uniform():
    replay = make(prioritized=True, exponent=0.0)
    insert_some(replay, 10, priorities=np.arange(10))
    replay.update_priorities(np.arange(5), np.array([0, 1, 100, 1e-9, 7], np.float32))
    np.testing.assert_allclose(frequencies(replay, 40_000), 0.1, atol=0.01)
    np.testing.assert_allclose(replay.sample(9).probabilities, 0.1, rtol=1e-12)


def test_each_batch_is_stratified():
    replay = make(prioritized=True, capacity=64, frames=64)
    insert_some(replay, 64)
    # 4 batches of 16 over 64 equal items: 64 strata of one item each, one of every four in a batch.
    batches = np.array([batch.keys for batch in replay.sample(16, 4).split(16)])
    assert (batches // 4 == np.arange(16)).all()
    assert sorted(batches.ravel().tolist()) == list(range(64))


def overlaps(batches):
    """Share of a batch that stands in another, by how far apart the two are in a reply."""
    count = len(batches)
    return np.array(
        [
            np.mean([np.isin(batches[i], batches[i - apart]).mean() for i in range(apart, count)])
            for apart in sorted({1, count // 2, count - 1})
        ]
    )


@pytest.mark.parametrize("prioritized", [True, False])
@pytest.mark.parametrize(("items", "size", "batches"), [(1_000, 64, 16), (200, 32, 8), (50, 8, 2)])
def test_batches_of_a_reply_have_no_more_in_common_than_independent_ones(
    prioritized, items, size, batches
):
    replay = make(prioritized=prioritized, capacity=items, frames=items, exponent=1.0)
    insert_some(replay, items, priorities=np.random.default_rng(1).lognormal(size=items))
    replies = 20_000 // (size * batches) + 40
    drawn = [replay.sample(size, batches).keys.reshape(batches, size) for _ in range(replies)]
    alone = [[replay.sample(size).keys for _ in range(batches)] for _ in range(replies)]
    together, apart = (np.mean([overlaps(r) for r in some], axis=0) for some in (drawn, alone))
    assert (together < 1.1 * apart).all()
    assert together.max() < 1.25 * together.min(), "neighbours are no more alike than others"


def test_a_reply_of_one_batch_takes_no_lots():
    replay, other = (make(prioritized=True, capacity=64, frames=64) for _ in range(2))
    for each in (replay, other):
        insert_some(each, 64, priorities=np.random.default_rng(1).lognormal(size=64))
    rng = np.random.default_rng(0)
    for _ in range(3):
        strata = (np.arange(16) + rng.random(16)) * (other._priorities.total / 16)
        assert replay.sample(16).keys.tolist() == other._priorities._tree.find(strata).tolist()


def test_a_new_item_gets_the_highest_priority_or_its_own():
    replay = make(prioritized=True, exponent=1.0)
    assert replay._priorities.highest == 1.0
    insert_some(replay, 2, priorities=[NO_PRIORITY, 0.24])
    assert replay._priorities.highest == 1.0
    replay.update_priorities(np.array([0]), np.array([-2.99], np.float32))
    replay.update_priorities(np.array([1]), np.array([0.24], np.float32))  # it never falls
    assert replay._priorities.highest == pytest.approx(3.0)
    insert_some(replay, 2, priorities=[NO_PRIORITY, 3.99])
    assert replay._priorities.highest == pytest.approx(4.0)
    batch = replay.sample(1000)
    chances = dict(zip(batch.keys.tolist(), batch.probabilities.tolist(), strict=True))
    expected = np.array([3.0, 0.25, 3.0, 4.0]) / 10.25
    np.testing.assert_allclose([chances[key] for key in range(4)], expected, rtol=1e-6)


def test_if_nothing_has_a_priority_the_draw_is_uniform():
    replay = Replay(
        VECTOR, capacity=4, frame_capacity=4, prioritized=True, priority_exponent=1.0,
        priority_epsilon=0.0, rng=np.random.default_rng(0),
    )  # fmt: skip
    insert_some(replay, 4, priorities=0.0)
    batch = replay.sample(100)
    assert set(batch.keys.tolist()) == {0, 1, 2, 3}
    assert set(batch.probabilities.tolist()) == {0.25}


def test_of_a_key_twice_the_last_priority_counts():
    replay = make(prioritized=True, exponent=1.0)
    insert_some(replay, 2, priorities=0.99)
    replay.update_priorities(np.array([0, 0]), np.array([50.0, 2.99], np.float32))
    batch = replay.sample(400)
    np.testing.assert_allclose(batch.probabilities[batch.keys == 0], 0.75, rtol=1e-6)


@pytest.mark.parametrize("error", [float("nan"), float("inf"), float("-inf")])
def test_priorities_that_are_no_numbers_are_refused(error):
    replay = make(prioritized=True)
    insert_some(replay, 3)
    with pytest.raises(UsageError, match=rf"the priority {error} of item 2"):
        replay.update_priorities(np.array([0, 2]), np.array([5.0, error], np.float32))
    assert replay._priorities.highest == 1.0
    with pytest.raises(UsageError, match="priority"):
        insert_some(replay, 2, priorities=[0.5, abs(error)])
    assert (replay.next_key, replay._priorities.highest) == (3, 1.0)
    replay.check_valid()


def test_a_uniform_replay_ignores_priorities():
    replay = make()
    insert_some(replay, 3, priorities=5.0)
    assert replay.update_priorities(np.array([0, 99]), np.array([1.0, 2.0], np.float32)) == 0
    assert set(replay.sample(50).probabilities.tolist()) == {1 / 3}


def test_capacity_one_keeps_the_newest_of_any_block():
    replay = make(STACKED, capacity=1, frames=9, prioritized=True)
    rng = np.random.default_rng(0)
    for count in (1, 5, 3):
        frames, records = block(rng, STACKED, count, 9)
        replay.insert(frames, records)
        replay.check_valid()
        batch = replay.sample(2)
        assert replay.size == 1
        assert batch.keys.tolist() == [replay.next_key - 1] * 2
        assert batch.rewards.tolist() == [records["reward"][-1]] * 2
        np.testing.assert_array_equal(batch.observations[0], frames[records["observation"][-1]])
    assert replay.next_key == 9


def test_frames_take_no_more_memory_than_they_need():
    """However large the array is: blocks of one transition first, then ones that share frames."""
    rng = np.random.default_rng(0)
    replay = make(STACKED, capacity=64, frames=100_000)
    assert replay.nbytes == make(STACKED, capacity=64, frames=1).nbytes
    empty = replay.nbytes
    for _ in range(500):
        replay.insert(*block(rng, STACKED, 16, 20))
        replay.check_valid()
    assert replay.size == 64
    assert (replay.nbytes - empty) / 4 <= 4 * 20 + 20  # frames of the blocks alive, and of one more
    for _ in range(500):
        replay.insert(*block(rng, STACKED, 1, 8))
        replay.check_valid()
    assert replay.size == 64
    most = replay.nbytes
    assert (most - empty) / 4 <= 64 * 8 + 16 * 8
    for _ in range(500):
        replay.insert(*block(rng, STACKED, 16, 20))
    assert replay.nbytes == most


def test_a_block_of_too_many_frames_is_refused():
    replay = make(frames=4)
    with pytest.raises(ConfigError, match=r"5 frames .* 4 frames.*replay\.capacity.*block_trans"):
        insert_some(replay, 5)
    assert replay.next_key == 0
    replay.check_valid()


def test_capacities_out_of_range_are_refused():
    for capacity, frames in ((0, 1), (1, 0), (1, 2**31)):
        with pytest.raises(ConfigError, match=f"{capacity} transitions and {frames:,} frames"):
            make(capacity=capacity, frames=frames)


def test_an_empty_replay_cannot_be_sampled():
    for prioritized in (False, True):
        with pytest.raises(RoleFailedError, match="empty replay"):
            make(prioritized=prioritized).sample(4)


def test_read_only_blocks_are_fine():
    replay = make()
    frames, records = block(np.random.default_rng(0), VECTOR, 4, 4)
    message = np.frombuffer(records.tobytes(), VECTOR.record_dtype)
    assert not message.flags.writeable
    replay.insert(frames, message)
    replay.check_valid()


def test_a_stack_costs_one_frame():
    frames, records = 40, 10

    def filled(spec, **settings):
        replay = make(spec, **settings)
        for _ in range(3):
            replay.insert(*block(np.random.default_rng(0), spec, records, frames))
        return replay

    assert filled(STACKED).nbytes == frames * 4 + records * (24 + 8 * 4 + 8)
    assert filled(VECTOR).nbytes == frames * 12 + records * (24 + 8 + 8)
    assert filled(VECTOR, prioritized=True).nbytes == filled(VECTOR).nbytes + 2 * 16 * 8


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    spec=st.sampled_from([VECTOR, STACKED, MASKED]),
    prioritized=st.booleans(),
    capacity=st.integers(1, 30),
    frame_capacity=st.integers(8, 60),
    saved=st.integers(0, 15),
)
def test_one_that_goes_on_where_another_was_does_the_same(
    seed, spec, prioritized, capacity, frame_capacity, saved
):
    rng = np.random.default_rng(seed)

    def allocator(arrays):
        return lambda name, shape, dtype: arrays.setdefault(name, np.zeros(shape, dtype))

    arrays: list[dict[str, np.ndarray]] = [{}, {}]
    settings = {"capacity": capacity, "frames": frame_capacity, "prioritized": prioritized}
    replay, other = (
        make(spec, **settings, seed=seed + number, allocate=allocator(arrays[number]))
        for number in range(2)
    )
    for number in range(30):
        if number == saved:
            other.load_state_dict(json.loads(json.dumps(replay.state_dict())))
            for name, array in arrays[0].items():
                arrays[1][name][...] = array
        pair = (replay,) if number < saved else (replay, other)
        count = int(rng.integers(0, 12))
        new = block(
            rng, spec, count, int(rng.integers(1, 9)), priorities=rng.choice([-1.0, 0.5], count)
        )
        for each in pair:
            each.insert(*new)
            each.check_valid()
        keys, errors = rng.integers(0, replay.next_key + 2, 6), rng.normal(size=6) * 3
        assert len({each.update_priorities(keys, errors) for each in pair}) == 1
        if replay.size:
            draws = [each.sample(3, 2) for each in pair]
            for name, array in arrays_of(draws[0]).items():
                np.testing.assert_array_equal(arrays_of(draws[-1])[name], array)
    assert other.nbytes == replay.nbytes <= sum(array.nbytes for array in arrays[1].values())
