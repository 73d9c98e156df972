"""Who answers: the server's own thread, or the training thread between short updates."""

import itertools
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError
from zdqn.rl.greedy import Greedy
from zdqn.roles import model_server
from zdqn.roles.model_server import ModelServer, Published
from zdqn.wire import codec
from zdqn.wire.addresses import parse_address
from zdqn.wire.protocol import ActionRequest, Actions, Ping, Pong, WeightsRequest
from zdqn.wire.sockets import Client, Context, Server

ACTIONS = 4
SPEC = EnvironmentSpec((4,), "float32", ACTIONS)


class FakePolicy(Greedy):
    """Chooses the action that the observation names, and notes which thread asked."""

    def __init__(self):
        self.threads = []

    def load(self, arrays):
        if "diverged" in arrays:
            raise MismatchError("weights refused")

    def q_values(self, observations):
        self.threads.append(threading.current_thread())
        return np.eye(ACTIONS, dtype=np.float32)[observations[:, 0].astype(np.int64)]


class AskingClient:
    """Asks for one action after the other in a thread of its own, as a remote policy does."""

    def __init__(self, context, address, action):
        self._address, self._action = address, action
        self._context = context
        self.over = threading.Event()
        self.wrong = []
        self.answers = 0
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self):
        header = ActionRequest(session=1, spec_digest=SPEC.digest, count=1)
        observations = np.full((1, 4), self._action, np.float32)
        question = codec.encode(header, (observations,))
        with Client(self._context, self._address) as client:
            while not self.over.is_set():
                body = client.request(question, timeout_s=DEADLINE_S, stop=self.over)
                if body is None:
                    continue
                answer = codec.decode(body)
                assert isinstance(answer.header, Actions)
                (actions,) = codec.read_arrays(answer, codec.actions_layout(1))
                self.answers += 1
                if actions.tolist() != [self._action]:
                    self.wrong.append(actions.tolist())

    def close(self):
        self.over.set()
        self._thread.join(DEADLINE_S)


@pytest.fixture
def served(monkeypatch):
    """A model server that serves a policy, and clients that ask it all the time."""
    # so that an update is short on a busy machine too
    monkeypatch.setattr(model_server, "_SHORT_S", 0.5)
    policy = FakePolicy()
    with Context() as context:
        socket = Server(context, parse_address("tcp://127.0.0.1:0", parameter="test", bind=True))
        server = ModelServer(
            socket,
            config=quick_config(),
            run_id="test",
            session=7,
            memory="tcp://127.0.0.1:1",
            weights_endpoint="tcp://127.0.0.1:2",
            on_stop=lambda reason: None,
        )
        server.agree(SPEC, "the test")
        server.publish(Published(1, {}, b"weights"))
        server.act_with(policy)
        server.start()
        clients = [AskingClient(context, socket.address, action) for action in range(ACTIONS)]
        yield server, policy, clients, context
        for client in clients:
            client.close()
            assert not client.wrong, "an answer reached somebody else"
        server.close()
        assert server.failure is None


def train(server, until, deadline_s=DEADLINE_S):
    """Make short updates until something has happened."""
    end_s = time.monotonic() + deadline_s
    for update in itertools.count():
        server.serve_between_updates()
        time.sleep(0.0002)  # an update, which lets other threads run
        if update % 8 == 7 and until():
            return
        assert time.monotonic() < end_s, "nothing happened"


def test_the_training_thread_answers_between_short_updates(served):
    server, policy, clients, _ = served
    own = threading.current_thread()
    train(server, lambda: policy.threads.count(own) >= 100)
    before = len(policy.threads)
    train(server, lambda: len(policy.threads) >= before + 200)
    by_training = policy.threads[before:].count(own)
    assert by_training > 150, "the thread answered too, and so got in the way"
    eventually(lambda: all(client.answers for client in clients), "everybody is answered")


def test_a_long_update_keeps_nobody_waiting(served):
    server, policy, clients, _ = served
    own = threading.current_thread()
    train(server, lambda: own in policy.threads)
    before = [client.answers for client in clients]
    # no more calls: an update that does not end
    eventually(
        lambda: all(c.answers > b + 10 for c, b in zip(clients, before, strict=True)), "answers"
    )
    assert policy.threads[-1] is not own


def test_long_updates_leave_answering_to_the_thread(served):
    server, policy, clients, _ = served
    own = threading.current_thread()
    eventually(lambda: all(client.answers for client in clients), "answers")
    for _ in range(5):
        before = clients[0].answers
        eventually(lambda: clients[0].answers > before + 20, "an update of a while")  # noqa: B023
        server._between_s -= 1.0  # it took a second
        server.serve_between_updates()
    assert own not in policy.threads


def test_the_thread_takes_over_when_there_is_nothing_to_learn_from(served):
    server, policy, clients, _ = served
    own = threading.current_thread()
    train(server, lambda: own in policy.threads)
    server.serve_alone()
    taken_over = server._thread_serves.is_set()
    before = clients[0].answers
    eventually(lambda: clients[0].answers > before + 10, "answers")
    assert taken_over
    assert policy.threads[-1] is not own


@contextmanager
def asking(context, server, *questions):
    """Ask in a thread of its own, and give the list into which the replies come."""
    replies: list[bytes] = []

    def ask():
        with Client(context, server._server.address) as client:
            for question in questions:
                body = client.request(codec.encode(question), timeout_s=DEADLINE_S)
                assert body is not None
                replies.append(bytes(body))

    thread = threading.Thread(target=ask)
    thread.start()
    yield replies
    thread.join(DEADLINE_S)


def test_when_nobody_asks_for_actions_any_more_the_thread_answers_the_rest(served, monkeypatch):
    server, policy, clients, context = served
    own = threading.current_thread()
    train(server, lambda: own in policy.threads)
    for client in clients:
        client.over.set()
    monkeypatch.setattr(model_server, "_ASKED_LATELY_S", 0.0)  # as after a second
    with asking(context, server, Ping(session=5, statistics={})) as replies:
        train(server, lambda: replies)
    assert server._thread_serves.is_set()


def test_updates_that_become_a_little_too_long_leave_answering_to_the_thread(served, monkeypatch):
    server, policy, clients, _ = served
    own = threading.current_thread()
    train(server, lambda: own in policy.threads)
    monkeypatch.setattr(model_server, "_SHORT_S", 0.0)  # all updates are longer now
    server.serve_between_updates()
    assert server._thread_serves.is_set()
    before = clients[0].answers
    train(server, lambda: clients[0].answers > before + 10)


def test_a_round_ends_however_many_ask(served, monkeypatch):
    server, _, clients, _ = served
    monkeypatch.setattr(model_server, "_MOST_REQUESTS", 2)
    eventually(lambda: all(client.answers > 50 for client in clients), "answers, in turns")
    with server._lock:
        before = server.actions_served
        server._serve_requests()
        assert server.actions_served - before <= 2


def test_weights_that_diverged_are_not_acted_on_and_break_nothing(served, caplog):
    server, _, clients, _ = served
    eventually(lambda: server._policy_version == 1, "the first weights")
    server.publish(Published(2, {"diverged": np.zeros(1)}, b"weights"))
    before = clients[0].answers
    eventually(lambda: clients[0].answers > before + 10, "answers go on")
    assert server._policy_version == 1
    assert caplog.text.count("older weights") == 1


def test_what_breaks_in_the_training_thread_is_reported_as_the_servers(served, monkeypatch):
    server, policy, clients, _ = served
    own = threading.current_thread()
    train(server, lambda: own in policy.threads)
    for client in clients:
        client.over.set()

    def broken():
        raise RuntimeError("on purpose")

    with monkeypatch.context() as broken_server:
        broken_server.setattr(server, "_serve_requests", broken)
        server._asked_s = time.monotonic()
        server._next_round_s = 0.0
        server.serve_between_updates()
    assert str(server.failure) == "on purpose"
    server.failure = None  # as the fixture expects


def test_other_questions_are_answered_wherever_actions_are(served):
    server, policy, _, context = served
    own = threading.current_thread()
    train(server, lambda: own in policy.threads)
    questions = WeightsRequest(), Ping(session=5, statistics={})
    with asking(context, server, *questions) as replies:
        train(server, lambda: len(replies) == 2)
    assert replies[0] == b"weights"
    assert isinstance(codec.decode(replies[1]).header, Pong)


def test_nobody_asks_for_actions_and_updates_are_not_interrupted(served):
    server, policy, clients, _ = served
    for client in clients:
        client.close()
    eventually(lambda: time.monotonic() - server._asked_s > 1.0, "a second without questions")
    before = len(policy.threads)
    train(server, lambda: True)
    assert server._thread_serves.is_set()
    assert len(policy.threads) == before
