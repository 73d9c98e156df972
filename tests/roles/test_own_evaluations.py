"""Which networks one process scores, with fakes for who plays and who writes scores down."""

import math
import threading
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from tests.roles.conftest import quick_config
from zdqn.data import EnvironmentSpec
from zdqn.records.snapshots import FrozenSnapshot
from zdqn.rl.weight_arrays import weights_to_arrays
from zdqn.roles import own_evaluations
from zdqn.roles.building import build_network
from zdqn.roles.own_evaluations import OwnEvaluations

POLICY: Any = "policy"
SPEC = EnvironmentSpec((4,), "float32", 2)


def snapshot(arrays=None):
    return FrozenSnapshot(3, 1, 100, 10, 5, 1.0, arrays or {})


class Setting:
    """Plays nothing: a score is the policy that was to be scored, unless it is given up."""

    def __init__(self, **values):
        self.count = 1
        self.best = None
        self.kept = []
        self.phases = []
        self.told_to_end = ""
        self.metrics = SimpleNamespace(wall_s=0.0)
        self.board = board = cast("Any", SimpleNamespace(phase="training"))
        self.stop = threading.Event()
        both: Any = self
        self.evaluations = OwnEvaluations(
            quick_config(*(f"{key}={value}" for key, value in values.items())),
            None,
            SPEC,
            evaluator=both,
            recorder=both,
            board=board,
            stop=self.stop,
        )

    def score(self, policy, snapshot, give_up):
        self.phases.append(self.board.phase)
        return None if give_up() else (policy, snapshot.number)

    def add_evaluation(self, evaluation, spec):
        assert spec == SPEC
        self.kept.append(evaluation)

    def freeze_best(self):
        return self.best


def test_a_score_is_kept_and_what_is_done_meanwhile_is_said():
    setting = Setting()
    setting.evaluations.score(POLICY, snapshot(), lambda: False)
    assert setting.kept == [(POLICY, 3)]
    assert (setting.phases, setting.board.phase) == (["evaluating"], "training")


@pytest.mark.parametrize(
    ("asked", "ended_by", "level"),
    [(False, "", "WARNING"), (True, "", "INFO"), (False, "sink", "INFO")],
)
def test_one_that_is_given_up_is_said_and_a_warning_unless_somebody_wanted_it(
    asked, ended_by, level, caplog
):
    caplog.set_level("INFO")
    setting = Setting()
    setting.told_to_end = ended_by
    if asked:
        setting.stop.set()
    setting.evaluations.score(POLICY, snapshot(), lambda: True)
    assert setting.kept == []
    assert [record.levelname for record in caplog.records] == [level]
    assert "evaluation 3 at 100 environment steps was given up" in caplog.text


def test_one_at_the_end_has_until_the_deadline(monkeypatch):
    monkeypatch.setattr(own_evaluations, "evaluation_deadline_s", lambda _: 50.0)
    setting = Setting()
    for wall_s, scored in ((49.9, 1), (50.0, 1)):
        setting.metrics.wall_s = wall_s
        setting.evaluations.score(POLICY, snapshot())
        assert len(setting.kept) == scored


def test_one_at_the_end_is_given_up_when_somebody_stops_the_run(monkeypatch):
    monkeypatch.setattr(own_evaluations, "evaluation_deadline_s", lambda _: math.inf)
    setting = Setting()
    setting.stop.set()
    setting.evaluations.score(POLICY, snapshot())
    assert setting.kept == []


def test_the_best_network_is_scored_again_with_its_own_weights():
    setting = Setting()
    setting.evaluations.score_best_again()
    assert setting.kept == []
    network = build_network(quick_config(), None, SPEC)
    setting.best = snapshot(weights_to_arrays(network))
    setting.evaluations.score_best_again()
    ((policy, _),) = setting.kept
    observations = np.ones((1, 4), np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(observations)).numpy()
    np.testing.assert_allclose(policy.q_values(observations), expected, rtol=1e-5)
