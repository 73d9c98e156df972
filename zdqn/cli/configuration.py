"""``zdqn config``: the configuration that a run would use, and all that there is to configure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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
    """Print every value of a configuration and where it came from, as TOML."""
    from zdqn.config import load_config_with_origins

    resolved, origins = load_config_with_origins(config_path, overrides)
    for line in config_lines(resolved, origins, describe=describe):
        click.echo(line)


@config.command()
def reference() -> None:
    """Print what every key means, as Markdown: docs/configuration.md."""
    from zdqn.cli.reference import reference_lines

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


def inline_toml(value: Any) -> str:
    """Write a value as TOML on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_toml_key(key)} = {inline_toml(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(inline_toml(item) for item in value)}]"
    return str(value)


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else json.dumps(key, ensure_ascii=False)
