"""``zdqn config``: the configuration that a run would use, and all that there is to configure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zdqn.cli.inline_toml import inline_toml
from zdqn.cli.options import config_argument, set_option

if TYPE_CHECKING:
    from zdqn.config import Config

_ORIGIN_COLUMN = 48


@click.group()
def config() -> None:
    """Look at a configuration."""


@config.command()
@config_argument
@set_option
@click.option("--describe", is_flag=True, help="Say what each value means.")
def show(config_path: Path, overrides: tuple[str, ...], describe: bool) -> None:
    """Print every value of a configuration and its origin, as TOML."""
    from zdqn.config import load_config_with_origins

    resolved, origins = load_config_with_origins(config_path, overrides)
    for line in config_lines(resolved, origins, describe=describe):
        click.echo(line)


@config.command()
def reference() -> None:
    """Print what every key means, as Markdown: docs/configuration.md."""
    from zdqn.cli.config_reference import reference_lines

    for line in reference_lines():
        click.echo(line)


def config_lines(
    config: Config, origins: Mapping[str, str], *, describe: bool = False
) -> Iterator[str]:
    """Write a configuration as lines of TOML with comments.

    Args:
        config: the resolved configuration.
        origins: ``section.key`` to where its value came from.
        describe: whether to say what each key means.

    Yields:
        The lines; together they are a file that `zdqn.load_config` reads.
    """
    from zdqn.config import to_dict

    descriptions = field_descriptions(config) if describe else {}
    values = to_dict(config)
    for section in config.__struct_fields__:
        yield f"[{section}]"
        for key in getattr(config, section).__struct_fields__:
            name = f"{section}.{key}"
            if describe:
                yield f"# {descriptions[name]}"
            written = (
                f"{key} = {inline_toml(values[section][key])}"
                if (key in values[section])
                else f"# {key} is absent"
            )
            yield f"{written:<{_ORIGIN_COLUMN}}  # {origins.get(name, 'default')}"
        yield ""


def field_descriptions(config: Config) -> dict[str, str]:
    """Give the description of every ``section.key``."""
    from typing import get_type_hints

    return {
        f"{section}.{key}": hint.__metadata__[-1].description
        for section in config.__struct_fields__
        for key, hint in get_type_hints(type(getattr(config, section)), include_extras=True).items()
    }
