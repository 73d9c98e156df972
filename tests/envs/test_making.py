"""What a user can name, and what they are told when it cannot work."""

import logging
import signal
import subprocess
import sys
import types
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from zdqn.envs import (
    close_environments,
    environment_spec,
    make_environments,
    reset_environments,
)
from zdqn.envs.slow_cartpole import SlowCartPole
from zdqn.errors import ConfigError, EnvironmentFailedError

register = cast("Any", gymnasium.register)


def build(identifier="CartPole-v1", **changes):
    arguments: dict[str, Any] = {
        "kwargs": {},
        "wrappers": [],
        "max_episode_steps": None,
        "count": 2,
        "vectorization": "sync",
    }
    return make_environments(identifier, **(arguments | changes))


class Shaped(gymnasium.Env):
    """Any spaces; an observation is a sample, the last action is remembered."""

    def __init__(self, observation_space=None, action_space=None, fail=None):
        if fail is not None:
            raise fail
        self.observation_space = observation_space or spaces.Box(0, 1, (3,), np.float32)
        self.action_space = action_space or spaces.Discrete(2)
        self.actions = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        self.actions.append(action)
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.fixture
def own_module(monkeypatch):
    module = cast("Any", types.ModuleType("own_environments"))
    module.make_shaped = Shaped
    module.make_nothing = lambda: 3
    module.number = 4
    monkeypatch.setitem(sys.modules, "own_environments", module)
    return module


@pytest.mark.parametrize(
    ("vectorization", "expected"), [("sync", SyncVectorEnv), ("async", AsyncVectorEnv)]
)
def test_vectorization_chooses_the_class_and_next_step_resets(vectorization, expected):
    environments = build(vectorization=vectorization)
    assert isinstance(environments, expected)
    assert environments.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert environments.num_envs == 2
    frames = reset_environments(environments, 3)
    assert (frames.shape, frames.dtype) == ((2, 4), np.float32)
    close_environments(environments)
    close_environments(environments)


def test_native_uses_the_environments_own_vectorized_form():
    environments = build(vectorization="native", max_episode_steps=3)
    assert type(environments.unwrapped).__name__ == "CartPoleVectorEnv"
    reset_environments(environments, 0)
    truncated = [environments.step(np.array([0, 1]))[3].tolist() for _ in range(3)]
    assert truncated == [[False, False], [False, False], [True, True]]


def test_the_spec_says_what_the_environment_is():
    spec = environment_spec(build(), 4)
    assert spec.describe() == "float32 (4,), 4 frames stacked, 2 actions"


@pytest.mark.parametrize("frame_stack", [0, -1])
def test_a_stack_of_no_frames_is_refused(frame_stack):
    with pytest.raises(ConfigError, match=f"frame_stack is {frame_stack}"):
        environment_spec(build(), frame_stack)


@pytest.mark.parametrize(
    ("limit", "registered"), [(None, 500), (9, 9)], ids=["its own", "configured"]
)
def test_max_episode_steps_is_the_configured_or_the_environments_own(limit, registered):
    environments = build(max_episode_steps=limit, count=1)
    assert environments.envs[0].get_wrapper_attr("_max_episode_steps") == registered


def test_max_episode_steps_limits_a_factory_too():
    environments = build(Shaped, max_episode_steps=2, count=1)
    reset_environments(environments, 0)
    ends = [bool(environments.step(np.zeros(1, np.int64))[3][0]) for _ in range(2)]
    assert ends == [False, True]


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
    frames = reset_environments(environments, 1)
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


def test_an_unknown_id_gives_the_nearest():
    with pytest.raises(ConfigError, match=r'CartPole-v7.*Did you mean.*"CartPole-v1"'):
        build("CartPole-v7")


def test_an_id_of_a_far_name_lists_what_is_registered():
    with pytest.raises(ConfigError, match=r"Registered: .*zdqn/SlowCartPole-v0"):
        build("qqqqqqq")


@pytest.mark.parametrize(
    ("identifier", "package", "extra"),
    [
        ("ALE/Pong-v5", "ale_py", "atari"),
        ("MinAtar/Breakout-v1", "minatar.gym", "minatar"),
        ("LunarLander-v3", "Box2D", "box2d"),
    ],
)
def test_a_missing_package_names_the_extra(identifier, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d.lunar_lander", raising=False)
    with pytest.raises(ConfigError, match=rf'pip install "zdqn\[{extra}\]"'):
        build(identifier)


def test_minatar_registers_itself(monkeypatch):
    module = cast("Any", types.ModuleType("minatar.gym"))
    id_ = "MinAtar/Breakout-v1"
    module.register_envs = lambda: register(id=id_, entry_point=Shaped)
    monkeypatch.setitem(sys.modules, "minatar.gym", module)
    try:
        assert environment_spec(build(id_)).num_actions == 2
        assert environment_spec(build(id_)).num_actions == 2
    finally:
        gymnasium.registry.pop(id_)


def test_module_and_factory(own_module):
    assert environment_spec(build("own_environments:make_shaped")).observation_shape == (3,)


def test_module_that_registers_an_id():
    environments = build("zdqn.envs:zdqn/SlowCartPole-v0", kwargs={"sleep_s": 0.0})
    assert isinstance(environments.envs[0].unwrapped, SlowCartPole)


@pytest.mark.parametrize(
    ("identifier", "said"),
    [
        ("own_environments:make_shapes", r"no callable.*make_shaped"),
        ("own_environments:number", "no callable"),
        ("own_environments:make_nothing", r"returned int.*gymnasium\.Env"),
        ("not_a_module:make", r"not_a_module.*PYTHONPATH"),
    ],
)
def test_a_factory_that_cannot_work_is_named(own_module, identifier, said):
    with pytest.raises(ConfigError, match=said):
        build(identifier)


@pytest.mark.parametrize("vectorization", ["sync", "native"])
def test_kwargs_that_the_environment_does_not_take_are_named(vectorization):
    with pytest.raises(ConfigError, match=r"environment\.kwargs = .*'gravity': 3"):
        build(kwargs={"gravity": 3}, vectorization=vectorization)


def test_a_constructor_that_fails_for_its_own_reason_is_no_configuration_error():
    with pytest.raises(EnvironmentFailedError, match="OSError: no licence server"):
        build(Shaped, kwargs={"fail": OSError("no licence server")})


def test_wrappers_are_applied_in_order():
    environments = build(
        Shaped,
        kwargs={"observation_space": spaces.Box(0, 255, (8, 8, 3), np.uint8)},
        wrappers=[
            {"name": "GrayscaleObservation", "kwargs": {"keep_dim": False}},
            {"name": "gymnasium.wrappers:DtypeObservation", "kwargs": {"dtype": "float32"}},
            {"name": "FlattenObservation"},
        ],
    )
    spec = environment_spec(environments)
    assert (spec.observation_shape, spec.observation_dtype) == ((64,), "float32")


@pytest.mark.parametrize(
    ("wrapper", "said"),
    [
        ({"name": "FlatenObservation"}, r'FlatenObservation.*Did you mean.*"FlattenObservation"'),
        ({"name": "FrameStack"}, "FrameStackObservation"),
        ({"name": "nowhere:X"}, "nowhere"),
        ({"name": "TimeLimit", "kwargs": {"steps": 3}}, r"wrapper \"TimeLimit\".*'steps': 3"),
        ({"name": "TimeLimit", "arguments": {}}, "arguments"),
        ({}, "name"),
    ],
)
def test_wrappers_that_cannot_work_are_named(wrapper, said):
    with pytest.raises(ConfigError, match=said):
        build(wrappers=[wrapper])


class VectorOnly(VectorEnv):
    """Nothing but spaces and an autoreset mode."""

    def __init__(self, num_envs, mode=None, actions=None, **_):
        self.num_envs = num_envs
        self.metadata = {} if mode is None else {"autoreset_mode": mode}
        self.single_observation_space = spaces.Box(0, 1, (3,), np.float32)
        self.single_action_space = actions or spaces.Discrete(2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"identifier": "Acrobot-v1"}, "vectorized form of its own"),
        ({"identifier": Shaped}, "vectorized form of its own"),
        ({"wrappers": [{"name": "FlattenObservation"}]}, "FlattenObservation"),
        ({"identifier": "Odd-v0", "kwargs": {}}, "autoreset mode None"),
        ({"identifier": "Odd-v0", "kwargs": {"mode": AutoresetMode.SAME_STEP}}, "SAME_STEP"),
        ({"identifier": "Odd-v0", "kwargs": {"actions": spaces.Discrete(2, start=1)}}, "start=1"),
    ],
)
def test_native_that_cannot_work_says_which_other_vectorization_does(changes, said):
    register(id="Odd-v0", entry_point=Shaped, vector_entry_point=VectorOnly)
    try:
        with pytest.raises(ConfigError, match=said) as caught:
            build(**changes, vectorization="native")
    finally:
        gymnasium.registry.pop("Odd-v0")
    assert '"sync" or "async"' in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"count": 0}, "environments is 0"),
        ({"max_episode_steps": 0}, "max_episode_steps is 0"),
        ({"vectorization": "asink"}, r'"asink".*Did you mean "async"'),
    ],
)
def test_numbers_out_of_range_are_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        build(**changes)


def test_what_gymnasium_warns_of_is_logged_once_and_without_colour(caplog):
    def make_warning():
        gymnasium.logger.warn("this id is out of date")
        return Shaped()

    with caplog.at_level(logging.WARNING, "zdqn.envs"):
        build(make_warning, count=3)
    assert caplog.messages == ["this id is out of date"]


def test_an_old_version_that_is_still_registered_is_no_noise(caplog):
    build("CartPole-v0")
    assert caplog.messages == []


@pytest.mark.filterwarnings("ignore:.*waiting for a pending call:UserWarning")
@pytest.mark.parametrize("killed", [0, 2])
def test_workers_end_even_if_one_was_killed_and_their_owner_handles_sigterm(killed):
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        environments = build(vectorization="async", count=3)
        reset_environments(environments, 0)
        workers = environments.processes
        workers[killed].kill()
        with pytest.raises((EOFError, OSError)):
            environments.step(np.zeros(3, np.int64))
        close_environments(environments)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not any(worker.is_alive() for worker in workers)


def test_seeds_of_neighbours_share_no_episode():
    first, second = build(count=4), build(count=4)
    frames = reset_environments(first, 1), reset_environments(second, 2)
    assert len(np.unique(np.concatenate(frames), axis=0)) == 8
    assert np.array_equal(reset_environments(first, 2), frames[1])


def test_importing_environments_loads_no_torch():
    code = "import sys, zdqn.envs; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
