from typing import Any

import numpy as np
import pytest

from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError
from zdqn.rl.frame_ring import FrameRing

SPEC = EnvironmentSpec((2,), "int32", 2)


def frames(count, value):
    return np.full((count, 2), value, np.int32)


def read(ring):
    out = np.empty((ring.capacity, 2), np.int32)
    ring.gather(np.arange(ring.capacity, dtype=np.int32), out)
    return out[:, 0].tolist()


def test_blocks_lie_one_after_another_and_never_across_the_end():
    ring = FrameRing(SPEC, 7)
    begins = []
    for number, count in enumerate((3, 3, 2, 5, 7, 1), 1):
        begins.append(ring.place(count))
        assert ring.write(begins[-1], frames(count, number)) == begins[-1] % 7
        assert ring.end == begins[-1] + count
    assert begins == [0, 3, 7, 9, 14, 21]
    assert read(ring) == [6, 5, 5, 5, 5, 5, 5]


def test_asking_for_a_place_changes_nothing():
    ring = FrameRing(SPEC, 4)
    ring.write(ring.place(3), frames(3, 1))
    assert ring.place(1) == 3
    assert ring.place(2) == ring.place(4) == 4
    assert ring.end == 3
    assert read(ring) == [1, 1, 1, 0]


def test_more_than_all_is_refused():
    ring = FrameRing(SPEC, 4)
    with pytest.raises(ConfigError, match=r"5 frames does not fit into a replay of 4 frames"):
        ring.place(5)


def test_stacks_are_gathered_in_their_shape():
    ring = FrameRing(SPEC, 5)
    ring.write(0, np.arange(10, dtype=np.int32).reshape(5, 2))
    slots = np.array([[0, 4, 4], [2, 1, 0]], np.int32)
    out = np.zeros((2, 3, 2), np.int32)
    ring.gather(slots, out)
    np.testing.assert_array_equal(out, np.stack([2 * slots, 2 * slots + 1], axis=-1))


def test_over_its_array_a_ring_goes_on():
    made: dict[str, Any] = {}

    def allocate(name, shape, dtype):
        return made.setdefault(name, np.zeros(shape, dtype))

    ring = FrameRing(SPEC, 4, allocate)
    ring.write(ring.place(3), frames(3, 1))
    other = FrameRing(SPEC, 4, allocate)
    other.load_state_dict(ring.state_dict())
    other.write(other.place(1), frames(1, 2))
    assert list(made) == ["frames"]
    assert (other.end, other.nbytes) == (4, 4 * 8)
    assert read(ring) == [1, 1, 1, 2]
