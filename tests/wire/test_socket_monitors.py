"""Monitors end before their sockets, whose connections may end later."""

import pytest
import zmq

from tests.wire.links import WAIT_MS
from zdqn.wire.socket_monitors import close_monitor, open_monitor
from zdqn.wire.sockets import Context


def bound(context):
    """Give a socket that takes one message, and its address."""
    made = context.socket(zmq.PULL)
    made.rcvhwm, made.rcvbuf, made.rcvtimeo = 1, 4_096, WAIT_MS
    return made, f"tcp://127.0.0.1:{made.bind_to_random_port('tcp://127.0.0.1')}"


@pytest.mark.keyless("sockets of its own have none; links with keys have a test of theirs")
def test_what_it_would_tell_once_closed_is_dropped(context):
    """Else libzmq's thread would wait for who takes it, and with it all sockets of the context."""
    theirs = Context()
    pull, address = bound(theirs)
    push = context.socket(zmq.PUSH)
    push.sndhwm, push.sndbuf, push.linger = 1, 4_096, 1_000
    pair = open_monitor(push, zmq.EVENT_ALL)
    push.connect(address)
    assert pair.poll(WAIT_MS)
    push.send(b"first")
    assert pull.recv() == b"first"
    while True:
        try:
            push.send(bytes(100_000), zmq.NOBLOCK)
        except zmq.Again:
            break
    close_monitor(push, pair)
    close_monitor(push, pair)  # once more is no mistake
    push.close()  # libzmq keeps it for what is unsent
    close_monitor(push, pair)
    pull.close(0)
    theirs.close()
    pull, address = bound(context)
    push = context.socket(zmq.PUSH)
    push.linger = 0
    push.connect(address)
    push.send(b"second")
    assert pull.recv() == b"second"
    push.close()
    pull.close()
