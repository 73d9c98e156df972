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
        [sys.executable, "-c", PROGRAM, collector], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    sent, *received = map(int, done.stdout.split())
    assert sent >= 2
    assert received == list(range(len(received)))
    if collector == "stays":
        assert len(received) == sent
