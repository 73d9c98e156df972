"""Functions that were given in place of a name are recorded, and asked for again."""

import subprocess
import sys
import threading

import pytest

from zdqn.config import AGREEMENTS, Config, from_dict, shared_values, to_dict
from zdqn.errors import ConfigError, UsageError
from zdqn.records.given_functions import (
    check_environment_is_given,
    check_network_is_given,
    environment_name,
    identify_function,
    other_functions,
    record_functions,
)

MAKE_CLASS = """
from zdqn.records.given_functions import identify_function
class Made:
    low = {low}
    def step(self):
        return self.low
print(identify_function(Made), identify_function(lambda: Made()))
"""


def make():
    return 1


class Callable:
    def __init__(self, limit):
        self.limit = limit

    def __call__(self):
        return self.limit


def test_a_function_is_known_by_module_name_and_hash():
    assert identify_function(make).startswith(f"{__name__}:make sha256:")
    assert identify_function(make) == identify_function(make)
    assert identify_function(Callable(1)).startswith(f"{__name__}:Callable sha256:")


def test_other_code_and_other_values_are_another_function():
    def closure(limit):
        return lambda: limit

    assert identify_function(closure(1)) == identify_function(closure(1))
    assert identify_function(closure(1)) != identify_function(closure(2))
    assert identify_function(Callable(1)) != identify_function(Callable(2))


def test_in_another_process_it_is_the_same():
    def run(low):
        code = MAKE_CLASS.format(low=low)
        return subprocess.check_output([sys.executable, "-c", code], text=True)

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_what_cannot_be_pickled_serves_all_the_same():
    lock = threading.Lock()
    assert identify_function(lambda: lock).endswith("sha256:unknown")


def test_what_was_given_is_in_the_configuration_and_travels_with_it():
    config = record_functions(Config(), environment=make)
    assert config.environment.function == identify_function(make)
    assert config.network.function is None
    config = record_functions(config, network=len)
    assert config.environment.function == identify_function(make), "what is not given stays"
    assert from_dict(to_dict(config)) == config
    assert record_functions(config) == config


def test_an_environment_is_called_as_what_makes_it():
    assert environment_name(Config()) == Config().environment.id
    name = f"{__name__}:make"
    assert environment_name(record_functions(Config(), environment=make)) == name
    assert environment_name(Config(), make) == name
    assert environment_name(record_functions(Config(), environment=len), make) == name


@pytest.mark.parametrize("link", AGREEMENTS)
def test_roles_agree_whether_or_not_each_was_told_of_the_function(link):
    given = record_functions(Config(), environment=make, network=make)
    assert shared_values(given, *link) == shared_values(Config(), *link)


@pytest.mark.parametrize(
    ("name", "check"),
    [("environment", check_environment_is_given), ("network", check_network_is_given)],
)
def test_a_name_is_not_taken_for_a_function_that_was_given(name, check):
    config = record_functions(Config(), **{name: make})
    with pytest.raises(ConfigError, match=rf"{__name__}:make.*{name}=\.\.\. of zdqn\.run"):
        check(config, None)
    check(config, make)
    check(Config(), None)
    check(Config(), make)


def test_another_function_is_named_with_the_one_that_it_replaces():
    config = record_functions(Config(), environment=make, network=make)
    assert other_functions(config, make, make) == []
    assert other_functions(config, None, None) == []
    (text,) = other_functions(config, len, make)
    assert "The environment comes from builtins:len" in text
    assert f"{__name__}:make" in text
    (text,) = other_functions(Config(), None, make)
    assert "The network" in text
    assert "no function" in text


@pytest.mark.parametrize("name", ["CartPole-v1", 5, {}])
def test_a_name_is_no_function(name):
    for refuse in (
        lambda: record_functions(Config(), environment=name),
        lambda: check_environment_is_given(Config(), name),
    ):
        with pytest.raises(UsageError, match=r"environment is .*cannot be called.*environment.id"):
            refuse()
    for refuse in (
        lambda: record_functions(Config(), network=name),
        lambda: check_network_is_given(Config(), name),
    ):
        with pytest.raises(UsageError, match=r"network is .*cannot be called.*network.kind"):
            refuse()
