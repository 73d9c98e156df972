"""Python functions that make a run's environment or network: recorded, and asked for again.

A configuration names an environment and a network. Where a function was given instead, it says so
(``environment.function``, ``network.function``), so that nobody takes the name for the truth.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import msgspec

from zdqn.config import Config
from zdqn.errors import ConfigError, UsageError

Function = Callable[..., Any]

_DIGITS = 16
_TRACKER = re.compile(rb"[0-9a-f]{32}")
"""What cloudpickle adds to a class that cannot be imported: random, and new in every process."""


def identify_function(function: Function) -> str:
    """Describe a function, so that another one is not taken for it.

    Args:
        function: any callable.

    Returns:
        ``module:name sha256:...``, with a hash of what cloudpickle makes of it: of a function that
        can be imported that is its name alone, of any other its code and what it refers to.
    """
    return f"{_name(function)} sha256:{_hash(function)}"


def record_functions(
    config: Config, *, environment: Function | None = None, network: Function | None = None
) -> Config:
    """Say in a configuration which functions were given; what was not given stays as it is.

    Args:
        config: of the run.
        environment: that was given in place of ``environment.id``.
        network: that was given in place of ``network.kind``.

    Raises:
        UsageError: when one of them is no function.
    """
    _check_callable("environment", environment, "environment.id")
    _check_callable("network", network, "network.kind")
    if environment is not None:
        section = msgspec.structs.replace(
            config.environment, function=identify_function(environment)
        )
        config = msgspec.structs.replace(config, environment=section)
    if network is not None:
        changed = msgspec.structs.replace(config.network, function=identify_function(network))
        config = msgspec.structs.replace(config, network=changed)
    return config


def environment_name(config: Config, given: Function | None = None) -> str:
    """Give what makes the environment: ``module:function``, or an id.

    Args:
        config: of the run.
        given: in place of what it names; it need not be recorded yet.
    """
    if given is not None:
        return _name(given)
    section = config.environment
    return (section.function or section.id).partition(" sha256:")[0]


def check_environment_is_given(config: Config, function: Function | None) -> None:
    """Refuse to take ``environment.id`` for an environment that a function made.

    Raises:
        ConfigError: when a function is recorded and none is given.
        UsageError: when what is given is no function.
    """
    _check_callable("environment", function, "environment.id")
    section = config.environment
    if section.function is not None and function is None:
        raise ConfigError(
            f"The environment was made by a Python function, {section.function}, which is not "
            f"given now; environment.id ({section.id}) is another environment. "
            f"{_way_out('environment')} For an environment by its id after all, leave "
            f"environment.function out of CONFIG (--set environment.function=none)."
        )


def check_network_is_given(config: Config, function: Function | None) -> None:
    """Refuse to take ``network.kind`` for a network that a function made.

    Raises:
        ConfigError: when a function is recorded and none is given.
        UsageError: when what is given is no function.
    """
    _check_callable("network", function, "network.kind")
    section = config.network
    if section.function is not None and function is None:
        raise ConfigError(
            f"The network was made by a Python function, {section.function}, which is not given "
            f"now; network.kind ({section.kind}) is another network. {_way_out('network')}"
        )


def other_functions(
    config: Config, environment: Function | None, network: Function | None
) -> list[str]:
    """Say which of the functions that are given are not those that are recorded.

    Args:
        config: of the run that is looked at.
        environment: given now, or None.
        network: given now, or None.

    Returns:
        A sentence for each; mostly none.
    """
    given = (
        ("environment", config.environment.function, environment),
        ("network", config.network.function, network),
    )
    return [
        f"The {what} comes from {identify_function(function)}, but that of the run came from "
        f"{recorded or 'no function'}: what comes now is of another one, unless it is "
        f"the same, written anew."
        for what, recorded, function in given
        if function is not None and identify_function(function) != recorded
    ]


def _check_callable(keyword: str, function: Any, key: str) -> None:
    if function is not None and not callable(function):
        raise UsageError(
            f"{keyword} is {function!r}, a {type(function).__name__}, which cannot be called. Give "
            f"a function that makes the {keyword}; a name goes into the configuration, as {key}."
        )


def _way_out(keyword: str) -> str:
    loading = ", zdqn.load_policy" if keyword == "network" else ""
    return (
        f"Give the function again, from Python: {keyword}=... of zdqn.run, zdqn.train{loading}, "
        f"zdqn.evaluate, zdqn.play, or of a role's class."
    )


def _name(function: Function) -> str:
    module = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{module}:{name}"


def _hash(function: Function) -> str:
    import cloudpickle

    try:
        pickled = cloudpickle.dumps(function)
    except Exception:  # noqa: BLE001 - one that holds a socket, say, serves in this process
        return "unknown"
    return hashlib.sha256(_TRACKER.sub(b"", pickled)).hexdigest()[:_DIGITS]
