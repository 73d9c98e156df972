"""A bound socket in a process of its own, so that what kills a server kills no test."""

import multiprocessing
import resource
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.wire.links import WAIT_S
from zdqn.closing import Closing
from zdqn.wire.addresses import Address
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.node import Node
from zdqn.wire.protocol import ServerRole
from zdqn.wire.sockets import Waiter

LINKS = ("transitions", "samples", "weights")
ROOM: dict[str, Any] = {"high_water_mark": 100, "buffer_bytes": 0}
_HERE = Address("tcp", "127.0.0.1")
_ROOT = str(Path(__file__).parents[2])


def server_role(link: str) -> ServerRole:
    return "learner" if link == "weights" else "memory"


class _Served:
    """The socket, in its process; each method is one that the other process may call."""

    def __init__(self, node: Node, link: str) -> None:
        self._link = link
        self._socket: Any = {
            "transitions": lambda: node.receiver(_HERE, **ROOM),
            "samples": lambda: node.server(_HERE, "memory"),
            "weights": lambda: node.publisher(_HERE),
        }[link]()

    def address(self):
        return self._socket.address

    def publish(self, message):
        self._socket.publish(message)

    def take(self):
        if not Waiter([self._socket]).wait(WAIT_S * 1000):
            return None
        if self._link == "transitions":
            return [bytes(message) for message in self._socket.receive_some(100, copy=True)]
        came = []
        while (request := self._socket.receive()) is not None:
            came.append(bytes(request.body))
            self._socket.reply(request, request.body)
        return came

    def resident_bytes(self):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def descriptors(self):
        return len(list(Path("/proc/self/fd").iterdir()))

    def close(self):
        self._socket.close(0)


def _serve(link: str, folder: Path | None, calls: Connection) -> None:
    with Node(keys=open_keys(folder, server_role(link))) as node:
        served = _Served(node, link)
        try:
            while True:
                name, *arguments = calls.recv()
                calls.send(getattr(served, name)(*arguments))
        except EOFError:
            served.close()


class ServedAlone(Closing):
    """A bound socket in a process of its own, and what may be asked of it.

    A call raises AssertionError where that process has died.

    Args:
        link: which of `LINKS`.
        folder: of keys; None goes without.
    """

    def __init__(self, link: str, folder: Path | None) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._calls, theirs = spawning.Pipe()
        self._process = spawning.Process(target=_serve, args=(link, folder, theirs), daemon=True)
        if _ROOT not in sys.path:  # what is spawned looks there for this module
            sys.path.append(_ROOT)
        self._process.start()
        theirs.close()
        self.address: Address = self._call("address")

    def _call(self, *call: Any) -> Any:
        try:
            self._calls.send(call)
            return self._calls.recv()
        except (EOFError, OSError):
            self._process.join(WAIT_S)
            code = self._process.exitcode
            raise AssertionError(f"the server's process died: exit code {code}") from None

    def publish(self, message):
        """Send to every subscriber."""
        self._call("publish", message)

    def take(self):
        """Give the messages that have come; None if none does in time. A request is its answer."""
        return self._call("take")

    def resident_bytes(self):
        """Give how much memory its process has."""
        return self._call("resident_bytes")

    def descriptors(self):
        """Give how many files and connections its process has open."""
        return self._call("descriptors")

    def close(self) -> None:
        """End the process."""
        self._calls.close()
        self._process.join(WAIT_S)
        self._process.kill()
        self._process.join()
