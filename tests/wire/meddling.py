"""A client's real handshake, cut or changed on its way to a bound socket, and an honest client."""

import select
import socket
from contextlib import ExitStack
from typing import Any

import zmq

from tests.roles.conftest import eventually
from tests.wire.links import WAIT_S
from tests.wire.served_alone import ROOM, ServedAlone, server_role
from zdqn.errors import ProtocolError
from zdqn.wire import codec
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.node import Node
from zdqn.wire.protocol import Ping

_PATIENCE_S = 1.5
"""After this long in which neither end has said anything, the handshake is taken to be over."""
_QUIET_S = 0.01
"""After a change, with nothing said since: so long is waited for what it does."""
_MEDDLERS = 2**40
_MEDDLED = codec.encode(Ping(session=_MEDDLERS, statistics={}))


class Meddled:
    """A bound socket, an honest client of it, and one whose connection is meddled with.

    The socket is in a process of its own, `server`.

    Args:
        link: which of `LINKS`.
        folder: of keys; None goes without.
    """

    def __init__(self, link, folder):
        self._stack = ExitStack()
        try:
            self._begin(link, folder)
        except BaseException:
            self.close()
            raise

    def _begin(self, link, folder):
        self._link, self._has_keys = link, folder is not None
        self._keys = open_keys(folder, "collector")
        self.server = self._stack.enter_context(ServedAlone(link, folder))
        here = self._stack.enter_context(Node(keys=self._keys))
        self._foreign = self._stack.enter_context(zmq.Context())
        address = self.server.address
        self._honest: Any = {
            "transitions": lambda: here.sender(address, **ROOM),
            "samples": lambda: here.pipelined_client(address, "memory"),
            "weights": lambda: here.subscriber(address),
        }[link]()
        self._stack.callback(self._honest.close, 0)
        self._count = 0
        self.check_honest()
        self.stream = b""
        self.meddle(None)
        assert (_MEDDLED in self.stream) == (link != "weights" and not self._has_keys)
        self.handshake_bytes = self.stream.find(_MEDDLED) if not self._has_keys else -1
        if self.handshake_bytes < 0:
            self.handshake_bytes = len(self.stream)

    def close(self):
        self._stack.close()

    # --- the honest client ----------------------------------------------------------------------

    def check_honest(self):
        """Have the honest client served; whatever else was delivered must have been sent."""
        self._count += 1
        mine = codec.encode(Ping(session=self._count, statistics={}))
        if self._link == "weights":

            def arrives():
                self.server.publish(mine)
                return bytes(self._honest.latest(5) or b"") == mine

            eventually(arrives, "the honest subscriber's weights", WAIT_S)
            return
        if self._link == "transitions":
            assert self._honest.send(mine, lambda: True)
        else:
            assert self._honest.send(mine)
        while mine not in self._delivered():
            pass
        if self._link == "samples":
            assert bytes(self._honest.receive(WAIT_S * 1000) or b"") == mine

    def _delivered(self):
        """Take what has come; nothing may have that nobody sent."""
        came = self.server.take()
        assert came is not None, "the honest client is not served"
        for message in came:
            try:
                header = codec.decode(message).header
            except ProtocolError:  # an older ZMTP passes anything: the codec does not
                assert not self._has_keys
            else:
                assert isinstance(header, Ping)
                assert header.session in (_MEDDLERS, self._count)
                assert not header.statistics
        return came

    # --- the other ------------------------------------------------------------------------------

    def meddle(self, at, change=0):
        """Pass on what a client says; from a byte on nothing, or that byte changed.

        Args:
            at: which byte of what it says; None for none.
            change: what to flip in that byte; 0 cuts there.
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(WAIT_S)
            address = self.server.address
            with self._client(listener.getsockname()[1]):
                near, _ = listener.accept()
                with near, socket.create_connection((address.host, address.port), WAIT_S) as far:
                    self._pass_on(near, far, at, change)
                    self.check_honest()
        self.check_honest()

    def _client(self, port):
        kind = {"transitions": zmq.PUSH, "samples": zmq.DEALER, "weights": zmq.SUB}[self._link]
        made = self._foreign.socket(kind)
        made.linger = 0
        made.reconnect_ivl = -1
        if self._keys is not None:
            made.curve_publickey = self._keys.own.pair.public
            made.curve_secretkey = self._keys.own.pair.secret
            made.curve_serverkey = self._keys.servers[server_role(self._link)]
        made.connect(f"tcp://127.0.0.1:{port}")
        if kind == zmq.SUB:
            made.subscribe(b"")
        elif kind == zmq.PUSH:
            made.send(_MEDDLED)
        else:
            made.send_multipart([b"", _MEDDLED])
        return made

    def _pass_on(self, near, far, at, change):
        said = bytearray()
        patience_s = _PATIENCE_S
        while ready := select.select([near, far], [], [], patience_s)[0]:
            for end in ready:
                try:
                    piece = end.recv(65_536)
                    if not piece:
                        return
                    if end is far:
                        near.sendall(piece)
                        continue
                    start = len(said)
                    said += piece
                    if at is not None and start <= at < len(said):
                        if not change:
                            far.sendall(piece[: at - start])
                            return
                        piece = bytearray(piece)
                        piece[at - start] ^= change
                        patience_s = _QUIET_S
                    far.sendall(piece)
                except OSError:
                    return
            if at is None and said.endswith(_MEDDLED):
                break
        if at is None:
            self.stream = bytes(said)
