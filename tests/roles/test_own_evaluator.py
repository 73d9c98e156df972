"""Evaluation in the process that trains."""

import numpy as np
import pytest

from tests.roles.conftest import Corridor, quick_config
from zdqn.records.snapshots import FrozenSnapshot
from zdqn.rl.greedy import Greedy
from zdqn.roles.building import build_environments
from zdqn.roles.own_evaluator import OwnEvaluator

CONFIG = quick_config("evaluator.episodes=3", "evaluator.environments=2")


class Constant(Greedy):
    """Always does the same."""

    def __init__(self, action):
        self._action = action

    def load(self, arrays):
        pass

    def q_values(self, observations):
        values = np.zeros((len(observations), 2), np.float32)
        values[:, self._action] = 1
        return values


def snapshot(number=0):
    return FrozenSnapshot(number, 1, 100, 10, 5, 1.0, {})


@pytest.fixture
def evaluator():
    environments, spec = build_environments(CONFIG, Corridor, count=1, vectorization="sync")
    environments.close()
    with OwnEvaluator(CONFIG, Corridor, spec) as made:
        yield made


def test_a_snapshot_is_scored_as_often_as_configured(evaluator):
    assert evaluator.count == 2
    evaluation = evaluator.score(Constant(1), snapshot(), lambda: False)
    assert len(evaluation.scores.returns) == 3
    assert evaluation.evaluator == "train"
    assert evaluation.duration_s > 0
    assert evaluation.snapshot.number == 0


def test_the_policy_is_what_is_scored(evaluator):
    means = {evaluator.score(Constant(a), snapshot(), lambda: False).scores.mean for a in (0, 1)}
    assert len(means) == 2


def test_one_that_is_interrupted_is_no_evaluation(evaluator):
    assert evaluator.score(Constant(1), snapshot(7), lambda: True) is None
