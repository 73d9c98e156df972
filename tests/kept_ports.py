"""Ports that are kept for servers of a test, which come late, or come back."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

HOST = "127.0.0.1"


@contextmanager
def kept_pair() -> Iterator[int]:
    """Give a port of loopback where nothing listens, nor at the one below; nobody else gets them.

    At the one below a memory takes transitions, and a learner publishes. A socket that is bound and
    does not listen keeps the kernel from giving its port to whoever wants a free one, connections
    included, and leaves it to a server that names it: both allow that with SO_REUSEADDR.
    """
    with ExitStack() as stack:
        while True:
            kept, below = (stack.enter_context(socket.socket()) for _ in range(2))
            for each in (kept, below):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            kept.bind((HOST, 0))
            port = kept.getsockname()[1]
            try:
                below.bind((HOST, port - 1))
            except OSError:  # somebody has it
                continue
            break
        yield port
