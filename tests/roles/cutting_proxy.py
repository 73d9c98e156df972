"""A way to a memory that can be cut: 127.0.0.2, which hands on to the same port of 127.0.0.1."""

import contextlib
import selectors
import socket
import struct
import threading

HOST = "127.0.0.2"
_RESET = struct.pack("ii", 1, 0)


class CuttingProxy:
    """Hands bytes on until it is closed.

    Args:
        ports: that it listens at.
    """

    def __init__(self, *ports):
        self._selector = selectors.DefaultSelector()
        self._other: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._listeners = [socket.create_server((HOST, port)) for port in ports]
        for listener, port in zip(self._listeners, ports, strict=True):
            self._selector.register(listener, selectors.EVENT_READ, port)
        self._thread = threading.Thread(target=self._carry, name="proxy")
        self._thread.start()

    def _carry(self):
        while not self._closing.is_set():
            for key, _ in self._selector.select(0.05):
                end = key.fileobj
                assert isinstance(end, socket.socket)
                with self._lock, contextlib.suppress(OSError, KeyError):  # cut meanwhile
                    if key.data is not None:
                        self._connect(end.accept()[0], key.data)
                    else:
                        self._hand_on(end)

    def _connect(self, near, port):
        try:
            far = socket.create_connection(("127.0.0.1", port))
        except OSError:
            near.close()
            return
        self._other |= {near: far, far: near}
        for end in (near, far):
            self._selector.register(end, selectors.EVENT_READ)

    def _hand_on(self, end):
        try:
            some = end.recv(65536)
        except OSError:
            some = b""
        if some:
            self._other[end].sendall(some)
        else:
            self._end(end)

    def _end(self, end):
        for one in (end, self._other[end]):
            self._selector.unregister(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            one.close()
            del self._other[one]

    def cut(self):
        """Reset all connections; gives how many there were."""
        with self._lock:
            connections = len(self._other) // 2
            while self._other:
                self._end(next(iter(self._other)))
        return connections

    def close(self):
        self._closing.set()
        self._thread.join(60)
        self.cut()
        self._selector.close()
        for listener in self._listeners:
            listener.close()
