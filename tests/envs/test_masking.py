"""Masks as environments give them: what is taken, and what is said of the rest."""

import gymnasium
import numpy as np
import pytest

from tests.envs.shaped import build
from zdqn.envs import environment_spec
from zdqn.envs.masking import MASK_KEY, read_masks
from zdqn.envs.stepping import EnvironmentStepper
from zdqn.errors import EnvironmentFailedError

NOTHING = np.zeros(3, np.int8)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64])
def test_masks_are_copied_as_booleans(dtype):
    given = np.array([1, 0, 1], dtype)
    found = read_masks({MASK_KEY: given}, (3,), "reset()")
    assert found.dtype == np.bool_
    assert found.tolist() == [True, False, True]
    assert not np.shares_memory(found, given)


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({}, 'info of step\\(\\) holds no "action_mask", though environment.action_masks is true'),
        (None, 'holds no "action_mask"'),
        ({MASK_KEY: [1, 0]}, r"shape \(2,\)"),
        ({MASK_KEY: [1.0, 0.0, 1.0]}, "float64"),
        ({MASK_KEY: [2, 0, 0]}, "0 and 1"),
        ({MASK_KEY: "101"}, "must be of shape"),
        ({MASK_KEY: NOTHING}, "allows nothing"),
    ],
)
def test_what_is_no_mask_is_refused_in_words(info, words):
    with pytest.raises(TypeError, match=words):
        read_masks(info, (3,), "step()")


def test_at_the_end_for_good_none_or_nothing_means_everything():
    for info in ({}, {MASK_KEY: NOTHING}):
        assert read_masks(info, (3,), "step()", True).all()
    rows = np.array([[0, 0, 0], [0, 1, 0]])
    found = read_masks({MASK_KEY: rows}, (2, 3), "step()", np.array([True, False]))
    assert found.tolist() == [[True] * 3, [False, True, False]]
    with pytest.raises(TypeError, match="has not terminated"):
        read_masks({MASK_KEY: rows}, (2, 3), "step()", np.array([False, False]))


class Turning(gymnasium.Env):
    """Allows action t % 3 and 2 at step t; its episodes terminate at step 4."""

    observation_space = gymnasium.spaces.Box(-1, 1e9, (1,), np.float64)
    action_space = gymnasium.spaces.Discrete(3, start=5)

    def __init__(self, missing_at=-1, last=NOTHING):
        self.missing_at, self.last, self.t = missing_at, last, 0

    def told(self):
        mask = np.array([self.t % 3 == 0, self.t % 3 == 1, True], np.int8)
        info = {"action_mask": self.last if self.t == 4 else mask, "other": object()}
        if self.t == self.missing_at:
            del info["action_mask"]
        return info

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.array([0.0]), self.told()

    def step(self, action):
        assert 5 <= action < 8
        self.t += 1
        return np.array([float(self.t)]), 0.0, self.t == 4, False, self.told()


def step_together(**options):
    environments = build(Turning, count=2, action_masks=True, **options)
    spec = environment_spec(environments, 1, True)
    return EnvironmentStepper(environments, spec, seed=1, label="collector-3")


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_masks_come_with_each_observation_of_each_environment(vectorization):
    stepper = step_together(vectorization=vectorization)
    try:
        seen = [stepper.allowed]
        for _ in range(6):
            stepper.step(np.array([2, 2]))
            seen.append(stepper.allowed)
    finally:
        stepper.close()
    one, two, three = [True, False, True], [False, True, True], [False, False, True]
    wished = [one, two, three, one, [True] * 3, one, two]  # the end, and a new episode
    assert [masks.tolist() for masks in seen if masks is not None] == [[row] * 2 for row in wished]


def play(**options):
    stepper = step_together(**options)
    try:
        for _ in range(6):
            stepper.step(np.array([2, 2]))
    finally:
        stepper.close()


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize("missing_at", [0, 2])
def test_one_that_is_missing_ends_in_words_that_name_key_and_environment(vectorization, missing_at):
    with pytest.raises(
        EnvironmentFailedError, match=r'collector-3.*"action_mask".*environment\.action_masks'
    ):
        play(vectorization=vectorization, kwargs={"missing_at": missing_at})


def test_at_an_end_for_good_it_may_be_missing():
    play(kwargs={"missing_at": 4})
    assert not step_together().ignores_masks


def test_without_the_key_masks_are_dropped_like_all_of_info():
    environments = build(Turning, count=2)
    stepper = EnvironmentStepper(environments, environment_spec(environments), seed=1, label="x")
    stepper.step(np.array([0, 0]))
    assert stepper.allowed is None
    assert stepper.ignores_masks
    stepper.close()
