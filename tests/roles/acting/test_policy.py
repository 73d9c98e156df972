"""Which policy acts, and what it is given, with a node whose links answer from a list."""

import threading
from typing import Any, cast

import msgspec
import numpy as np
import pytest
import torch

from tests.roles.conftest import quick_config
from tests.wire.fake_server import WELCOME
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, MismatchError
from zdqn.rl.exploration import Exploration
from zdqn.roles.acting.local_policy import LocalPolicy
from zdqn.roles.acting.policy import make_policy
from zdqn.roles.acting.remote_policy import RemotePolicy
from zdqn.wire import codec, payloads
from zdqn.wire.addresses import Address, parse_address
from zdqn.wire.model_messages import ActionRequest, Actions, Weights, WeightsRequest
from zdqn.wire.protocol import ErrorReply, Refusal

SPEC = EnvironmentSpec((4,), "float32", 2)
LEARNER = parse_address("tcp://learner.example:5558", parameter="a test")
OF_LEARNER = msgspec.structs.replace(WELCOME, run_id="r", data_endpoint="tcp://127.0.0.1:5557")
OBSERVATION = np.ones((1, 4), np.float32)
GREEDY = Exploration(np.zeros(1, bool), np.zeros(1, np.int64))
LINEAR = {"head.weight": np.zeros((2, 4), np.float32), "head.bias": np.eye(2, dtype=np.float32)[1]}
OVER = codec.encode(ErrorReply(code=Refusal.STOPPING, message="over"))
ACT = codec.encode(Actions(count=1, weight_version=9), (np.array([1], np.int64),))


def weights(arrays, *, run_id="r", version=7):
    header = Weights(
        run_id=run_id, weight_version=version, environment_steps=100, updates=0, stopping=False,
        tensors=payloads.describe_tensors(arrays),
    )  # fmt: skip
    return codec.encode(header, tuple(arrays.values()))


class Client:
    """Answers one question after the other, and closes itself."""

    def __init__(self, address, answers):
        self.address, self.answers, self.asked = address, answers, []
        self.closed = False

    def request(self, message, *, timeout_s, stop=None):
        assert not self.closed
        self.asked.append(codec.decode(message).header)
        return memoryview(self.answers.pop(0))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        self.closed = True


class Subscriber:
    """Hears of the messages that it is given."""

    def __init__(self, address):
        self.address, self.closed, self.message = address, False, None

    def latest(self):
        message, self.message = self.message, None
        return message

    def close(self):
        self.closed = True


class Node:
    """Makes such links, and keeps them."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.clients: list[Client] = []
        self.subscribers: list[Subscriber] = []

    def client(self, address, server):
        assert server == "learner"
        self.clients.append(Client(address, self.answers))
        return self.clients[-1]

    def subscriber(self, address):
        self.subscribers.append(Subscriber(address))
        return self.subscribers[-1]


def make(node, *overrides, stop=None, network=None, learner=LEARNER, welcome=OF_LEARNER):
    return make_policy(
        quick_config("network.hidden=[]", *overrides),
        node=cast("Any", node),
        learner=learner,
        welcome=welcome,
        spec=SPEC,
        network=network,
        session=77,
        rows=1,
        stop=stop or threading.Event(),
    )


# --- remote ---------------------------------------------------------------------------------------


def test_a_remote_policy_asks_the_learner_and_hears_of_no_weights():
    node = Node(ACT)
    policy = make(node, "collector.policy=remote")
    assert isinstance(policy, RemotePolicy)
    choice = cast("Any", policy.choose(OBSERVATION, GREEDY))
    assert (choice.actions.tolist(), choice.weight_version) == ([1], 9)
    (client,) = node.clients
    assert client.address == LEARNER
    assert client.asked == [ActionRequest(session=77, spec_digest=SPEC.digest, count=1)]
    assert node.subscribers == []
    assert not client.closed
    policy.close()
    assert client.closed


def test_a_remote_policy_needs_no_network():
    def factory(spec):
        raise AssertionError("a network was made")

    assert isinstance(make(Node(), "collector.policy=remote", network=factory), RemotePolicy)


def test_the_end_of_the_run_stops_a_remote_policy():
    stop = threading.Event()
    assert (
        make(Node(OVER), "collector.policy=remote", stop=stop).choose(OBSERVATION, GREEDY) is None
    )
    assert stop.is_set()


# --- local ----------------------------------------------------------------------------------------


def test_a_local_policy_has_the_learners_weights_when_it_is_made():
    node = Node(weights(LINEAR))
    policy = make(node)
    assert isinstance(policy, LocalPolicy)
    (client,) = node.clients
    assert client.address == LEARNER
    assert client.asked == [WeightsRequest()]
    assert client.closed  # nothing is asked after
    choice = cast("Any", policy.choose(OBSERVATION, GREEDY))
    assert (choice.actions.tolist(), choice.weight_version) == ([1], 7)
    assert policy.environment_steps == 100


@pytest.mark.parametrize(
    ("learner", "endpoint", "heard"),
    [
        ("tcp://learner.example:5558", "tcp://127.0.0.1:5557", "tcp://learner.example:5557"),
        ("tcp://learner.example:5558", "tcp://gpu-3:40001", "tcp://learner.example:40001"),
        ("ipc:///run/zdqn/model", "ipc:///run/zdqn/model.data", "ipc:///run/zdqn/model.data"),
    ],
)
def test_it_subscribes_where_the_learner_publishes_through_the_host_that_it_dialled(
    learner, endpoint, heard
):
    node = Node(weights(LINEAR))
    welcome = msgspec.structs.replace(OF_LEARNER, data_endpoint=endpoint)
    policy = make(node, learner=parse_address(learner, parameter="a test"), welcome=welcome)
    (subscriber,) = node.subscribers
    assert isinstance(subscriber.address, Address)
    assert str(subscriber.address) == heard
    assert not subscriber.closed
    policy.close()
    assert subscriber.closed


def test_what_is_published_is_acted_on():
    node = Node(weights(LINEAR))
    policy = make(node)
    other = {**LINEAR, "head.bias": np.eye(2, dtype=np.float32)[0]}
    node.subscribers[0].message = memoryview(weights(other, version=8))
    policy.refresh()
    choice = cast("Any", policy.choose(OBSERVATION, GREEDY))
    assert (choice.actions.tolist(), choice.weight_version) == ([0], 8)


@pytest.mark.parametrize(
    ("overrides", "estimates"),
    [
        (("replay.kind=uniform",), False),
        (("replay.kind=prioritized",), False),
        (("replay.kind=prioritized", "replay.initial_priority=collector"), True),
    ],
)
def test_it_estimates_if_priorities_are_used_and_collectors_give_them(overrides, estimates):
    policy = make(Node(weights(LINEAR)), *overrides)
    choice = cast("Any", policy.choose(OBSERVATION, GREEDY))
    assert (choice.chosen_q is not None) is estimates
    assert (choice.best_q is not None) is estimates


def test_without_priorities_it_does_not_estimate_whatever_stands_beside():
    policy = make(Node(weights(LINEAR)), "replay.initial_priority=collector", "replay.kind=uniform")
    assert cast("Any", policy.choose(OBSERVATION, GREEDY)).chosen_q is None


def test_a_network_of_ones_own_takes_the_place_of_the_configured():
    made = []

    def factory(spec):
        made.append(spec)
        return torch.nn.Linear(4, 2)

    arrays = {"weight": np.zeros((2, 4), np.float32), "bias": np.array([0, 1], np.float32)}
    policy = make(Node(weights(arrays)), network=factory)
    assert made == [SPEC]
    assert cast("Any", policy.choose(OBSERVATION, GREEDY)).actions.tolist() == [1]


# --- what is refused ------------------------------------------------------------------------------


def test_weights_of_another_network_are_refused_and_the_connection_closed():
    node = Node(weights({"head.bias": LINEAR["head.bias"]}))
    with pytest.raises(MismatchError, match=r"head\.weight is missing"):
        make(node)
    assert node.clients[0].closed


def test_weights_of_another_run_are_refused():
    node = Node(weights(LINEAR, run_id="another"))
    with pytest.raises(MismatchError, match=r"run another came.* belongs to run r"):
        make(node)


def test_a_learner_that_says_no_usable_address_for_weights_is_named():
    welcome = msgspec.structs.replace(OF_LEARNER, data_endpoint="nowhere")
    with pytest.raises(ConfigError, match=r'the learner\'s weights address is "nowhere"'):
        make(Node(), welcome=welcome)


def test_a_run_that_ended_first_gives_a_policy_without_weights():
    stop = threading.Event()
    policy = make(Node(OVER), stop=stop)
    assert stop.is_set()
    assert policy.environment_steps == 0
