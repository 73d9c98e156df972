"""What a user can name, and what they are told when it cannot work."""

import logging
import subprocess
import sys
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from tests.envs.shaped import Shaped, build
from zdqn.envs import (
    close_environments,
    environment_spec,
    make_environments,
    reset_environments,
)
from zdqn.errors import ConfigError, EnvironmentFailedError

register = cast("Any", gymnasium.register)


@pytest.mark.parametrize(
    ("vectorization", "expected"), [("sync", SyncVectorEnv), ("async", AsyncVectorEnv)]
)
def test_vectorization_chooses_the_class_and_next_step_resets(vectorization, expected):
    environments = build(vectorization=vectorization)
    assert isinstance(environments, expected)
    assert environments.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert environments.num_envs == 2
    frames, _ = reset_environments(environments, 3)
    assert (frames.shape, frames.dtype) == ((2, 4), np.float32)
    close_environments(environments)
    close_environments(environments)


def test_native_uses_the_environments_own_vectorized_form():
    environments = build(vectorization="native", max_episode_steps=3)
    assert type(environments.unwrapped).__name__ == "CartPoleVectorEnv"
    reset_environments(environments, 0)
    truncated = [environments.step(np.array([0, 1]))[3].tolist() for _ in range(3)]
    assert truncated == [[False, False], [False, False], [True, True]]


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
    ("identifier", "package", "extra"),
    [
        ("LunarLander-v3", "Box2D", "box2d"),
    ],
)
def test_a_missing_package_names_the_extra(identifier, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d.lunar_lander", raising=False)
    with pytest.raises(ConfigError, match=rf'pip install "zdqn\[{extra}\]"'):
        build(identifier)


@pytest.mark.parametrize(
    ("identifier", "said"),
    [
        ("own_environments:make_nothing", r"returned int.*gymnasium\.Env"),
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


def test_a_factory_that_calls_sys_exit():
    with pytest.raises(EnvironmentFailedError, match="could not be made: SystemExit: 3"):
        make_environments(
            lambda: sys.exit(3),
            kwargs={},
            wrappers=(),
            max_episode_steps=None,
            count=1,
            vectorization="sync",
        )


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
        ({"name": "TimeLimit", "kwargs": {"steps": 3}}, r"wrapper \"TimeLimit\".*'steps': 3"),
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


def test_importing_environments_loads_no_torch():
    code = "import sys, zdqn.envs; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
