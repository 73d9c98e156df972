"""Monitors of sockets: on which libzmq tells what becomes of their connections."""

from __future__ import annotations

import itertools

import zmq

_MONITORS = itertools.count()


def open_monitor(socket: zmq.Socket[bytes], events: int) -> zmq.Socket[bytes]:
    """Give the socket on which a socket tells what becomes of its connections.

    Args:
        socket: not bound or connected yet.
        events: of ZeroMQ's, or-ed.

    Returns:
        A PAIR, to be closed with `close_monitor` before the socket is. It takes any number of
        events: where one finds no room, or nobody to take it, libzmq's thread waits for ever, and
        with it all sockets of the context.
    """
    place = f"inproc://zdqn-monitor-{next(_MONITORS)}"
    socket.monitor(place, events)
    pair: zmq.Socket[bytes] = socket.context.socket(zmq.PAIR)
    pair.rcvhwm = 0
    pair.linger = 0
    pair.connect(place)
    return pair


def close_monitor(socket: zmq.Socket[bytes], pair: zmq.Socket[bytes]) -> None:
    """Have a socket tell nothing any more, and close where it told it.

    Args:
        socket: one that is closed already must have been through this before: libzmq closes it in
            its own time, and until then its connections may end, which nobody would take.
        pair: of `open_monitor`.
    """
    if not socket.closed:
        socket.disable_monitor()
    pair.close(0)
