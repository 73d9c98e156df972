"""Which code a configuration that came by the network may name."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from zdqn.config.schema import Config
from zdqn.errors import ConfigError

_OURS = ("gymnasium.wrappers", "zdqn.envs")


def check_code_allowed(
    config: Config, modules: Collection[str], *, given: Collection[str] = ()
) -> None:
    """Refuse a configuration that would have this process run code that nobody here allowed.

    What a name stands for is imported, and so run; a file of one's own is trusted with that, and
    what a server sends is not.

    Args:
        config: as it came.
        modules: that may be named, and all that is in them.
        given: keys in whose place a function of this process is used, such as ``network.kind``.

    Raises:
        ConfigError: naming key, value and module.
    """
    for key, value, module in _named_code(config):
        if key not in given and not _is_in(module, (*_OURS, *modules)):
            raise ConfigError(
                f'The learner\'s configuration has {key} = "{value}", which would run the code of '
                f'the module "{module}" here. If you trust it, add --allow-code {module}; or '
                f"give the configuration's own file."
            )


def _named_code(config: Config) -> Iterator[tuple[str, str, str]]:
    section = config.environment
    values = [("environment.id", section.id), ("network.kind", config.network.kind)]
    values += [("environment.wrappers", wrapper.name) for wrapper in section.wrappers]
    for key, value in values:
        module, colon, _ = value.rpartition(":") if "wrappers" in key else value.partition(":")
        if colon:
            yield key, value, module


def _is_in(module: str, packages: Collection[str]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)
