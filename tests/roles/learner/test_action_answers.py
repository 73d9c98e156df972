"""Requests for actions in, answers out, with fakes at both ends."""

from typing import Any

import numpy as np
import pytest

from tests.roles.learner.published import published
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError, ProtocolError
from zdqn.rl.greedy import Greedy
from zdqn.roles.learner.action_answers import ActionAnswers
from zdqn.wire import codec, payloads
from zdqn.wire.desk import RefusedError
from zdqn.wire.model_messages import ActionRequest, Actions
from zdqn.wire.protocol import ErrorReply, Refusal
from zdqn.wire.request_sockets import Request

SPEC = EnvironmentSpec((2,), "float32", 4)
MASKED = EnvironmentSpec((2,), "float32", 4, action_masks=True)
PUBLISHED = published(11)


class EchoPolicy(Greedy):
    """Chooses the action that the observation names."""

    def __init__(self):
        self.passes = 0
        self.loaded = 0

    def load(self, arrays):
        if "diverged" in arrays:
            raise MismatchError("weights refused")
        self.loaded += 1

    def q_values(self, observations):
        self.passes += 1
        return np.eye(4, dtype=np.float32)[observations[:, 0].astype(np.int64)]


class Answers:
    """The object under test, and what it replied."""

    def __init__(self, policy=None):
        self.replies: list[Any] = []
        self.object = ActionAnswers(
            lambda request, message: self.replies.append(message), most_observations=8
        )
        if policy is not None:
            self.object.act_with(policy)

    def ask(self, *actions, digest=SPEC.digest, count=None, spec=SPEC, masks=None):
        if masks is not None:
            digest, spec = MASKED.digest, MASKED
        header = ActionRequest(
            session=1, spec_digest=digest, count=len(actions) if count is None else count
        )
        observations = np.zeros((len(actions), 2), np.float32)
        observations[:, 0] = actions
        rest = () if masks is None else (np.array(masks, np.uint8)[:, None],)
        body = codec.encode(header, (observations, *rest))
        self.object.take(Request([], memoryview(body)), header, codec.decode(body), spec)

    def answer(self, published=PUBLISHED):
        return self.object.answer(published)

    def headers(self):
        return [codec.decode(reply).header for reply in self.replies]

    def actions(self):
        return [
            codec.read_arrays(
                message, payloads.actions_layout(codec.expect(message, Actions).count)
            )[0].tolist()
            for message in map(codec.decode, self.replies)
        ]


def test_all_that_wait_share_one_forward_pass_and_each_gets_its_own():
    policy = EchoPolicy()
    answers = Answers(policy)
    for actions in ((3,), (0, 1), (2,), (3,)):
        answers.ask(*actions)
    assert answers.answer()
    assert answers.actions() == [[3], [0, 1], [2], [3]]
    assert policy.passes == 1
    assert answers.object.served == 5
    assert {header.weight_version for header in answers.headers()} == {11}


def test_the_best_of_what_is_allowed_is_answered_to_each():
    answers = Answers(EchoPolicy())
    answers.ask(3, masks=[0b1000])
    answers.ask(0, 1, masks=[0b0110, 0b0010])
    answers.ask(2, masks=[0b1011])
    assert answers.answer()
    assert answers.actions() == [[3], [1, 1], [0]]


def test_a_mask_that_allows_nothing_and_a_request_without_one_are_refused():
    answers = Answers(EchoPolicy())
    with pytest.raises(ProtocolError, match="a mask that allows nothing"):
        answers.ask(3, 1, masks=[0b0110, 0])
    with pytest.raises(ProtocolError, match="imply"):
        answers.ask(3, digest=MASKED.digest, spec=MASKED)
    with pytest.raises(ProtocolError, match="4 actions with masks"):
        answers.ask(3, spec=MASKED)
    assert not answers.answer()


def test_nobody_waits_and_nothing_is_computed():
    policy = EchoPolicy()
    answers = Answers(policy)
    assert not answers.answer()
    answers.ask(1)
    assert answers.answer()
    assert not answers.answer(), "each is answered once"
    assert policy.passes == 1


def test_before_the_first_weights_all_are_told_so():
    answers = Answers(EchoPolicy())
    answers.ask(1)
    answers.ask(2)
    assert answers.answer(None)
    expected = ErrorReply(code=Refusal.NOT_SERVING, message="no weights yet")
    assert answers.headers() == [expected] * 2


def test_before_an_environment_is_known_nobody_is_taken():
    answers = Answers(EchoPolicy())
    with pytest.raises(RefusedError, match="before an environment is known") as refused:
        answers.ask(1, spec=None)
    assert refused.value.code is Refusal.NOT_SERVING
    assert not answers.answer()


def test_without_a_policy_there_are_no_actions_yet():
    answers = Answers()
    answers.ask(1)
    answers.answer()
    assert answers.headers()[0].code is Refusal.NOT_SERVING


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"actions": [1], "digest": 5}, "another environment"),
        ({"actions": [3, 1], "count": 3}, "ACTION_REQUEST message has"),
        ({"actions": [], "count": 0}, "header of ACTION_REQUEST"),
    ],
)
def test_a_malformed_request_is_refused_as_such_even_before_weights(asked, said):
    answers = Answers(EchoPolicy())
    with pytest.raises(ProtocolError, match=said):
        answers.ask(*asked.pop("actions"), **asked)
    answers.ask(2)
    answers.answer()
    assert answers.actions() == [[2]]


def test_weights_are_taken_over_once_a_version_and_bad_ones_never(caplog):
    policy = EchoPolicy()
    answers = Answers(policy)
    for version in (11, 11, 12):
        answers.ask(1)
        answers.answer(published(version))
    assert policy.loaded == 2
    for _ in range(2):
        answers.ask(1)
        answers.answer(published(13, diverged=np.zeros(1)))
    assert answers.object.weight_version == 12
    assert caplog.text.count("act on with older weights") == 1


def test_no_request_is_larger_than_a_collector_can_ask():
    """Else one request of 256 MiB would keep everybody waiting for its forward pass."""
    answers = Answers(EchoPolicy())
    answers.ask(*[0] * 8)
    with pytest.raises(ProtocolError, match=r"9 observations.*at most 8 .*block_transitions"):
        answers.ask(*[0] * 9)
