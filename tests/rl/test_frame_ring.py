from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError
from zdqn.rl.frame_ring import FrameRing, refer_to_rows

SPEC = EnvironmentSpec((2,), "int32", 2)


def frames(count, value):
    return np.full((count, 2), value, np.int32)


def read(ring):
    out = np.empty((ring.capacity, 2), np.int32)
    ring.gather(np.arange(ring.capacity, dtype=np.int32), out)
    return out[:, 0].tolist()


def put(ring, count, value, oldest):
    left = ring.make_room(count, oldest)
    return left, ring.write(frames(count, value))


def test_blocks_lie_one_after_another_and_across_the_end_of_a_full_ring():
    ring = FrameRing(SPEC, 7)
    assert put(ring, 3, 1, 0) == (0, [(0, 3)])
    assert put(ring, 3, 2, 0) == (0, [(3, 3)])
    assert put(ring, 2, 3, 0) == (1, [(6, 1), (0, 1)])  # nobody grows beyond the array
    assert read(ring) == [3, 1, 1, 2, 2, 2, 3]
    assert (ring.end, ring.length) == (8, 7)
    assert put(ring, 7, 4, 8) == (8, [(1, 6), (0, 1)])


def test_what_nobody_keeps_is_overwritten_before_the_ring_grows():
    ring = FrameRing(SPEC, 100)
    put(ring, 4, 1, 0)
    put(ring, 4, 2, 0)
    assert put(ring, 3, 3, 4) == (3, [(0, 3)])
    assert put(ring, 1, 4, 4) == (4, [(3, 1)])
    assert ring.length == 8
    assert read(ring)[:9] == [3, 3, 3, 4, 2, 2, 2, 2, 0]


def test_it_grows_where_it_is_written_and_goes_round_by_way_of_the_new_rows():
    ring = FrameRing(SPEC, 100)
    put(ring, 4, 1, 0)
    put(ring, 4, 2, 0)
    put(ring, 2, 3, 2)  # the rows 0 and 1, with 2 and 3 still in use
    assert put(ring, 3, 4, 2) == (2, [(8, 3)])
    assert put(ring, 3, 5, 5) == (5, [(2, 3)])
    assert ring.length == 11
    assert read(ring)[:12] == [3, 3, 5, 5, 5, 2, 2, 2, 4, 4, 4, 0]
    assert put(ring, 8, 6, 13) == (13, [(5, 3), (0, 2), (8, 3)])


def test_making_room_writes_nothing():
    ring = FrameRing(SPEC, 4)
    put(ring, 3, 1, 0)
    assert ring.make_room(1, 0) == ring.make_room(1, 0) == 0
    assert ring.make_room(4, 3) == 3
    assert (ring.end, ring.length) == (3, 4)
    assert read(ring) == [1, 1, 1, 0]


def test_more_than_all_is_refused():
    ring = FrameRing(SPEC, 4)
    ring.check(4)
    with pytest.raises(ConfigError, match=r"5 frames does not fit into a replay of 4 frames"):
        ring.check(5)


@given(seed=st.integers(0, 2**32 - 1), capacity=st.integers(5, 60), kept=st.integers(0, 70))
def test_it_agrees_with_a_list_of_blocks(seed, capacity, kept):
    """Whatever is kept can be read, and rows are taken in only when it leaves too few."""
    rng = np.random.default_rng(seed)
    made: dict[str, Any] = {}

    def allocate(name, shape, dtype):
        return made.setdefault(name, np.zeros(shape, dtype))

    ring = FrameRing(SPEC, capacity, allocate)
    blocks: list[tuple[int, int, np.ndarray]] = []  # position, value, rows
    highest = 0
    for value in range(1, 80):
        count = int(rng.integers(1, 6))
        kept = int(np.clip(kept + rng.integers(-3, 4), 0, 70))
        while blocks and ring.end - blocks[0][0] > kept:
            del blocks[0]
        oldest = blocks[0][0] if blocks else ring.end
        highest = max(highest, ring.end - oldest + count)
        before = ring.length
        left = ring.make_room(count, oldest)
        assert before <= ring.length <= capacity
        assert ring.length <= max(before, ring.end - oldest + 2 * count)
        assert left <= oldest or ring.length == capacity
        blocks = [block for block in blocks if block[0] >= left]
        position = ring.end
        runs = ring.write(frames(count, value))
        rows = np.arange(count, dtype=np.int32)
        refer_to_rows(rows, runs)
        blocks.append((position, value, rows))
        if rng.random() < 0.1:
            state, ring = ring.state_dict(), FrameRing(SPEC, capacity, allocate)
            ring.load_state_dict(state)
            assert ring.state_dict() == state
        used = np.concatenate([rows for _, _, rows in blocks])
        assert len(set(used.tolist())) == len(used)
        assert 0 <= used.min() <= used.max() < ring.length
        for _, number, rows in blocks:
            out = np.empty((len(rows), 2), np.int32)
            ring.gather(rows, out)
            assert (out == number).all()
    assert min(highest, capacity) <= ring.length
    assert ring.nbytes == ring.length * 8


def test_references_become_rows_of_the_runs():
    references = np.array([[0, 1, 4], [2, 3, 3]], np.int32)
    refer_to_rows(references, [(7, 2), (0, 1), (20, 2)])
    assert references.tolist() == [[7, 8, 21], [0, 20, 20]]
    words = np.zeros((2, 4), np.int32)
    refer_to_rows(words[:, 1:3], [(5, 9)])
    assert words.tolist() == [[0, 5, 5, 0]] * 2


def test_stacks_are_gathered_in_their_shape():
    ring = FrameRing(SPEC, 5)
    ring.make_room(5, 0)
    ring.write(np.arange(10, dtype=np.int32).reshape(5, 2))
    slots = np.array([[0, 4, 4], [2, 1, 0]], np.int32)
    out = np.zeros((2, 3, 2), np.int32)
    ring.gather(slots, out)
    np.testing.assert_array_equal(out, np.stack([2 * slots, 2 * slots + 1], axis=-1))


def test_over_its_array_a_ring_goes_on():
    made: dict[str, Any] = {}

    def allocate(name, shape, dtype):
        return made.setdefault(name, np.zeros(shape, dtype))

    ring = FrameRing(SPEC, 4, allocate)
    put(ring, 3, 1, 0)
    other = FrameRing(SPEC, 4, allocate)
    other.load_state_dict(ring.state_dict())
    put(other, 1, 2, 0)
    assert list(made) == ["frames"]
    assert (other.end, other.nbytes) == (4, 4 * 8)
    assert read(ring) == [1, 1, 1, 2]
