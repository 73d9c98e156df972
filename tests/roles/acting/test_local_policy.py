"""A collector's own network: when it looks for weights, and which it takes."""

import logging
import threading
from typing import Any, cast

import numpy as np
import pytest

from tests.roles.conftest import quick_config
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError, PeerUnavailableError
from zdqn.rl.exploration import Exploration
from zdqn.roles.acting.local_policy import LocalPolicy
from zdqn.wire import codec
from zdqn.wire.addresses import parse_address
from zdqn.wire.model_messages import TensorInfo, Weights, WeightsRequest
from zdqn.wire.protocol import ErrorReply, Refusal

SPEC = EnvironmentSpec((4,), "float32", 2)
GREEDY = Exploration(np.zeros(1, bool), np.zeros(1, np.int64))
RANDOM = Exploration(np.ones(1, bool), np.zeros(1, np.int64))
OBSERVATION = np.ones((1, 4), np.float32)


def weights(best, version, *, steps=0, stopping=False, hidden=16, run_id="r"):
    """A message with a network that gives one action the value 1, and the other 0."""
    arrays = {
        "hidden_0.weight": np.zeros((hidden, 4), np.float32),
        "hidden_0.bias": np.zeros(hidden, np.float32),
        "head.weight": np.zeros((2, hidden), np.float32),
        "head.bias": np.eye(2, dtype=np.float32)[best],
    }
    header = Weights(
        run_id=run_id,
        weight_version=version,
        environment_steps=steps,
        updates=0,
        stopping=stopping,
        tensors=tuple(TensorInfo(name, "float32", a.shape) for name, a in arrays.items()),
    )
    return memoryview(codec.encode(header, tuple(arrays.values())))


class Learner:
    """A client whose questions are answered from a list; None is silence."""

    address = parse_address("tcp://learner:5558", parameter="a test")

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    def request(self, message, *, timeout_s, stop=None):
        assert isinstance(codec.decode(message).header, WeightsRequest)
        self.asked += 1
        return self.answers.pop(0)

    def find_out(self, server):
        assert server == "learner"


class Subscription:
    """Holds the newest message only, as the real one."""

    def __init__(self):
        self.message, self.looks, self.closed = None, 0, False

    def latest(self):
        self.looks += 1
        message, self.message = self.message, None
        return message

    def close(self):
        self.closed = True


class Acting:
    def __init__(self, *answers, estimate=False, overrides=()):
        self.learner = Learner(*(answers or [weights(0, 5, steps=100)]))
        self.subscription = Subscription()
        self.stop = threading.Event()
        self.now_s = 1000.0
        self.policy = LocalPolicy(
            quick_config(*overrides),
            client=cast("Any", self.learner),
            subscriber=cast("Any", self.subscription),
            spec=SPEC,
            network=None,
            estimate=estimate,
            rows=1,
            stop=self.stop,
            run_id="r",
            clock=lambda: self.now_s,
        )

    def hear(self, message):
        """Publish, and let enough time and steps go by."""
        self.subscription.message = message
        self.now_s += 1.0
        self.policy.refresh()

    def act(self):
        choice = self.policy.choose(OBSERVATION, GREEDY)
        return choice.actions.tolist(), choice.weight_version


def test_it_begins_with_the_weights_of_the_learner():
    acting = Acting(weights(1, 7, steps=100))
    assert acting.act() == ([1], 7)
    assert acting.policy.environment_steps == 100
    assert acting.learner.asked == 1


def test_weights_of_another_run_are_not_acted_on_and_said(caplog):
    acting = Acting(weights(1, 7))
    acting.hear(weights(0, 99, steps=500, stopping=True, run_id="another"))
    assert acting.act() == ([1], 7)
    assert (acting.policy.environment_steps, acting.policy.stopping) == (0, False)
    assert "weights of run another came, and this collector belongs to run r" in caplog.text


def test_it_asks_until_the_learner_has_some():
    not_yet = memoryview(codec.encode(ErrorReply(code=Refusal.NOT_SERVING, message="soon")))
    acting = Acting(None, not_yet, weights(1, 7))
    assert acting.learner.asked == 3
    assert acting.act() == ([1], 7)


def test_it_gives_up_after_the_time_that_is_configured():
    with pytest.raises(PeerUnavailableError, match=r"first weights.*tcp://learner:5558"):
        Acting(*[None] * 1000, overrides=["links.connect_timeout_s=0.001"])


def test_a_run_that_is_over_stops_it():
    over = memoryview(codec.encode(ErrorReply(code=Refusal.STOPPING, message="over")))
    acting = Acting(over)
    assert acting.stop.is_set()


def test_weights_of_another_network_are_refused_at_the_start():
    with pytest.raises(MismatchError, match="hidden_0"):
        Acting(weights(0, 1, hidden=3))


def test_and_ignored_later(caplog):
    acting = Acting()
    with caplog.at_level(logging.WARNING, "zdqn.collector"):
        acting.hear(weights(1, 9, hidden=3))
    assert "ignored weights" in caplog.text
    assert acting.act() == ([0], 5)


def test_newer_weights_are_taken_and_older_ones_never():
    acting = Acting()
    acting.hear(weights(1, 6, steps=300))
    assert acting.act() == ([1], 6)
    acting.hear(weights(0, 4, steps=200))
    assert acting.act() == ([1], 6)
    assert acting.policy.environment_steps == 300
    acting.hear(weights(0, 8, steps=400, stopping=True))
    assert acting.act() == ([0], 8)
    assert acting.policy.stopping


def test_the_end_is_heard_with_weights_that_are_not_new():
    acting = Acting()
    acting.hear(weights(0, 5, stopping=True))
    assert acting.policy.stopping


def test_it_looks_before_every_step_but_not_twice_a_millisecond():
    acting = Acting()
    acting.policy.refresh()
    assert acting.subscription.looks == 1
    for step in range(1, 9):
        acting.now_s += 2**-12
        acting.policy.refresh()
        assert acting.subscription.looks == 1 + step // 5
    for _ in range(3):
        acting.now_s += 1.0
        acting.policy.refresh()
    assert acting.subscription.looks == 1 + 1 + 3


def test_estimates_come_with_every_choice_if_wanted():
    assert Acting().policy.choose(OBSERVATION, GREEDY).chosen_q is None
    choice = Acting(weights(1, 1), estimate=True).policy.choose(OBSERVATION, RANDOM)
    assert choice.actions.tolist() == [0]
    values = [np.asarray(given).tolist() for given in (choice.chosen_q, choice.best_q)]
    assert values == [[0], [1]]


def test_it_closes_its_subscription():
    acting = Acting()
    acting.policy.close()
    assert acting.subscription.closed
