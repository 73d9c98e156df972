"""A memory that does not read must survive, and keep, the collectors that it holds back."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading, time
import zdqn.wire.sockets as sockets
from zdqn.wire.transition_sockets import TransitionReceiver, TransitionSender
from zdqn.wire.addresses import parse_address

sockets._HEARTBEAT_MS, sockets._HEARTBEAT_TIMEOUT_MS = 100, 300  # as of the links that have them
context, peer = sockets.Context(), sockets.Context()
receiver = TransitionReceiver(
    context, parse_address("tcp://127.0.0.1:0", parameter="test", bind=True),
    high_water_mark=2, buffer_bytes=16384,
)
sender = TransitionSender(
    peer, receiver.address, high_water_mark=2, buffer_bytes=16384
)
sent = 0
while sender.send(sent.to_bytes(4, "little") + bytes(2_000_000), lambda: True):
    sent += 1
if sys.argv[1] == "leaves":
    sender.close(0)
    peer.close()
threading.Event().wait(1.5)  # many heartbeats, none of which may be sent
received = []
while (message := receiver.receive(copy=True)) is not None or len(received) < sent:
    if message is not None:
        received.append(int.from_bytes(message[:4], "little"))
    elif sys.argv[1] == "leaves":
        break
print(sent, *received)
"""


@pytest.mark.parametrize("collector", ["stays", "leaves"])
def test_nothing_breaks_while_collectors_are_held_back(collector):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, collector], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    sent, *received = map(int, done.stdout.split())
    assert sent >= 2
    assert received == list(range(len(received)))
    if collector == "stays":
        assert len(received) == sent


ASKS_WITHOUT_END = """
import threading

import zdqn.wire.sockets as sockets
from zdqn.wire.addresses import parse_address
from zdqn.wire.request_sockets import PipelinedClient, Server

sockets._HEARTBEAT_MS, sockets._HEARTBEAT_TIMEOUT_MS = 100, 300
context, peer = sockets.Context(), sockets.Context()
server = Server(context, parse_address("tcp://127.0.0.1:0", parameter="test", bind=True))
client = PipelinedClient(peer, server.address)
while client.send(bytes(20_000)):  # more than the server reads ahead
    pass
server.wait(5_000)
client.close(0)
peer.close()
threading.Event().wait(1.5)  # many heartbeats, none of which may be sent
while server.receive() is None:
    pass
other = sockets.Context()
with PipelinedClient(other, server.address) as client:
    client.send(b"good")
    while (request := server.receive()) is None or request.body != b"good":
        pass
print("served")
"""


def test_a_client_that_asks_more_than_is_answered_and_leaves_does_not_end_a_server():
    done = subprocess.run(
        [sys.executable, "-c", ASKS_WITHOUT_END], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "served\n"
