"""A server that gives prepared answers, sockets of a stranger, and messages to send."""

import threading
from collections import deque
from typing import Any

import numpy as np
import pytest
import zmq

from tests.wire.links import WAIT_MS
from zdqn.wire import block_payload, codec
from zdqn.wire.memory_messages import BlockHeader
from zdqn.wire.protocol import Acknowledged, Pong, Welcome
from zdqn.wire.request_sockets import Server
from zdqn.wire.sockets import Waiter

WELCOME = Welcome(
    role="memory", run_id="r", session=9, data_endpoint="tcp://127.0.0.1:5555", spec=None,
    config={}, memory="", index=0, seed=0,
)  # fmt: skip
PONG = Pong(session=9, known=True, stopping=False, environment_steps=0, collectors=1, statistics={})


class FakeServer:
    """Answers each kind of request with the next of what it was given; the last one for ever."""

    def __init__(self, context, address, **answers):
        self._server = Server(context, address)
        self.address = self._server.address
        self.answers = {"Hello": [WELCOME], "Ping": [PONG], "Goodbye": [Acknowledged()], **answers}
        self._queues = {kind: deque(values) for kind, values in self.answers.items()}
        self.heard = []
        self.done = threading.Event()

    def serve(self):
        waiter = Waiter([self._server])
        while not self.done.is_set():
            waiter.wait(10)
            while (request := self._server.receive()) is not None:
                header = codec.decode(request.body).header
                self.heard.append(header)
                answers = self._queues[type(header).__name__]
                answer = answers.popleft() if len(answers) > 1 else answers[0]
                if answer is not None:
                    body = answer if isinstance(answer, bytes) else codec.encode(answer)
                    self._server.reply(request, body)

    def count(self, kind):
        return sum(isinstance(header, kind) for header in self.heard)


@pytest.fixture
def plain(context):
    """Sockets straight from zmq, as another program would make them."""
    with zmq.Context() as own:
        kept = []

        def make(kind, address, **options):
            made = own.socket(kind)
            kept.append(made)
            made.linger = 0
            made.rcvtimeo = WAIT_MS
            for name, value in options.items():
                setattr(made, name, value)
            made.connect(str(address))
            return made

        yield make
        own.destroy(linger=0)


@pytest.fixture
def fake(context, loopback, in_thread):
    made = []

    def start(address=loopback, **answers):
        server = FakeServer(context, address, **answers)
        made.append(server)
        in_thread(server.serve)
        return server

    yield start
    for server in made:
        server.done.set()


def make_header(**changes: Any) -> BlockHeader:
    values = {
        "session": 5, "sequence": 0, "spec_digest": 1, "frames": 3, "transitions": 2,
        "environment_steps": 2, "episodes": 0, **changes,
    }  # fmt: skip
    return BlockHeader(**values)


def zeros(layout):
    return [np.zeros(shape, dtype) for dtype, shape in layout]


def block_message(spec, make_block, **changes):
    block = make_block(spec, 2, frames=3)
    header = make_header(**changes)
    return block_payload.encode_block(header, block)
