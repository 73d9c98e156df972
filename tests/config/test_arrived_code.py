"""Code that a configuration from the network may name: none but what the receiver allows."""

import pytest

from zdqn.config import Config, check_code_allowed, named_modules
from zdqn.errors import ConfigError

NAMED = {
    "environment.id": "my_envs.maze:make",
    "network.kind": "my_nets:build",
    "environment.wrappers": [{"name": "my_wrappers.all:Clip", "kwargs": {}}],
}


@pytest.mark.parametrize("key", NAMED)
def test_a_module_is_refused_unless_it_is_allowed(key):
    config = Config().replace(key, NAMED[key])
    module = {"environment.id": "my_envs.maze", "network.kind": "my_nets"}.get(
        key, "my_wrappers.all"
    )
    with pytest.raises(ConfigError, match=rf"{key} .*--allow-code {module}"):
        check_code_allowed(config, [])
    for other in ("", "my", "maze", f"{module}.more"):
        with pytest.raises(ConfigError):
            check_code_allowed(config, [other])
    check_code_allowed(config, [module])
    check_code_allowed(config, ["other", module.split(".")[0]])


def test_what_a_function_takes_the_place_of_is_not_run():
    config = Config().replace({key: NAMED[key] for key in ("environment.id", "network.kind")})
    check_code_allowed(config, [], given=["environment.id", "network.kind"])
    with pytest.raises(ConfigError, match=r"network\.kind"):
        check_code_allowed(config, [], given=["environment.id"])


def test_registered_environments_and_known_wrappers_need_no_leave():
    wrappers = [{"name": "ClipReward", "kwargs": {"min_reward": -1}}]
    config = Config().replace({"environment.id": "ALE/Pong-v5", "environment.wrappers": wrappers})
    check_code_allowed(config, [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("environment.id", "zdqn.envs:make_environments"),
        ("environment.id", "gymnasium.wrappers.common:deepcopy"),
        ("network.kind", "zdqn.envs.resolving:resolve"),
        ("environment.wrappers", [{"name": "gymnasium.wrappers.utils:singledispatch"}]),
    ],
)
def test_no_package_is_trusted_unasked_as_some_of_its_functions_run_whatever_they_are_told(
    key, value
):
    """`make_environments(identifier="os:system", kwargs={...})` was a way around the list."""
    with pytest.raises(ConfigError, match="--allow-code"):
        check_code_allowed(Config().replace(key, value), [])


def test_whose_configuration_it_is_and_another_way_out_are_said():
    config = Config().replace("network.kind", "my_nets:build")
    with pytest.raises(ConfigError, match=r"^That in x has network\.kind .*; or look first\.$"):
        check_code_allowed(config, [], whose="That in x", instead="look first")


def test_who_trusts_a_configuration_allows_what_it_names():
    config = Config().replace(NAMED)
    assert sorted(named_modules(config)) == ["my_envs.maze", "my_nets", "my_wrappers.all"]
    check_code_allowed(config, named_modules(config))
    assert named_modules(Config()) == []
