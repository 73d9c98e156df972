"""Evaluators that wait, with fakes at both ends and a clock that a test moves."""

from typing import Any

import numpy as np
import pytest

from tests.roles.conftest import quick_config
from zdqn.errors import ProtocolError
from zdqn.records.snapshots import FrozenSnapshot
from zdqn.roles.learner.evaluation_claims import EvaluationClaims
from zdqn.wire import codec
from zdqn.wire.desk import RefusedError
from zdqn.wire.model_messages import (
    Claim,
    EvaluationResult,
    NetworkLayer,
    NothingToEvaluate,
    Snapshot,
)
from zdqn.wire.peers import Peer
from zdqn.wire.protocol import Acknowledged, Refusal
from zdqn.wire.request_sockets import Request

CLIENTS = {
    session: Peer("evaluator", f"evaluator-{session}", session, 0, 0.0) for session in (1, 2)
}


class Line:
    def __init__(self):
        self.replies: list[Any] = []
        self.now_s = 5.0
        self.object = EvaluationClaims(
            quick_config("evaluator.epsilon=0.25", "evaluator.episodes=3"), "r",
            lambda request, message: self.replies.append(codec.decode(bytes(message)).header),
            clock=lambda: self.now_s,
        )  # fmt: skip

    def offer(self, number):
        arrays = {"weight": np.full(2, number, np.float32)}
        return self.object.offer(FrozenSnapshot(number, 1 << 32, 10, 5, 2, 0.0, arrays))

    def claim(self, session, wait_ms=1_000):
        request = Request([], memoryview(b""))
        self.object.claim(request, Claim(session=session, wait_ms=wait_ms), CLIENTS)

    def result(self, session, number, *returns, cut=0, length=9):
        header = EvaluationResult(
            session=session, snapshot=number, episodes=len(returns), duration_s=0.5, cut=cut
        )
        arrays = (np.array(returns, np.float64), np.full(len(returns), length, np.int64))
        return self.object.take_result(header, codec.decode(codec.encode(header, arrays)), CLIENTS)


@pytest.fixture
def line():
    return Line()


def test_each_snapshot_goes_to_one_evaluator_with_all_that_it_needs(line):
    line.object.describe((NetworkLayer(op="flatten"),))
    line.offer(0)
    line.claim(1)
    line.claim(2)
    assert line.object.advance(over=False)
    (header,) = line.replies
    assert isinstance(header, Snapshot)
    assert (header.snapshot, header.episodes, header.epsilon) == (0, 3, 0.25)
    assert header.weights.run_id == "r"
    assert [layer.op for layer in header.weights.network] == ["flatten"]
    assert line.object.waits
    assert not line.object.advance(over=False)


def test_an_evaluator_has_one_claim_however_often_it_asks(line):
    for _ in range(5):
        line.claim(1)
    line.claim(2)
    assert line.replies == [NothingToEvaluate(stopping=False)] * 4
    line.offer(0)
    line.offer(1)
    assert line.object.advance(over=False)
    assert [header.snapshot for header in line.replies[4:]] == [0, 1]
    assert not line.object.waits


def test_second_results_do_not_flood_the_log(line, caplog):
    caplog.set_level("INFO", "zdqn.learner")
    for number in range(50):
        line.result(1, number, 1.0)
    (record,) = caplog.records
    assert record.getMessage() == "dropped a second result for snapshot 0"


def test_no_more_wait_than_the_configuration_says_and_the_rest_is_told_of(line):
    assert [line.offer(number) for number in range(18)] == [0] * 16 + [1, 2]
    assert line.object.unevaluated == 16
    line.claim(1)
    assert line.object.advance(over=False)
    assert line.replies[0].snapshot == 2


def test_patience_ends_with_nothing_and_so_does_the_run(line):
    line.claim(1, wait_ms=500)
    line.now_s += 0.4
    line.object.advance(over=False)
    assert line.replies == []
    line.now_s += 0.2
    line.object.advance(over=False)
    line.claim(2)
    line.object.advance(over=True)
    assert line.replies == [NothingToEvaluate(stopping=False), NothingToEvaluate(stopping=True)]


def test_a_stranger_may_not_claim(line):
    line.offer(0)
    with pytest.raises(RefusedError, match="say hello") as caught:
        line.claim(99)
    assert caught.value.code is Refusal.UNKNOWN_SESSION


def test_scores_are_taken_once_and_name_their_evaluator(line):
    line.offer(0)
    line.claim(1)
    line.object.advance(over=False)
    assert line.result(1, 0, 1.0, 3.0) == Acknowledged()
    assert line.result(1, 0, 9.0) == Acknowledged()
    (evaluation,) = line.object.take()
    assert (evaluation.evaluator, evaluation.scores.mean) == ("evaluator-1", 2.0)
    assert (evaluation.snapshot.number, evaluation.duration_s) == (0, 0.5)
    assert line.object.take() == []
    assert line.object.unevaluated == 0


def test_what_a_dead_evaluator_held_goes_to_the_next_and_its_late_scores_do_not_count(line, caplog):
    caplog.set_level("INFO", "zdqn.learner")
    line.offer(0)
    line.claim(1)
    line.object.advance(over=False)
    line.object.release(CLIENTS[1])
    assert "snapshot 0, which evaluator-1 was scoring, is given out again" in caplog.text
    line.claim(2)
    line.object.advance(over=False)
    assert [header.snapshot for header in line.replies] == [0, 0]
    line.result(1, 0, 5.0)
    assert line.object.take() == []
    line.result(2, 0, 6.0)
    assert [evaluation.scores.mean for evaluation in line.object.take()] == [6.0]


def test_one_that_left_while_it_waited_is_given_nothing_that_nobody_would_give_back(line):
    line.claim(1)
    line.object.release(CLIENTS[1])
    line.offer(0)
    assert not line.object.advance(over=False)
    line.claim(2)
    line.object.advance(over=False)
    assert [header.snapshot for header in line.replies] == [0]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused(line, value):
    line.offer(0)
    line.claim(1)
    line.object.advance(over=False)
    with pytest.raises(ProtocolError, match="not finite"):
        line.result(1, 0, value)
    assert line.object.unevaluated == 1


def test_how_many_episodes_were_cut_off_is_told_and_no_more_than_there_were(line):
    line.offer(0)
    line.claim(1)
    line.object.advance(over=False)
    with pytest.raises(ProtocolError, match="4 episodes cut off, of 3"):
        line.result(1, 0, 1.0, 2.0, 3.0, cut=4)
    line.result(1, 0, 1.0, 2.0, 3.0, cut=2)
    (evaluation,) = line.object.take()
    assert evaluation.scores.cut == 2


@pytest.mark.parametrize(
    ("returns", "length", "why"),
    [
        ((1e300,), 9, r"return 1e\+300 of 9 environment steps; a reward is within 1e\+30"),
        ((-1.1e31,), 9, "a reward is within"),
        ((0.0,), 0, "episode of 0 environment steps"),
        ((0.0,), -1, "episode of -1 environment steps"),
        ((0.0,), 2**62, "episode of 4611686018427387904 environment steps"),
        ((0.0,) * 4, 9, "4 episodes, where 3 were to be played"),
    ],
)
def test_scores_that_no_episode_can_have_are_refused(line, returns, length, why):
    line.offer(0)
    line.claim(1)
    line.object.advance(over=False)
    with pytest.raises(ProtocolError, match=why):
        line.result(1, 0, *returns, length=length)
    assert line.object.take() == []
    assert line.result(1, 0, 9e30, length=9) == Acknowledged(), "the largest that is possible"


def test_an_evaluator_that_claims_without_end_waits_once_and_each_claim_is_answered(line):
    for _ in range(100):
        line.claim(1)
    line.claim(2)
    assert line.replies == [NothingToEvaluate(stopping=False)] * 99
    line.offer(0)
    line.offer(1)
    line.object.advance(over=False)
    assert [header.snapshot for header in line.replies[99:]] == [0, 1], "one for each of the two"
    assert not line.object.waits
