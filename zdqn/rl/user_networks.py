"""Networks of a user's own: a factory, given or named as ``module:factory``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from torch import nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, did_you_mean

NetworkFactory = Callable[[EnvironmentSpec], nn.Module]
"""Builds a network for a spec: how a user brings an architecture of their own."""


def build_user_network(kind: str | NetworkFactory, spec: EnvironmentSpec) -> nn.Module:
    """Call the user's factory.

    Args:
        kind: the factory, or ``"module:factory"`` for one that can be imported.
        spec: what it is called with.

    Returns:
        What it gave, which nobody has tried yet.

    Raises:
        ConfigError: if there is no such factory, or it raised, or gave something else than a
            ``torch.nn.Module``.
    """
    factory = _find_factory(kind) if isinstance(kind, str) else kind
    if not callable(factory):
        raise ConfigError(f"kind = {kind!r}: {type(factory).__name__} cannot be called.")
    try:
        network: object = factory(spec)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"kind = {kind!r}: the factory, called with the EnvironmentSpec, raised {reason}"
        ) from error
    if not isinstance(network, nn.Module):
        raise ConfigError(
            f"kind = {kind!r}: the factory returned a {type(network).__name__}; "
            "it must return a torch.nn.Module."
        )
    return network


def _find_factory(kind: str) -> NetworkFactory:
    """Import what ``module:factory`` names."""
    module_name, colon, name = kind.partition(":")
    if not (module_name and colon and name):
        hint = did_you_mean(kind, ("mlp", "cnn"))
        raise ConfigError(
            f'kind = "{kind}" is no network. {hint} A network of your own is named '
            '"module:factory", such as "my_networks:build".'
        )
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(
            f"{error.name}."
        ):
            raise ConfigError(
                f'kind = "{kind}": there is no module "{error.name}". Install it, or put its '
                "folder on PYTHONPATH."
            ) from error
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f'kind = "{kind}": importing {module_name} raised {reason}') from error
    try:
        return cast(NetworkFactory, getattr(module, name))
    except AttributeError as error:
        public = [known for known in vars(module) if not known.startswith("_")]
        hint = did_you_mean(name, public)
        raise ConfigError(f'kind = "{kind}": {module_name} has no "{name}". {hint}') from error
