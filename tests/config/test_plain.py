"""A configuration as dictionaries and TOML, and back."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from zdqn.config import (
    Config,
    describe_difference,
    from_dict,
    load_config,
    shared_values,
    to_dict,
    to_toml,
)

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


def test_the_default_configuration_survives_toml():
    assert from_dict(tomllib.loads(to_toml(Config()))) == Config()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_file_of_configs_is_valid_and_survives_toml(path):
    config = load_config(path)
    assert config != Config()
    assert from_dict(tomllib.loads(to_toml(config))) == config


def test_there_are_files_in_configs():
    assert {"cartpole.toml", "seed.toml", "apex.toml"} <= {path.name for path in CONFIGS}


def test_every_kind_of_value_survives_toml_and_msgpack():
    config = load_config(
        None,
        [
            "stop.evaluation_return=475.5",
            "environment.max_episode_steps=10",
            'environment.kwargs={a = 1, b = [1.5, "x"], c = {d = true}}',
            'environment.wrappers=[{name = "TimeLimit", kwargs = {max_episode_steps = 3}}]',
            "network.hidden=[]",
        ],
    )
    assert from_dict(tomllib.loads(to_toml(config))) == config
    travelled = msgspec.msgpack.decode(msgspec.msgpack.encode(to_dict(config)))
    assert from_dict(travelled) == config
    ours, theirs = (
        shared_values(each, "collector", "learner") for each in (config, from_dict(travelled))
    )
    assert describe_difference(ours, theirs) == []


def test_a_value_that_is_absent_is_not_written():
    assert "evaluation_return" not in to_dict(Config())["stop"]
    assert "None" not in to_toml(Config())
