"""A server that gives prepared answers, and remembers what it was asked."""

import threading
from collections import deque

from zdqn.config import Config
from zdqn.roles.client_settings import tell_clients
from zdqn.wire import codec
from zdqn.wire.memory_messages import Arrivals
from zdqn.wire.payloads import encode_accounts
from zdqn.wire.protocol import Acknowledged, Pong, Welcome
from zdqn.wire.request_sockets import Server
from zdqn.wire.sockets import Waiter

WELCOME = Welcome(
    run_id="r", session=9, data_endpoint="tcp://127.0.0.1:5555", spec=None,
    settings=tell_clients(Config()), config={}, memory="", index=0, seed=0, version=4,
    capabilities=(),
)  # fmt: skip
PONG = Pong(session=9, known=True, stopping=False, environment_steps=0, collectors=1, statistics={})


def all_have_come(asked):
    return Arrivals(session=WELCOME.session, heard=asked.blocks, held_back=False)


class FakeServer:
    """Answers each kind of request with the next of what it was given; the last one for ever.

    What it was given is an answer, or makes one of the question.
    """

    def __init__(self, context, address, **answers):
        self._server = Server(context, address)
        self.address = self._server.address
        self.answers = {
            "Hello": [WELCOME],
            "Ping": [PONG],
            "Goodbye": [Acknowledged()],
            "AccountsRequest": [encode_accounts(WELCOME.session, [])],
            "ArrivalsRequest": [all_have_come],
            **answers,
        }
        self._queues = {kind: deque(values) for kind, values in self.answers.items()}
        self.heard = []
        self.bodies = []
        self.done = threading.Event()

    def serve(self):
        waiter = Waiter([self._server])
        while not self.done.is_set():
            waiter.wait(10)
            while (request := self._server.receive()) is not None:
                header = codec.decode(request.body).header
                self.heard.append(header)
                self.bodies.append(bytes(request.body))
                answers = self._queues[type(header).__name__]
                answer = answers.popleft() if len(answers) > 1 else answers[0]
                if callable(answer):
                    answer = answer(header)
                if answer is not None:
                    body = answer if isinstance(answer, bytes) else codec.encode(answer)
                    self._server.reply(request, body)

    def add(self, kind, answer):
        """Give this answer, too, after those that are left; for ever if it is the last."""
        self._queues[kind].append(answer)

    def count(self, kind):
        return sum(isinstance(header, kind) for header in self.heard)
