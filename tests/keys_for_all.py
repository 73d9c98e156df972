"""`pytest --keys`: every link over which a test goes is encrypted, and joined with a key.

Roles open the keys of their role in one folder that is made for all tests, and may do what their
key allows. The sockets that a test makes by itself, to play any role, show a key of their own that
may do everything: whom a key allows what is tested with and without this. A test marked `own_keys`
says itself who has keys, and is the same with this option; one marked `keyless(reason)` is about
links without keys, and skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from zdqn.wire import desk, remote_control
from zdqn.wire.keys.allow_list import KEY_ROLES
from zdqn.wire.keys.gatekeeper import Gatekeeper
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.permissions import LET_IN, check_allowed
from zdqn.wire.keys.role_keys import RoleKeys, open_keys
from zdqn.wire.node import Node
from zdqn.wire.sockets import Context

_OPENERS = ("zdqn.roles.learner_client", "zdqn.roles.server_place")
_ANYBODY = "whoever a test plays"
_ANY_LINK: Any = "any"
_SERVERS = {zmq.ROUTER, zmq.PULL, zmq.PUB}
_CLIENTS = {zmq.REQ, zmq.DEALER, zmq.PUSH, zmq.SUB}


class KeysForAll:
    """The keys of all tests, and what puts them on their sockets.

    Args:
        path: of the folder to make.
    """

    def __init__(self, path: Path) -> None:
        self.folder = KeyFolder(path)
        self.folder.init()
        for ending in ("public", "secret"):  # a test's server may be taken for either
            (path / f"memory.{ending}").write_text((path / f"learner.{ending}").read_text())
        own = KeyFolder(path.with_name(f"{path.name} of tests"))
        own.init(["collector"])
        self.folder.allow("collector", str(own.path / "collector.public"), _ANYBODY)
        self._client = own.own("collector").pair
        self._operator = open_keys(path, "operator")
        self._server = RoleKeys(self.folder, self.folder.own("memory"), {})
        self._gates: dict[Context, Gatekeeper | None] = {}

    def show(self, made: zmq.Socket[bytes]) -> None:
        """Give a socket that will connect the key that may do everything."""
        made.curve_publickey = self._client.public
        made.curve_secretkey = self._client.secret
        made.curve_serverkey = self._server.own.pair.public

    def of_context(self, context: Context, kind: int, made: zmq.Socket[bytes]) -> None:
        """Put keys on what a context has made, unless it belongs to a role with its own."""
        if kind == zmq.REP:  # the guard of who has keys already
            self._gates.setdefault(context, None)
        elif kind in _CLIENTS:
            self.show(made)
        elif kind in _SERVERS:
            if context not in self._gates:
                self._gates[context] = Gatekeeper(context, self._server)
            gate = self._gates[context]
            if gate is not None:
                gate.guard(made, _ANY_LINK)

    def close_gate(self, context: Context) -> None:
        """End the guard of a context's servers."""
        gate = self._gates.pop(context, None)
        if gate is not None:
            gate.close()

    def put_on_everything(self, patch: pytest.MonkeyPatch) -> None:
        """From now on all that is made has keys."""
        make, close = Context.socket, Context.close

        def socket(context: Context, kind: int) -> zmq.Socket[bytes]:
            made = make(context, kind)
            self.of_context(context, kind, made)
            return made

        def close_with_gate(context: Context) -> None:
            self.close_gate(context)
            close(context)

        def open_own(folder: str | Path | None, role: Any) -> RoleKeys | None:
            return open_keys(folder or self.folder.path, role)

        def check(caller: Any, *asked: Any) -> None:
            if caller.name != _ANYBODY:
                check_allowed(caller, *asked)

        patch.setitem(LET_IN, _ANY_LINK, frozenset(KEY_ROLES))
        patch.setattr(Context, "socket", socket)
        patch.setattr(Context, "close", close_with_gate)
        patch.setattr(desk, "check_allowed", check)
        patch.setattr(remote_control, "Node", lambda keys: Node(keys=keys or self._operator))
        for module in _OPENERS:
            patch.setattr(f"{module}.open_keys", open_own)


_for_all: list[KeysForAll] = []
_is_on: list[bool] = []
"""Not empty while a test runs that goes with those keys."""


def options_of_processes() -> tuple[str, ...]:
    """Give what a role that is started from the command line needs besides."""
    return ("--keys", str(_for_all[0].folder.path)) if _is_on else ()


class ForeignContext(zmq.Context[zmq.Socket[bytes]]):
    """A context of another program, whose sockets connect with a key if the tests go with keys."""

    def socket(self, *kind: Any, **options: Any) -> Any:
        """Make one, which is not left waiting at the end for who is not there."""
        made = super().socket(*kind, **options)
        made.linger = 0
        if _is_on:
            _for_all[0].show(made)
        return made


def begin(path: Path) -> None:
    """Make the keys of all tests."""
    _for_all.append(KeysForAll(path))


@contextmanager
def on_links_of(item: Any) -> Iterator[None]:
    """Give a test keys while it runs, if it goes with them; skip it where it cannot."""
    reason = item.get_closest_marker("keyless")
    if not _for_all or item.get_closest_marker("own_keys") is not None:
        yield
    elif reason is not None:
        pytest.skip(f"without keys only: {reason.args[0]}")
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.keys_for_all._is_on", [True])
            _for_all[0].put_on_everything(patch)
            yield
