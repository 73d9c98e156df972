"""What names of environments and wrappers stand for: a registered environment, or a callable."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from zdqn.errors import ConfigError, did_you_mean

Factory = Callable[..., gymnasium.Env[Any, Any]]
"""Returns one environment, from the keyword arguments of the configuration."""

MISSING_PACKAGE = (ImportError, gymnasium.error.DependencyNotInstalled)
"""What is raised where a package is wanted that is not installed."""


def resolve(identifier: str | Factory) -> EnvSpec | Factory:
    """Find what makes the environment.

    Args:
        identifier: see `zdqn.envs.make_environments`; a callable stands for itself.

    Returns:
        The specification of a registered environment, or a callable that returns one.

    Raises:
        ConfigError: if nothing has that name, or its module cannot be imported.
    """
    if not isinstance(identifier, str):
        return identifier
    name = identifier
    if ":" in identifier:
        module_name, _, name = identifier.partition(":")
        module = _import(module_name, f'environment.id = "{identifier}"')
        factory = getattr(module, name, None)
        if callable(factory):
            return factory  # type: ignore[no-any-return]
        if name not in gymnasium.registry:
            raise ConfigError(
                f'environment.id is "{identifier}", but "{module_name}" has no callable "{name}". '
                + did_you_mean(name, _callables(module), label="Callables there")
            )
    _register_extras(name)
    if name not in gymnasium.registry:
        raise ConfigError(
            f'environment.id is "{name}", which no installed package registers. '
            + did_you_mean(name, gymnasium.registry.keys(), label="Registered")
            + ' An environment of your own is named "module:factory".'
        )
    return gymnasium.spec(name)


def _register_extras(name: str) -> None:
    """Register what gymnasium does not know before its package is imported."""
    if name.startswith("ALE/"):
        ale_py = _import("ale_py", f'environment.id = "{name}"', extra="atari")
        gymnasium.register_envs(ale_py)
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # else a banner on stderr
    if name.startswith("MinAtar/") and "MinAtar/Breakout-v1" not in gymnasium.registry:
        _import("minatar.gym", f'environment.id = "{name}"', extra="minatar").register_envs()


def _import(module_name: str, wanted_by: str, *, extra: str | None = None) -> Any:
    try:
        return importlib.import_module(module_name)
    except ImportError as error:
        way_out = (
            f'Install it: pip install "zdqn[{extra}]".'
            if extra
            else "Install the package, or start zdqn where Python finds the file (PYTHONPATH)."
        )
        raise ConfigError(
            f'{wanted_by} needs the module "{module_name}", which cannot be imported: {error}. '
            + way_out
        ) from error
    except (Exception, SystemExit) as error:  # whatever the user's module does when it is run
        raise ConfigError(
            f'{wanted_by} needs the module "{module_name}", which cannot be imported: '
            f"{type(error).__name__}: {error}. It must be a module's dotted name, and importing it "
            "must neither raise nor exit."
        ) from error


def _callables(module: Any) -> list[str]:
    return [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]


def name_of(factory: Factory) -> str:
    """Give the name of a callable for messages."""
    return str(getattr(factory, "__qualname__", type(factory).__qualname__))


def resolve_wrapper(wrapper: Mapping[str, Any]) -> tuple[str, Factory, Mapping[str, Any]]:
    """Find what wraps an environment.

    Args:
        wrapper: ``{"name": "X" or "module:X", "kwargs": {...}}``; a bare name is a class of
            `gymnasium.wrappers`, and the keyword arguments may be left out.

    Returns:
        Its name as written, what wraps, and the keyword arguments.

    Raises:
        ConfigError: if it has other keys, or nothing has that name.
    """
    unknown = sorted(set(wrapper) - {"name", "kwargs"})
    if unknown or "name" not in wrapper:
        raise ConfigError(
            f"environment.wrappers holds {dict(wrapper)}, but a wrapper has a `name` and may have "
            "`kwargs`, nothing else."
        )
    full_name = str(wrapper["name"])
    module_name, _, name = full_name.rpartition(":")
    module = _import(module_name or "gymnasium.wrappers", f'The wrapper "{full_name}"')
    try:
        found = getattr(module, name)
    except (AttributeError, *MISSING_PACKAGE) as error:
        known = getattr(module, "__all__", None) or _callables(module)
        raise ConfigError(
            f'environment.wrappers names "{full_name}", which {module.__name__} cannot give: '
            f"{error}. {did_you_mean(name, known)}"
        ) from error
    return full_name, found, dict(wrapper.get("kwargs", {}))
