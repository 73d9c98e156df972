"""What an accumulator's arguments may be; each refusal names the argument and the rule."""

import math

import numpy as np
import pytest

from zdqn.core.step_arguments import (
    check_estimates,
    find_not_finite,
    read_actions,
    read_environments,
    read_frames,
    read_numbers,
    read_rewards,
    read_versions,
)
from zdqn.data import MAX_REWARD, EnvironmentSpec
from zdqn.errors import UsageError

SPEC = EnvironmentSpec((2, 3), "float32", 4, frame_stack=2)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (0, [0]),
        (4, [4]),
        (np.int16(3), [3]),
        ([2], [2]),
        ((4, 0, 2), [4, 0, 2]),
        (np.array([1, 3], np.uint8), [1, 3]),
        (np.zeros(0, np.int64), []),
    ],
)
def test_environments_are_a_number_or_several(given, read):
    numbers = read_environments(given, 5)
    assert numbers.tolist() == read
    assert numbers.dtype == np.int64


@pytest.mark.parametrize(
    "given", [-1, 5, [0, 5], [-1, 0], [1, 2, 1], 1.0, [0.5], True, [[0, 1]], [], "0", None]
)
def test_others_are_refused(given):
    with pytest.raises(UsageError, match=r"environments is .* must be a number from 0 to 4, or"):
        read_environments(given, 5)


# --- frames ---------------------------------------------------------------------------------------


def test_a_frame_of_a_single_environment_has_no_axis_for_it():
    frame = np.arange(6, dtype=np.float32).reshape(2, 3)
    given = read_frames(frame, SPEC, 3)
    assert given.shape == (1, 2, 3)
    assert np.array_equal(given[0], frame)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_frames_of_several_have_one(count):
    frames = np.ones((count, 2, 3), np.float32)
    assert read_frames(frames, SPEC, np.arange(count)) is frames


@pytest.mark.parametrize(
    ("shape", "environments"),
    [
        ((1, 2, 3), 0),
        ((2, 2, 3), 0),  # stacked
        ((2, 3), [0]),
        ((2, 2, 3), [0]),
        ((1, 2, 3), [0, 1]),
        ((6,), 0),
        ((3, 2), 0),
    ],
)
def test_frames_of_another_shape_are_refused(shape, environments):
    with pytest.raises(UsageError, match=r"frames has the shape .* but must have .*\(.*2, 3\) and"):
        read_frames(np.zeros(shape, np.float32), SPEC, environments)


@pytest.mark.parametrize("dtype", ["float64", "uint8", "bool"])
def test_frames_of_another_dtype_are_refused_and_not_cast(dtype):
    with pytest.raises(UsageError, match=rf"dtype {dtype}, but must have \(2, 3\) and float32:"):
        read_frames(np.zeros((2, 3), dtype), SPEC, 0)


# --- one value for each environment ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "count", "kinds", "read"),
    [
        (3, 1, "iu", [3]),
        ([3], 1, "iu", [3]),
        ([3, 1], 2, "iuf", [3, 1]),
        ([0.5, 1], 2, "f", [0.5, 1]),
        (True, 1, "b", [True]),
        (np.array([7, 8], np.uint16), 2, "iu", [7, 8]),
    ],
)
def test_numbers_are_read(values, count, kinds, read):
    assert read_numbers("x", values, count, kinds).tolist() == read


@pytest.mark.parametrize(
    ("values", "count", "kinds", "what"),
    [
        (1, 2, "iu", "integers"),
        ([1, 2, 3], 2, "iu", "integers"),
        ([[1, 2]], 2, "iu", "integers"),
        ([1.0, 2.0], 2, "iu", "integers"),
        ([1, 2], 2, "b", "booleans"),
        ([True, False], 2, "iuf", "numbers"),
        ([1, 2], 2, "f", "floating-point numbers"),
        (["a", "b"], 2, "iuf", "numbers"),
        ([None, None], 2, "f", "floating-point numbers"),
    ],
)
def test_other_numbers_are_refused_in_words(values, count, kinds, what):
    with pytest.raises(
        UsageError,
        match=rf"^x is .*, but must be {what}, one for each env.*shape \({count},",
    ):
        read_numbers("x", values, count, kinds)


def test_actions_are_those_there_are():
    assert read_actions([0, 3], 2, 4).tolist() == [0, 3]
    assert read_actions(2, 1, 4).tolist() == [2]


@pytest.mark.parametrize("actions", [[0, 4], [-1, 0]])
def test_other_actions_are_refused(actions):
    with pytest.raises(UsageError, match=r"^actions is \[.*numbered from 0 to 3\."):
        read_actions(actions, 2, 4)


@pytest.mark.parametrize(("actions", "count"), [([0.0, 1.0], 2), ([1], 2), (True, 1)])
def test_actions_are_integers_one_for_each(actions, count):
    with pytest.raises(UsageError, match=r"^actions is .*must be integers"):
        read_actions(actions, count, 4)


@pytest.mark.parametrize(
    ("rewards", "read"),
    [
        ([0, 1], [0, 1]),
        ([-0.5, 2.5], [-0.5, 2.5]),
        ([MAX_REWARD, -MAX_REWARD], [MAX_REWARD, -MAX_REWARD]),
        (np.array([1, 2], np.uint8), [1, 2]),
    ],
)
def test_rewards_are_numbers(rewards, read):
    assert read_rewards(rewards, 2).tolist() == read


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf, 1.1e30, -1.1e30])
def test_rewards_that_would_spoil_everything_are_refused(reward):
    with pytest.raises(UsageError, match=r"^rewards is .*must be finite and within 1e\+30:"):
        read_rewards([0.0, reward], 2)


@pytest.mark.parametrize(("rewards", "count"), [([True, False], 2), ([1.0], 2), ("1", 1)])
def test_rewards_are_numbers_one_for_each(rewards, count):
    with pytest.raises(UsageError, match=r"^rewards is .*must be numbers"):
        read_rewards(rewards, count)


@pytest.mark.parametrize(
    ("versions", "count", "read"),
    [(7, 3, [7, 7, 7]), (np.int64(1 << 40), 1, [1 << 40]), ([1, 2], 2, [1, 2]), ([5], 1, [5])],
)
def test_one_version_may_be_that_of_all(versions, count, read):
    assert read_versions(versions, count).tolist() == read


@pytest.mark.parametrize(("versions", "count"), [(1.0, 2), ([1], 2), ([1, 2, 3], 2), (None, 2)])
def test_other_versions_are_refused(versions, count):
    with pytest.raises(UsageError, match=r"^weight_version is .*must be integers.*shape \(2,\)"):
        read_versions(versions, count)


# --- estimates ------------------------------------------------------------------------------------


def test_both_values_of_a_priority_or_neither():
    check_estimates(None, None)
    check_estimates(0.0, 0.0)


@pytest.mark.parametrize("values", [(0.0, None), (None, 0.0), (np.zeros(2), None)])
def test_one_of_them_is_refused(values):
    with pytest.raises(UsageError, match="chosen_q and best_q make a priority together"):
        check_estimates(*values)


# --- what is not finite ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int64", "bool"])
def test_frames_that_can_be_computed_with_are_found_to_be(dtype):
    assert find_not_finite(np.ones((3, 2, 2), dtype)) is None
    assert find_not_finite(np.ones((0, 2, 2), dtype)) is None


@pytest.mark.parametrize(
    ("value", "word"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")]
)
def test_the_first_that_is_not_is_named(value, word):
    frames = np.zeros((4, 2, 3), np.float32)
    frames[3, 0, 0] = 1 / 3
    frames[2, 1, 2] = frames[2, 1, 1] = frames[3, 0, 1] = value
    assert find_not_finite(frames) == (2, f"an observation whose element 4 is {word}")
