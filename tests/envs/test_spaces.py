"""Spaces that are taken, adapted, refused."""

import dataclasses

import numpy as np
import pytest
from gymnasium import spaces

from tests.envs.shaped import Shaped, build
from zdqn.envs import environment_spec, reset_environments
from zdqn.envs.spaces import adapt_spaces, check_spaces, image_bound
from zdqn.errors import ConfigError


def test_the_spec_says_what_the_environment_is():
    spec = environment_spec(build(), 4)
    assert spec.describe() == "float32 (4,), 4 frames stacked, 2 actions"


@pytest.mark.parametrize(
    ("space", "bound"),
    [
        (spaces.Box(0, 1, (4, 4, 2), np.uint8), 1),
        (spaces.Box(0, 200, (4, 4), np.uint8), 200),
        (spaces.Box(-3, 1, (4, 4), np.int8), 3),
        (spaces.Box(0, 65535, (4, 4), np.uint16), 65535),
        (spaces.Box(0, np.array([[2, 9], [1, 4]]), (2, 2), np.int64), 9),
        (spaces.Box(0, 255, (4, 4), np.uint8), 0),  # as every uint8 image
        (spaces.Box(0, 70_000, (4, 4), np.int32), 0),  # too large to mean anything
        (spaces.Box(-(2**63), 2**63 - 2, (4, 4), np.int64), 0),
        (spaces.Box(0, 0, (4, 4), np.int8), 0),
        (spaces.Box(0, 1, (4, 4), np.bool_), 0),  # type: ignore[arg-type]
        (spaces.Box(0, 3, (4, 4), np.float32), 0),
        (spaces.Box(0, 3, (16,), np.uint8), 0),  # no image
    ],
    ids=str,
)
def test_the_bound_of_an_images_integers_is_that_of_its_space(space, bound):
    assert image_bound(space) == bound
    spec = environment_spec(build(Shaped, kwargs={"observation_space": space}))
    assert spec.observation_bound == bound
    assert (f"up to {bound}" in spec.describe()) == (bound > 0)
    assert spec.digest == dataclasses.replace(spec, observation_bound=0).digest  # as the bytes are


@pytest.mark.parametrize("frame_stack", [0, -1])
def test_a_stack_of_no_frames_is_refused(frame_stack):
    with pytest.raises(ConfigError, match=f"frame_stack is {frame_stack}"):
        environment_spec(build(), frame_stack)


@pytest.mark.parametrize(
    ("space", "shape", "dtype"),
    [
        (spaces.Discrete(5), (5,), "int64"),
        (spaces.MultiDiscrete([2, 3]), (5,), "int64"),
        (spaces.MultiBinary(4), (4,), "int8"),
        (spaces.Dict(a=spaces.Discrete(2), b=spaces.Box(0, 1, (3,), np.float32)), (5,), "float64"),
        (spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3))), (5,), "int64"),
        (spaces.Box(0, 1, (), np.float32), (1,), "float32"),
        (spaces.Box(0, 1, (2,), np.float64), (2,), "float64"),
        (spaces.Box(0, 255, (4, 4, 1), np.uint8), (4, 4, 1), "uint8"),
    ],
    ids=str,
)
def test_observations_become_arrays(space, shape, dtype):
    environments = build(Shaped, kwargs={"observation_space": space})
    spec = environment_spec(environments)
    assert (spec.observation_shape, spec.observation_dtype) == (shape, dtype)
    frames, _ = reset_environments(environments, 1)
    assert (frames.shape, frames.dtype) == ((2, *shape), dtype)
    stepped, *_ = environments.step(np.zeros(2, np.int64))
    assert (stepped.shape, stepped.dtype) == ((2, *shape), dtype)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"observation_space": spaces.Text(4)}, r"Text.*wrapper"),
        ({"observation_space": spaces.Box(0, 1, (2,), np.uint32)}, r"uint32.*DtypeObservation"),
        ({"observation_space": spaces.Box(0, 1, (0,), np.float32)}, "no numbers"),
        ({"action_space": spaces.Box(-1, 1, (2,))}, r"Box\(-1.0, 1.0, \(2,\).*discrete actions"),
        ({"action_space": spaces.MultiDiscrete([2, 2])}, r"MultiDiscrete.*discrete actions"),
    ],
)
def test_spaces_that_cannot_work_are_named(changed, said):
    with pytest.raises(ConfigError, match=said):
        build(Shaped, kwargs=changed)


def test_actions_that_start_elsewhere_are_numbered_from_0():
    environments = build(Shaped, kwargs={"action_space": spaces.Discrete(3, start=-1)}, count=1)
    assert environment_spec(environments).num_actions == 3
    reset_environments(environments, 0)
    for action in range(3):
        environments.step(np.array([action]))
    assert environments.envs[0].unwrapped.actions == [-1, 0, 1]


# --- observations that are not what was declared --------------------------------------------------


# --- checks by themselves -------------------------------------------------------------------------

BOX = spaces.Box(0, 1, (3,), np.float32)


def test_an_environment_that_needs_nothing_is_not_wrapped():
    environment = Shaped(BOX, spaces.Discrete(2))
    assert adapt_spaces(environment) is environment


def test_actions_must_be_numbered_from_0_where_nobody_shifts_them():
    actions = spaces.Discrete(2, start=1)
    check_spaces(BOX, actions, numbered_from_0=False)
    with pytest.raises(ConfigError, match=r"start=1.*must number its actions from 0"):
        check_spaces(BOX, actions)


def test_the_way_out_is_the_callers():
    with pytest.raises(ConfigError, match=r"Discrete\(3\).*Do this instead\."):
        check_spaces(spaces.Discrete(3), spaces.Discrete(2), way_out="Do this instead.")
