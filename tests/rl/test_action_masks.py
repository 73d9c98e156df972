"""Masks against lists that are written out action by action."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.rl.action_masks import allowed_values, draw_allowed, pack_masks, unpack_masks


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 5), actions=st.integers(1, 40))
def test_what_is_packed_is_unpacked_and_bits_stand_where_the_protocol_says(seed, count, actions):
    allowed = np.random.default_rng(seed).random((count, actions)) < 0.5
    packed = pack_masks(allowed)
    assert packed.shape == (count, (actions + 7) // 8)
    for row in range(count):
        bits = [int(packed[row, a // 8]) >> a % 8 & 1 for a in range(8 * packed.shape[1])]
        assert bits == [*allowed[row].astype(int), *[0] * (8 * packed.shape[1] - actions)]
    found = unpack_masks(packed, actions)
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, allowed)


def test_the_values_of_what_is_not_allowed_are_never_the_highest():
    values = np.array([[1, 5, 3], [-2, -1, -9]], np.float32)
    allowed = np.array([[True, False, True], [False, False, True]])
    masked = allowed_values(values, allowed)
    assert masked.dtype == np.float32
    assert masked.max(1).tolist() == [3, -9]
    assert masked.argmax(1).tolist() == [2, 2]
    assert values.tolist() == [[1, 5, 3], [-2, -1, -9]]
    assert allowed_values(values, None) is values


@pytest.mark.parametrize("allowed", [[0, 1, 1, 0, 1], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
def test_each_allowed_action_has_an_equal_share_of_the_chances(allowed):
    chances = np.linspace(0, 1, 60, endpoint=False)
    masks = np.tile(np.array(allowed, np.bool_), (60, 1))
    found = draw_allowed(chances, masks)
    known = [action for action, may in enumerate(allowed) if may]
    assert found.tolist() == [known[k * len(known) // 60] for k in range(60)]
    assert found.dtype == np.int64


@pytest.mark.parametrize("actions", [1, 2, 3, 5, 7, 64, 1000])
def test_the_largest_chance_is_the_last_allowed_action(actions):
    allowed = np.zeros((1, actions + 3), np.bool_)
    allowed[0, :actions] = True
    assert draw_allowed(np.array([np.nextafter(1, 0)]), allowed).tolist() == [actions - 1]
