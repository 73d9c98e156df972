import numpy as np
import pytest

from zdqn.core.mask_arguments import as_masks, check_allowed, read_masks
from zdqn.data import EnvironmentSpec
from zdqn.errors import UsageError

PLAIN = EnvironmentSpec((1,), "float32", 3)
MASKED = EnvironmentSpec((1,), "float32", 3, action_masks=True)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64])
def test_booleans_and_numbers_that_are_0_and_1_will_do(dtype):
    found = read_masks(np.array([1, 0, 1], dtype), MASKED, 0, "mask")
    assert found is not None
    assert found.dtype == np.bool_
    assert found.tolist() == [[True, False, True]]
    several = read_masks([[1, 0, 0], [0, 1, 1]], MASKED, [4, 2], "mask")
    assert several is not None
    assert several.tolist() == [[True, False, False], [False, True, True]]


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ([1, 0], r"shape \(2,\).*\(3,\)"),
        ([[1, 0, 1]], r"shape \(1, 3\)"),
        ([0.5, 1, 0], "float64"),
        ([2, 1, 0], "0 and 1"),
        ([-1, 1, 0], "0 and 1"),
        ([0, 0, 0], "allows nothing"),
        (None, "mask is missing, but environment.action_masks is true"),
    ],
)
def test_what_is_no_mask_is_refused_by_its_name(mask, words):
    with pytest.raises(UsageError, match=f"mask.*{words}|{words}"):
        read_masks(mask, MASKED, 0, "mask")


def test_a_mask_that_would_be_ignored_is_refused():
    with pytest.raises(UsageError, match=r"action_masks is false.*ignore"):
        read_masks([1, 1, 1], PLAIN, 0, "mask")
    assert read_masks(None, PLAIN, 0, "mask") is None


def test_where_an_episode_has_terminated_nothing_need_be_allowed():
    over = np.array([True, False])
    found = read_masks([[0, 0, 0], [0, 1, 0]], MASKED, [0, 1], "mask", over=over)
    assert found is not None
    assert found.tolist() == [[False] * 3, [False, True, False]]
    with pytest.raises(UsageError, match="allows nothing"):
        read_masks([[0, 1, 0], [0, 0, 0]], MASKED, [0, 1], "mask", over=over)
    left_out = read_masks(None, MASKED, 0, "mask", over=np.array([True]))
    assert left_out is not None
    assert left_out.tolist() == [[False] * 3]
    with pytest.raises(UsageError, match="missing"):
        read_masks(None, MASKED, [0, 1], "mask", over=over)


def test_an_action_that_is_not_allowed_is_named_with_those_that_are():
    allowed = as_masks([[1, 0, 1], [0, 1, 1]], 3, (2,), "mask")
    check_allowed(np.array([2, 1]), allowed)
    check_allowed(np.array([1, 0]), None)
    with pytest.raises(UsageError, match=r"actions holds 0, .*allows \[1, 2\]"):
        check_allowed(np.array([0, 0]), allowed)
