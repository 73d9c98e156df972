"""Who answers: the server's own thread, or the training thread between short updates."""

import itertools
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from tests.roles.learner.published import published
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError
from zdqn.rl.greedy import Greedy
from zdqn.roles.learner.answering_turns import Turns
from zdqn.roles.learner.model_server import ModelServer
from zdqn.wire import codec, payloads
from zdqn.wire.addresses import parse_address
from zdqn.wire.model_messages import ActionRequest, Actions, WeightsRequest
from zdqn.wire.protocol import Hello, Ping, Pong
from zdqn.wire.request_sockets import Client, PipelinedClient, Server
from zdqn.wire.sockets import Context

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
        self.versions = set()
        self.answers = 0
        with Client(context, address) as client:
            hello = Hello(role="collector", name="asking", session=1)
            client.request(codec.encode(hello), timeout_s=DEADLINE_S)
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
                (actions,) = codec.read_arrays(answer, payloads.actions_layout(1))
                self.answers += 1
                self.versions.add(answer.header.weight_version)
                if actions.tolist() != [self._action]:
                    self.wrong.append(actions.tolist())

    def close(self):
        self.over.set()
        self._thread.join(DEADLINE_S)


@pytest.fixture
def served():
    """A model server that serves a policy, and clients that ask it all the time."""
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
            turns=Turns(short_s=0.5),  # so that an update is short on a busy machine too
        )
        server.agree(SPEC, "the test")
        server.publish(published(1))
        server.act_with(policy)
        server.start()
        clients = [AskingClient(context, socket.address, action) for action in range(ACTIONS)]
        yield server, policy, clients, socket.address, context
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
    server, policy, clients, *_ = served
    server._turns._short_s = DEADLINE_S  # however long this thread is kept from running
    own = threading.current_thread()
    train(server, lambda: policy.threads.count(own) >= 100)
    before = len(policy.threads)
    train(server, lambda: len(policy.threads) >= before + 200)
    by_training = policy.threads[before:].count(own)
    assert by_training > 150, "the thread answered too, and so got in the way"
    eventually(lambda: all(client.answers for client in clients), "everybody is answered")


def test_a_long_update_keeps_nobody_waiting(served):
    server, policy, clients, *_ = served
    own = threading.current_thread()
    train(server, lambda: own in policy.threads)
    before = [client.answers for client in clients]
    # no more calls: an update that does not end
    eventually(
        lambda: all(c.answers > b + 10 for c, b in zip(clients, before, strict=True)), "answers"
    )
    assert policy.threads[-1] is not own


def test_long_updates_leave_answering_to_the_thread(served):
    server, policy, clients, *_ = served
    own = threading.current_thread()
    eventually(lambda: all(client.answers for client in clients), "answers")
    for _ in range(2):
        before = clients[0].answers
        time.sleep(0.6)  # an update that is long for these turns
        eventually(lambda before=before: clients[0].answers > before, "answers meanwhile")
        server.serve_between_updates()
    assert own not in policy.threads


def test_the_thread_takes_over_when_there_is_nothing_to_learn_from(served):
    server, policy, clients, *_ = served
    own = threading.current_thread()
    train(server, lambda: own in policy.threads)
    server.serve_alone()
    before = clients[0].answers
    eventually(lambda: clients[0].answers > before + 10, "answers")
    assert policy.threads[-1] is not own


@contextmanager
def asking(context, address, *questions):
    """Ask in a thread of its own, and give the list into which the replies come."""
    replies: list[bytes] = []

    def ask():
        with Client(context, address) as client:
            for question in questions:
                body = client.request(codec.encode(question), timeout_s=DEADLINE_S)
                assert body is not None
                replies.append(bytes(body))

    thread = threading.Thread(target=ask)
    thread.start()
    yield replies
    thread.join(DEADLINE_S)


def test_when_nobody_asks_for_actions_any_more_the_thread_answers_the_rest(served):
    server, policy, clients, address, context = served
    own = threading.current_thread()
    train(server, lambda: own in policy.threads)
    for client in clients:
        client.close()
    with asking(context, address, Ping(session=5, statistics={})) as replies:
        eventually(lambda: replies, "an answer of the thread: nobody trains any more")
    assert isinstance(codec.decode(replies[0]).header, Pong)


def test_200_who_join_at_once_get_one_answer_that_was_made_once(served, monkeypatch):
    server, _, _, address, context = served
    newest = published(2, weights=np.zeros(50_000))
    server.publish(newest)
    answered = []
    reply = Server.reply

    def take_note(link, request, message):
        answered.append(message)
        return reply(link, request, message)

    monkeypatch.setattr(Server, "reply", take_note)
    joining = [PipelinedClient(context, address) for _ in range(200)]
    for client in joining:
        assert client.send(codec.encode(WeightsRequest()))
    for client in joining:
        assert client.receive(1000 * DEADLINE_S) == newest.message
        client.close()
    assert sum(message is newest.message for message in answered) == 200


def test_weights_that_diverged_are_not_acted_on_and_break_nothing(served, caplog):
    server, _, clients, *_ = served
    versions = {1}
    eventually(lambda: all(client.versions == versions for client in clients), "weights")
    server.publish(published(2, diverged=np.zeros(1)))
    before = clients[0].answers
    eventually(lambda: clients[0].answers > before + 10, "answers go on")
    assert clients[0].versions == {1}
    assert caplog.text.count("older weights") == 1


class BrokenPolicy(FakePolicy):
    """Breaks when it is asked by the training thread."""

    def q_values(self, observations):
        if threading.current_thread() is threading.main_thread():
            raise RuntimeError("on purpose")
        return super().q_values(observations)


def test_what_breaks_in_the_training_thread_is_reported_as_the_servers(served):
    server, policy, clients, *_ = served
    own = threading.current_thread()
    train(server, lambda: own in policy.threads)
    server.act_with(BrokenPolicy())
    train(server, lambda: server.failure is not None)
    assert str(server.failure) == "on purpose"
    for client in clients:
        client.over.set()
    server.failure = None  # as the fixture expects


def test_other_questions_are_answered_wherever_actions_are(served):
    server, policy, _, address, context = served
    own = threading.current_thread()
    train(server, lambda: own in policy.threads)
    questions = WeightsRequest(), Ping(session=5, statistics={})
    with asking(context, address, *questions) as replies:
        train(server, lambda: len(replies) == 2)
    assert replies[0] == published(1).message
    assert isinstance(codec.decode(replies[1]).header, Pong)
