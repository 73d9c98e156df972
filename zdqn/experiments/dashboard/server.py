"""A dashboard: a web page of this machine that shows a run while it goes on, and afterwards."""

from __future__ import annotations

import errno
import socket
import threading
import webbrowser
from collections.abc import Collection
from pathlib import Path

from zdqn.closing import Closing
from zdqn.errors import AddressInUseError, ConfigError
from zdqn.experiments.dashboard.admission import new_token
from zdqn.experiments.dashboard.filming import FilmMaker
from zdqn.experiments.dashboard.observer import RunObserver
from zdqn.experiments.own_display import has_display
from zdqn.wire.addresses import Address, parse_address
from zdqn.wire.keys.role_keys import RoleKeys

USUAL_BIND = "127.0.0.1:8080"
"""Where a dashboard listens if nothing is said, or at a free port where this one is taken."""

_GRACE_S = 2
_INSTALL = 'The dashboard needs two packages: pip install "zdqn[dashboard]"'


class Dashboard(Closing):
    """Serves the page of a run, in a thread, until it is closed.

    Without a token it listens to this machine alone. A token is made where other machines can come,
    and where the run has keys: what they keep from others must not be had here for nothing.

    Args:
        target: what the user named: a run directory or an address; None if `directory` was chosen.
        directory: of the run; None if an address was given.
        bind: ``HOST:PORT``, port 0 for a free one; None for `USUAL_BIND`.
        keys: an operator's, where servers have keys.
        film: whether an episode is played now and then.
        allow_code: modules of which the run's configuration may name code, to play it.

    Attributes:
        url: to open, with the token if there is one.
        has_token: whether there is one.

    Raises:
        ConfigError: when `bind` is no address, or a package is missing.
        AddressInUseError: when another process has it.
    """

    def __init__(
        self,
        target: str | None,
        directory: Path | None,
        *,
        bind: str | None = None,
        keys: RoleKeys | None = None,
        film: bool = True,
        allow_code: Collection[str] = (),
    ) -> None:
        try:
            import uvicorn

            from zdqn.experiments.dashboard.bounded_connections import BoundedConnection
            from zdqn.experiments.dashboard.live import LiveRun
            from zdqn.experiments.dashboard.web_app import build_app
        except ImportError as error:
            raise ConfigError(f"{_INSTALL} ({error}).") from error
        self._socket = _listen(bind)
        address = _address_of(self._socket)
        token = new_token() if keys is not None or not address.is_loopback else None
        self.has_token = token is not None
        self.url = str(address.advertised()).replace("tcp://", "http://") + "/"
        self.url += f"?token={token}" if token is not None else ""
        films = None
        if film and directory is not None:
            films = FilmMaker(directory, allow_code=allow_code)
        self._observer = RunObserver(target, directory, keys=keys, films=films)
        self._live = LiveRun(self._observer)
        app = build_app(
            self._live, self._observer, token=token, cookie=f"zdqn-dashboard-{address.port}"
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="error",
                access_log=False,  # it would hold the token
                server_header=False,
                loop="asyncio",
                http=BoundedConnection,
                ws="none",
                lifespan="on",
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="zdqn-dashboard", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def close(self) -> None:
        """Serve no more."""
        self._live.close()
        self._server.should_exit = True
        self._thread.join()
        self._observer.close()
        self._socket.close()


def _listen(bind: str | None) -> socket.socket:
    try:
        return _listen_at(bind or USUAL_BIND)
    except AddressInUseError:
        if bind is not None:
            raise
    return _listen_at(f"{USUAL_BIND.rpartition(':')[0]}:0")


def _listen_at(bind: str) -> socket.socket:
    address = parse_address(f"tcp://{bind.removeprefix('http://')}", parameter="--bind", bind=True)
    family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen()
    except OSError as error:
        listener.close()
        kind = AddressInUseError if error.errno == errno.EADDRINUSE else ConfigError
        raise kind(
            f"--bind is {bind}, where the dashboard cannot listen: {error.strerror or error}. Give "
            f"another, such as 127.0.0.1:0 for a free port of this machine."
        ) from error
    return listener


def _address_of(listener: socket.socket) -> Address:
    host, port = listener.getsockname()[:2]
    return Address("tcp", str(host), int(port))


def open_browser(url: str) -> bool:
    """Show a page in the user's browser, if there is a display to show it on.

    Returns:
        Whether one was asked to.
    """
    return has_display() and webbrowser.open(url)
