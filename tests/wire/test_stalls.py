"""Who is stalled, and in what words."""

import pytest

from zdqn.wire.stalls import find_stall
from zdqn.wire.status import (
    CollectorStatistics,
    EvaluatorStatistics,
    LearnerStatistics,
    RunStatus,
)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            CollectorStatistics(idle_s=43.2, environment_steps=9_001),
            "stalled for 43 s, after 9,001 environment steps: a step or reset of its environment "
            "has not come back",
        ),
        (
            EvaluatorStatistics(idle_s=10, doing="evaluating snapshot 3", environment_steps=12),
            "stalled for 10 s, evaluating snapshot 3, after 12 environment steps: a step or reset "
            "of its environment has not come back",
        ),
        (
            RunStatus(stalled_s=12.0, last_did="in an update, after 31,349 updates"),
            "stalled for 12 s, in an update, after 31,349 updates: its training thread does not "
            "go on",
        ),
    ],
)
def test_a_stall_says_since_when_and_what_was_done_last(told, words):
    stall = find_stall(told)
    assert stall is not None
    assert stall.describe() == words


@pytest.mark.parametrize(
    "told",
    [
        CollectorStatistics(idle_s=9.9), EvaluatorStatistics(idle_s=9.9, doing_s=1_000.0),
        RunStatus(stalled_s=9.9), LearnerStatistics(),
    ],
)  # fmt: skip
def test_who_goes_on_is_not_stalled(told):
    assert find_stall(told) is None
