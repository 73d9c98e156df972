"""``zdqn keys init | show | allow | revoke``: who may take part in runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zdqn.cli.options import FOLDER, settings_folder

if TYPE_CHECKING:
    from zdqn.wire.keys.allow_list import KeyRole
    from zdqn.wire.keys.key_folder import KeyFolder

_ROLES: tuple[KeyRole, ...] = ("memory", "learner", "collector", "evaluator", "operator")
_CLIENTS = _ROLES[1:]

_folder_option = click.option(
    "--keys",
    type=FOLDER,
    metavar="DIR",
    help="Folder of keys; by default zdqn/keys in $XDG_CONFIG_HOME, or ~/.config.",
)


@click.group()
def keys() -> None:
    """Make keys, and say whose are let in.

    With keys every link is encrypted, and a key may do what its role needs. A folder of keys holds
    one for each role, and for servers the lists of those that they let in.
    """


@keys.command()
@_folder_option
@click.option(
    "--role",
    "roles",
    type=click.Choice(_ROLES),
    multiple=True,
    help="Make a key for this role alone; repeatable.",
)
def init(keys: Path | None, roles: tuple[KeyRole, ...]) -> None:
    """Make a key for each role, in a folder that nobody else can enter."""
    folder = _folder(keys)
    for made in folder.init(roles or _ROLES):
        click.echo(f"made the {made}")
    click.echo(f"Give every role, status and stop: --keys {folder.path}")
    click.echo(f"Other machines need a copy of it: scp -rp {folder.path} HOST:")


@keys.command()
@_folder_option
def show(keys: Path | None) -> None:
    """Show the public keys, and who is let in; no secret."""
    folder = _folder(keys)
    own = [folder.own(role) for role in folder.own_roles()]
    allowed = folder.allowed()
    click.echo(f"own keys in {folder.path}")
    for key in own:
        click.echo(f"  {key.role:<10} {key.pair.public.hex()} {key.name}")
    click.echo("let in by servers with this folder")
    for caller in allowed.callers.values():
        click.echo(f"  {caller.role or '':<10} {caller.public.hex()} {caller.name}")
    for complaint in allowed.complaints:
        click.echo(f"warning: {complaint}", err=True)


@keys.command()
@_folder_option
@click.argument("role", type=click.Choice(_CLIENTS))
@click.argument("key", metavar="KEY|FILE")
@click.option("--name", help="What to call it in logs; by default as its file says.")
def allow(keys: Path | None, role: KeyRole, key: str, name: str | None) -> None:
    """Let a public key in, as the key of a role.

    KEY is its 64 hexadecimal digits, as `zdqn keys show` prints them, or FILE the ROLE.public that
    holds it. Running servers see it within a second or two.
    """
    click.echo(f"the {_folder(keys).allow(role, key, name)} is let in")


@keys.command()
@_folder_option
@click.argument("which", metavar="NAME|KEY")
def revoke(keys: Path | None, which: str) -> None:
    """Let a key in no more, and end the connections that it has.

    NAME is what the list calls it; of a KEY its first digits will do. Running servers see it within
    a second or two.
    """
    for gone in _folder(keys).revoke(which):
        click.echo(f"the {gone} is let in no more")


def _folder(given: Path | None) -> KeyFolder:
    from zdqn.wire.keys.key_folder import KeyFolder

    return KeyFolder(settings_folder() / "keys" if given is None else given)
