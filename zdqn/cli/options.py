"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from zdqn.config import Config

Decorated = TypeVar("Decorated", bound=Callable[..., object])

EXISTING_FILE = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, file_okay=False)

config_argument = click.argument("config_path", metavar="CONFIG", type=EXISTING_FILE)
optional_config_argument = click.argument(
    "config_path", metavar="[CONFIG]", type=EXISTING_FILE, required=False
)
set_option = click.option(
    "--set",
    "overrides",
    metavar="SECTION.KEY=VALUE",
    multiple=True,
    help="Change one value of the configuration; repeatable.",
)
log_level_option = click.option(
    "--log-level",
    type=click.Choice(("debug", "info", "warning", "error")),
    default="info",
    show_default=True,
    help="How much to log.",
)
bind_option = click.option(
    "--bind", metavar="ADDR", help="Listen here; port 0 takes free ports and prints them."
)
resume_option = click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN_DIR",
    help="Go on from the newest checkpoint of a run, in its folder unless --run-dir is given, and "
    "with its configuration unless CONFIG is given.",
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Remove the run that is in the run directory."
)
insecure_option = click.option(
    "--insecure", is_flag=True, help="Allow an address that others reach, without keys."
)
keys_option = click.option(
    "--keys",
    type=FOLDER,
    metavar="DIR",
    help="Folder of keys, as `zdqn keys init` makes it; sets security.keys.",
)
allow_code_option = click.option(
    "--allow-code",
    metavar="MODULE",
    multiple=True,
    help="Let the learner's configuration name code of this module; repeatable.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def address_option(server: str) -> Callable[[Decorated], Decorated]:
    """Make the option that names a server, such as ``--memory ADDR``."""
    return click.option(
        f"--{server}",
        metavar="ADDR",
        help=f"Where the {server} is; by default {server}.bind of the configuration.",
    )


def server_address(given: str | None, bind: str, *, server: str) -> str:
    """Choose the address at which a client looks for a server.

    Args:
        given: on the command line, or None.
        bind: where the configuration has the server listen.
        server: "memory" or "learner".

    Raises:
        UsageError: when nothing was given and the configuration leaves the port open.
    """
    from zdqn.errors import UsageError
    from zdqn.wire.addresses import Address, parse_address

    if given is not None:
        return given
    address = parse_address(bind, parameter=f"{server}.bind", bind=True)
    if address.transport == "tcp" and address.port == 0:
        raise UsageError(
            f"{server}.bind is {bind}, a port that is chosen when the {server} starts. Give "
            f"--{server} with the address that it printed."
        )
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - it is compared, not bound
    return str(
        Address(
            address.transport,
            anywhere.get(address.host, address.host),
            address.port,
            address.path,
        )
    )


def settings_folder() -> Path:
    """Give the folder in which a user's settings of zdqn are."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "zdqn"


def run_config(path: Path | None, resume: Path | None, overrides: Iterable[str]) -> Config:
    """Read the configuration of a run; one that is gone on with has its own.

    Args:
        path: CONFIG, or None.
        resume: run directory to go on from, or None.
        overrides: what ``--set`` gave.

    Raises:
        UsageError: of click, when neither is given.
        FileError: when there is nothing to go on from.
    """
    from zdqn.config import load_config
    from zdqn.records.run_files import RunFiles, check_resumable

    if path is None and resume is None:
        raise click.UsageError(
            "CONFIG is missing. Give a TOML file, such as configs/cartpole.toml, or --resume "
            "RUN_DIR to go on with a run as it was configured.",
            click.get_current_context(silent=True),
        )
    if path is None and resume is not None:
        check_resumable(resume)
        path = RunFiles(resume).config
    return load_config(path, overrides)


def with_keys(config: Config, keys: Path | None) -> Config:
    """Put the folder that ``--keys`` gave into a configuration, so that a run's own tells it."""
    return config if keys is None else config.replace("security.keys", str(keys.absolute()))


def client_config(path: Path | None, overrides: tuple[str, ...]) -> Config | None:
    """Read a client's configuration; without a file it comes from the learner.

    Raises:
        UsageError: when there is something to change but no file to change it in.
    """
    from zdqn.config import load_config
    from zdqn.errors import UsageError

    if path is not None:
        return load_config(path, overrides)
    if overrides:
        raise UsageError(
            f'--set "{overrides[0]}" needs a CONFIG file to change: without one the whole '
            f"configuration comes from the learner. Name the file that the learner was given."
        )
    return None
