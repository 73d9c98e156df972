"""``zdqn dashboard``: a run as a web page, for who would rather look than read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zdqn.cli.closing_words import say
from zdqn.cli.options import keys_option
from zdqn.cli.signals import stop_on_signals

if TYPE_CHECKING:
    from zdqn.config import Config
    from zdqn.experiments.dashboard.server import Dashboard


@click.command()
@click.argument("target", metavar="[TARGET]", required=False)
@click.option(
    "--bind",
    metavar="HOST:PORT",
    help="Listen here; by default 127.0.0.1:8080, or a free port where that is taken.",
)
@click.option(
    "--film/--no-film",
    default=True,
    show_default=True,
    help="Play an episode with the newest weights now and then, and show it.",
)
@click.option(
    "--open/--no-open", "opens", default=None, help="Open a browser; by default if there is one."
)
@click.option(
    "--allow-code",
    metavar="MODULE",
    multiple=True,
    help="Let the run's configuration name code of this module, to play the episode; repeatable.",
)
@keys_option
def dashboard(
    target: str | None,
    bind: str | None,
    film: bool,
    opens: bool | None,
    allow_code: tuple[str, ...],
    keys: Path | None,
) -> None:
    """Show a run in a browser, while it trains and afterwards.

    TARGET is a run directory or a server's address; by default the newest run in ./runs.

    The URL is printed. Where other machines can reach it, or the run has keys, it holds a token.
    """
    from zdqn.experiments.dashboard.server import Dashboard
    from zdqn.launch.run_inquiry import directory_of_target, operator_keys

    directory = directory_of_target(target)
    operator = operator_keys(keys, directory)
    with (
        stop_on_signals() as stop,
        Dashboard(
            target, directory, bind=bind, keys=operator, film=film, allow_code=allow_code
        ) as shown,
    ):
        announce(shown, opens=opens)
        stop.wait()


def announce(shown: Dashboard, *, opens: bool | None) -> None:
    """Print where a dashboard is, and open a browser there if that is wanted or usual."""
    from zdqn.experiments.dashboard.server import open_browser

    say(f"dashboard: {shown.url}", err=True)
    if opens is None:
        opens = not shown.has_token  # the URL would be seen in the browser's command line
    if opens:
        open_browser(shown.url)


@contextmanager
def dashboard_beside(
    wanted: bool, run_directory: Path, keys: Path | str, config: Config
) -> Iterator[None]:
    """Serve the page of a run that this process starts, for as long as it goes on.

    Args:
        wanted: whether there shall be one.
        run_directory: of the run.
        keys: folder of its keys; "" if it has none.
        config: of the run, whose code is trusted with playing too.
    """
    if not wanted:
        yield
        return
    from zdqn.config import named_modules
    from zdqn.experiments.dashboard.server import Dashboard
    from zdqn.wire.keys.role_keys import open_keys

    with Dashboard(
        str(run_directory),
        run_directory,
        keys=open_keys(keys, "operator"),
        allow_code=named_modules(config),
    ) as shown:
        announce(shown, opens=None)
        yield
