"""Which code a configuration may name that is not one's own: it came by network, or with a run."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from zdqn.config.schema import Config
from zdqn.errors import ConfigError


def check_code_allowed(
    config: Config,
    modules: Collection[str],
    *,
    given: Collection[str] = (),
    whose: str = "The learner's configuration",
    instead: str = "give the configuration's own file",
) -> None:
    """Refuse a configuration that would have this process run code that nobody here allowed.

    What a name stands for is imported, and so run; a file of one's own is trusted with that, and
    what a server sends is not. No package is allowed unasked, zdqn's own as little as others: with
    arguments of somebody else's choice, what makes environments from names runs anything. What
    is known without a module, registered environments and gymnasium's wrappers, needs no leave.

    Args:
        config: as it came.
        modules: that may be named, and all that is in them.
        given: keys in whose place a function of this process is used, such as ``network.kind``.
        whose: configuration it is, as the first words of a sentence.
        instead: another way out, as its last words.

    Raises:
        ConfigError: naming key, value and module.
    """
    for key, value, module in _named_code(config):
        if key not in given and not _is_in(module, modules):
            raise ConfigError(
                f'{whose} has {key} = "{value}", which would run the code of the module '
                f'"{module}" here. If you trust it, add --allow-code {module}; or {instead}.'
            )


def _named_code(config: Config) -> Iterator[tuple[str, str, str]]:
    section = config.environment
    values = [("environment.id", section.id), ("network.kind", config.network.kind)]
    values += [("environment.wrappers", wrapper.name) for wrapper in section.wrappers]
    for key, value in values:
        module, colon, _ = value.rpartition(":") if "wrappers" in key else value.partition(":")
        if colon:
            yield key, value, module


def named_modules(config: Config) -> list[str]:
    """List the modules whose code a configuration names, for who trusts it."""
    return [module for _, _, module in _named_code(config)]


def _is_in(module: str, packages: Collection[str]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)
