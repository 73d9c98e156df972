"""Names of environments and wrappers: what they stand for, and what is said when it is nothing."""

import sys
import types
from functools import partial
from typing import Any, cast

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import FlattenObservation

from tests.envs.shaped import Shaped, build
from zdqn.envs import environment_spec
from zdqn.envs.resolving import name_of, resolve, resolve_wrapper
from zdqn.envs.slow_cartpole import SlowCartPole
from zdqn.errors import ConfigError

register = cast("Any", gymnasium.register)


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
        ("not_a_module:make", r"not_a_module.*PYTHONPATH"),
    ],
)
def test_a_factory_that_cannot_work_is_named(own_module, identifier, said):
    with pytest.raises(ConfigError, match=said):
        build(identifier)


@pytest.mark.parametrize(
    ("wrapper", "said"),
    [
        ({"name": "FlatenObservation"}, r'FlatenObservation.*Did you mean.*"FlattenObservation"'),
        ({"name": "FrameStack"}, "FrameStackObservation"),
        ({"name": "nowhere:X"}, "nowhere"),
        ({"name": "TimeLimit", "arguments": {}}, "arguments"),
        ({}, "name"),
    ],
)
def test_wrappers_that_cannot_work_are_named(wrapper, said):
    with pytest.raises(ConfigError, match=said):
        build(wrappers=[wrapper])


def test_a_callable_stands_for_itself():
    assert resolve(Shaped) is Shaped


def test_a_registered_id_is_its_specification():
    found = resolve("CartPole-v1")
    assert isinstance(found, EnvSpec)
    assert found.id == "CartPole-v1"


def test_a_modules_callable_comes_before_an_id_of_the_same_name(own_module):
    setattr(own_module, "CartPole-v1", Shaped)
    assert resolve("own_environments:CartPole-v1") is Shaped


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def broken(: pass", "SyntaxError"),
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import nowhere_at_all", "nowhere_at_all.*PYTHONPATH"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_the_reason(
    tmp_path, monkeypatch, source, words
):
    (tmp_path / "broken_environments.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_environments", raising=False)
    expected = f'environment.id = "broken_environments:make".*{words}'
    with pytest.raises(ConfigError, match=expected):
        resolve("broken_environments:make")


@pytest.mark.parametrize("identifier", [":make", "../etc:make", ".here:make"])
def test_a_module_name_must_be_a_dotted_one(identifier):
    with pytest.raises(ConfigError, match="dotted name"):
        resolve(identifier)


def test_names_for_messages():
    assert name_of(Shaped) == "Shaped"
    assert name_of(Shaped.step) == "Shaped.step"
    assert name_of(partial(Shaped)) == "partial"


def test_a_wrapper_by_bare_name_is_gymnasiums_and_needs_no_kwargs():
    assert resolve_wrapper({"name": "FlattenObservation"}) == (
        "FlattenObservation",
        FlattenObservation,
        {},
    )


def test_a_wrapper_of_a_users_module(own_module):
    own_module.wrap = lambda environment, level: environment
    name, found, kwargs = resolve_wrapper({"name": "own_environments:wrap", "kwargs": {"level": 3}})
    assert (name, found, kwargs) == ("own_environments:wrap", own_module.wrap, {"level": 3})
    with pytest.raises(ConfigError, match=r"wraps.*Did you mean"):
        resolve_wrapper({"name": "own_environments:wraps"})
