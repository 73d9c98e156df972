"""The guard of a server with keys: asks each client for its key, and knows whose it is.

ZeroMQ calls this ZAP: libzmq asks a socket of the same context whether a key is to be let in. There
is one such socket in a context, so a server with keys has a context of its own.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from zdqn.closing import Closing
from zdqn.errors import ZdqnError
from zdqn.wire.cutting import cut, peer_of
from zdqn.wire.keys.allow_list import AllowList, Caller
from zdqn.wire.keys.key_pairs import first_letters
from zdqn.wire.keys.permissions import LET_IN, LinkName
from zdqn.wire.keys.role_keys import RoleKeys
from zdqn.wire.quiet_log import QuietLog
from zdqn.wire.socket_monitors import open_monitor
from zdqn.wire.sockets import Context, Link

logger = logging.getLogger("zdqn")

_ADDRESS = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_WAIT_MS = 100
_LOOK_EVERY_S = 1.0
_KEY_BYTES = 32
_BROKE_OFF = (
    "broke off: it has no key, takes this server's key for another, or does not speak ZeroMQ"
)
_FAILED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH
_EVENTS = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_MONITOR_STOPPED
    | _REFUSED
    | _FAILED
)
"""Not `EVENT_HANDSHAKE_FAILED_PROTOCOL`, which would tell the three reasons to break off apart.

Where libzmq 4.3.5 tells by it of an encrypted message that was changed on its way, it forgets to
end the connection: its descriptor is kept for good, and the next heartbeat aborts the process.
"""


class Gatekeeper(Closing):
    """Lets clients of a server in by their keys, in a thread of its own.

    Who is let in is read again when a list has changed; connections from where a revoked key was
    used are ended then, so that they must show it again.

    Args:
        context: of the server's sockets alone.
        keys: of the server.

    Raises:
        NotAllowedError: when others could change who is let in.
        FileError: when that cannot be read.
    """

    def __init__(self, context: Context, keys: RoleKeys) -> None:
        self._keys = keys
        self._list = AllowList()
        self._signature: tuple[object, ...] = ()
        self._links: list[Link] = []
        self._guarded: list[zmq.Socket[bytes]] = []
        self._hosts: defaultdict[bytes, set[str]] = defaultdict(set)
        self._quiet = QuietLog(logger)
        self._monitors = _Monitors(self._quiet)
        self._closing = threading.Event()
        self._read_lists()
        self._look_at_s = time.monotonic() + _LOOK_EVERY_S
        self._zap = context.socket(zmq.REP)
        self._zap.linger = 0
        self._zap.bind(_ADDRESS)
        self._thread = threading.Thread(target=self._guard, name="zdqn-gatekeeper", daemon=True)
        self._thread.start()

    def guard(self, socket: zmq.Socket[bytes], link: LinkName) -> None:
        """Put a link's socket, which is not bound yet, under guard."""
        socket.curve_server = True
        socket.curve_secretkey = self._keys.own.pair.secret
        socket.zap_domain = link.encode()
        self._monitors.add(link, open_monitor(socket, _EVENTS))
        self._guarded.append(socket)

    def take_over(self, link: Link) -> None:
        """Take note where a link is bound, so that its connections can be ended."""
        self._links.append(link)

    def identify(self, frame: zmq.Frame) -> Caller:
        """Tell whose key the connection has that a message came by; it may be revoked by now."""
        return self._list.caller(bytes.fromhex(str(frame.get("User-Id"))))

    def read_again(self) -> None:
        """Have the lists read again now, and not only when their files change."""
        self._signature = ()

    def close(self) -> None:
        """Let nobody in any more."""
        for socket in self._guarded:  # none may tell a monitor that is closed
            if not socket.closed:
                socket.disable_monitor()
        self._closing.set()
        self._thread.join()

    # --- the thread -----------------------------------------------------------------------------

    def _guard(self) -> None:
        poller = zmq.Poller()
        poller.register(self._zap, zmq.POLLIN)
        while not self._closing.is_set():
            self._monitors.enter(poller)
            for socket, _ in poller.poll(_WAIT_MS):
                if socket is self._zap:
                    self._answer()
                else:
                    self._monitors.read(socket, poller)
            self._look_at_lists()
        self._monitors.close()
        self._zap.close()

    def _answer(self) -> None:
        _, number, domain, host, _, _, *credentials = self._zap.recv_multipart()
        try:
            user = self._decide(domain.decode(), host.decode(), credentials)
        except Exception:  # whatever it is: nobody comes in, and the guard goes on
            logger.exception("the guard broke; nobody was let in")
            user = b""
        status = b"200" if user else b"400"
        self._zap.send_multipart([_VERSION, number, status, b"", user, b""])

    def _decide(self, link: Any, host: str, credentials: list[bytes]) -> bytes:
        """Give who a client is, for its messages; b"" if it is not let in."""
        (public,) = credentials
        if len(public) != _KEY_BYTES:
            return b""
        caller = self._list.caller(public)
        if caller.role in LET_IN[link]:
            self._hosts[public].add(host)
            return public.hex().encode()
        why = f"the {caller} does not open this link"
        if caller.role is None:
            why = f"key {first_letters(public)} is on no list of allowed keys"
        text = "turned away %s at %s: %s"
        kind = ("key", link, public)
        self._quiet.say(logging.WARNING, kind, text, host or "this machine", link, why)
        return b""

    def _look_at_lists(self) -> None:
        now_s = time.monotonic()
        if now_s < self._look_at_s and self._signature:
            return
        self._look_at_s = now_s + _LOOK_EVERY_S
        if self._signature == self._keys.folder.signature():
            return
        before = self._list
        try:
            self._read_lists()
        except ZdqnError as error:
            text = "who is let in stays as it was: %s"
            self._quiet.say(logging.WARNING, "lists", text, error)
            return
        logger.info("read who is let in again: %d keys", len(self._list.callers))
        for gone in self._list.gone_since(before):
            logger.warning("the %s is let in no more; its connections end", gone)
            self._cut(gone)

    def _read_lists(self) -> None:
        signature = self._keys.folder.signature()
        self._list = self._keys.folder.allowed()
        self._signature = signature
        for complaint in self._list.complaints:
            logger.warning("%s", complaint)

    def _cut(self, gone: Caller) -> None:
        hosts = self._hosts.pop(gone.public, set())
        for link in self._links:
            cut(link.address, None if "" in hosts else hosts)


@dataclass
class _Watched:
    """A link, and what has become of those who connected to it."""

    link: LinkName
    peers: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Descriptor to who is there, and how many had shaken hands before it came."""
    shaken: int = 0
    has_failed: bool = False
    """Whether the next connection that ends is one whose handshake failed."""


class _Monitors:
    """Says who was turned away before it could show a key.

    Args:
        quiet: where to.
    """

    def __init__(self, quiet: QuietLog) -> None:
        self._quiet = quiet
        self._new: queue.SimpleQueue[tuple[LinkName, zmq.Socket[bytes]]] = queue.SimpleQueue()
        self._watched: dict[zmq.Socket[bytes], _Watched] = {}

    def add(self, link: LinkName, monitor: zmq.Socket[bytes]) -> None:
        """Watch a link; from any thread."""
        self._new.put((link, monitor))

    def enter(self, poller: zmq.Poller) -> None:
        """Begin to watch what was added."""
        while not self._new.empty():
            link, monitor = self._new.get()
            self._watched[monitor] = _Watched(link)
            poller.register(monitor, zmq.POLLIN)

    def read(self, monitor: zmq.Socket[bytes], poller: zmq.Poller) -> None:
        """Take one event."""
        watched = self._watched[monitor]
        told = recv_monitor_message(monitor)
        event, value = told["event"], told["value"]
        if event == zmq.EVENT_MONITOR_STOPPED:
            poller.unregister(monitor)
            del self._watched[monitor]
            monitor.close(0)
        elif event == zmq.EVENT_ACCEPTED:
            watched.peers[value] = (peer_of(value), watched.shaken)
        elif event in (zmq.EVENT_HANDSHAKE_SUCCEEDED, _REFUSED):
            watched.shaken += 1
        elif event == _FAILED:
            watched.has_failed = True
        else:
            self._take_end(watched, value)

    def _take_end(self, watched: _Watched, descriptor: int) -> None:
        """Name one whose handshake has just failed, or who left before anybody shook hands."""
        peer, shaken_before = watched.peers.pop(descriptor, ("", -1))
        has_failed, watched.has_failed = watched.has_failed, False
        if has_failed or watched.shaken == shaken_before:
            who, link = peer or "somebody", watched.link
            text = "turned away %s at %s: it %s"
            self._quiet.say(logging.WARNING, (who, link), text, who, link, _BROKE_OFF)

    def close(self) -> None:
        """Watch nothing any more."""
        while not self._new.empty():
            self._new.get()[1].close(0)
        for monitor in self._watched:
            monitor.close(0)
