"""Hellos and sample requests in, yes or no out."""

import pytest

from zdqn.core.fencing import Fence
from zdqn.errors import FencedError

YES, NO = True, False


def hello(session, epoch, rank=0):
    return lambda fence: fence.admit(session, epoch, rank)


def sample(session):
    return lambda fence: fence.check(session)


def decide(fence, event):
    try:
        event(fence)
    except FencedError:
        return NO
    return YES


SCENARIOS = {
    "before any hello all may sample": [(sample(0), YES), (sample(1), YES), (sample(2), YES)],
    "a learner keeps others out": [
        (hello(1, epoch=0), YES), (sample(1), YES), (sample(2), NO), (sample(1), YES),
    ],
    "a plain client is no learner": [(hello(1, epoch=3), YES), (sample(0), YES)],
    "a later epoch takes over": [
        (hello(1, epoch=3), YES), (hello(2, epoch=4), YES), (sample(1), NO), (sample(2), YES),
    ],
    "an earlier epoch is refused and changes nothing": [
        (hello(1, epoch=3), YES), (hello(2, epoch=2), NO), (sample(2), NO), (sample(1), YES),
    ],
    "of one epoch and rank the later hello wins": [
        (hello(1, epoch=3), YES), (hello(2, epoch=3), YES), (sample(1), NO), (sample(2), YES),
        (hello(1, epoch=3), YES), (sample(1), YES), (sample(2), NO),
    ],
    "saying hello again changes nothing": [
        (hello(1, epoch=3), YES), (hello(1, epoch=3), YES), (sample(1), YES), (sample(2), NO),
    ],
    "ranks of an epoch sample side by side": [
        (hello(1, epoch=3, rank=0), YES), (hello(2, epoch=3, rank=1), YES),
        (hello(3, epoch=3, rank=2), YES), (sample(1), YES), (sample(2), YES), (sample(3), YES),
        (sample(4), NO),
    ],
    "a restarted rank takes the place of its own only": [
        (hello(1, epoch=3, rank=0), YES), (hello(2, epoch=3, rank=1), YES),
        (hello(3, epoch=3, rank=1), YES), (sample(1), YES), (sample(2), NO), (sample(3), YES),
    ],
    "any rank of a later epoch replaces the whole group": [
        (hello(1, epoch=3, rank=0), YES), (hello(2, epoch=3, rank=1), YES),
        (hello(3, epoch=4, rank=1), YES), (sample(1), NO), (sample(2), NO), (sample(3), YES),
        (hello(4, epoch=3, rank=0), NO), (hello(5, epoch=4, rank=0), YES), (sample(5), YES),
        (sample(3), YES), (sample(4), NO),
    ],
    "a group that is not complete keeps others out": [
        (hello(2, epoch=3, rank=1), YES), (sample(1), NO), (sample(2), YES),
    ],
    "epochs need not follow each other": [
        (hello(1, epoch=3), YES), (hello(2, epoch=9), YES), (hello(3, epoch=8), NO),
        (sample(2), YES),
    ],
    "a learner without a session keeps earlier epochs out and nobody else": [
        (hello(0, epoch=3), YES), (sample(1), YES), (hello(1, epoch=2), NO),
        (hello(2, epoch=3), YES), (sample(1), NO), (sample(2), YES),
    ],
}  # fmt: skip


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_events_and_decisions(scenario):
    fence = Fence()
    for number, (event, decision) in enumerate(SCENARIOS[scenario]):
        assert decide(fence, event) is decision, f"event {number}"


def test_a_refusal_names_the_epochs():
    fence = Fence()
    fence.admit(2, 4)
    with pytest.raises(FencedError, match=r"newer learner \(epoch 4\).*\(epoch 3\) must stop"):
        fence.admit(1, 3)
    with pytest.raises(FencedError, match=r"newer learner \(epoch 4\) has taken over.*session 1\)"):
        fence.check(1)
