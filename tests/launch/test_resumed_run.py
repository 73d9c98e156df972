"""A run that was ended, and is gone on with, stands where it stood."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

import zdqn
from zdqn.config import load_config
from zdqn.records.checkpoints import Checkpoint, CheckpointDirectory
from zdqn.records.run_result import RunResult
from zdqn.records.snapshots import FrozenSnapshot
from zdqn.rl.torch_policy import TorchPolicy
from zdqn.roles.acting.epsilon import EpsilonSource
from zdqn.roles.building import build_network
from zdqn.roles.own_evaluator import OwnEvaluator

FIRST = 150
SECOND = FIRST + 600  # so that its collector says how it explores
CONFIG = load_config(
    None,
    (
        "run.seed=5", f"stop.updates={FIRST}", "network.hidden=[16]", "algorithm.batch_size=16",
        "algorithm.learning_rate=0.01", "replay.min_size=64", "replay.samples_per_insert=4",
        "replay.storage=disk", "evaluator.period_updates=50", "evaluator.episodes=4",
        "evaluator.environments=2", "exploration.epsilon_decay_environment_steps=2_000",
        "learner.report_period_s=0.05", "links.ping_period_s=0.05", "launch.collectors=1",
    ),
)  # fmt: skip


def newest(folder):
    return CheckpointDirectory(folder / "checkpoints").newest().checkpoint


def score_again(checkpoint, number):
    """Give what a checkpoint's network reaches in the episodes of a snapshot with a number."""
    policy = TorchPolicy(build_network(CONFIG, None, checkpoint.spec))
    policy.load({name: tensor.numpy() for name, tensor in checkpoint.online.items()})
    with OwnEvaluator(CONFIG, None, checkpoint.spec) as evaluator:
        scored = evaluator.score(policy, FrozenSnapshot(number, 1, 0, 0, 0, 0.0, {}), lambda: False)
    assert scored is not None
    return scored.scores.mean


class Runs(NamedTuple):
    """A run, and what went on with it in the same folder.

    Attributes:
        folder: of both.
        first: how the run ended.
        before: its last checkpoint then.
        second: how it ended the second time.
        rows: of metrics that the first had.
        evaluations: that the first had.
    """

    folder: Path
    first: RunResult
    before: Checkpoint
    second: RunResult
    rows: int
    evaluations: int


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run, and what went on with it, without learning any more."""
    folder = tmp_path_factory.mktemp("resumed") / "run"
    first = zdqn.run(CONFIG, run_directory=folder, progress=False)
    before = newest(folder)
    known = len(first.metrics()["updates"]), len(first.evaluations()["mean"])
    again = CONFIG.replace("algorithm.learning_rate", 0.0).replace("stop.updates", SECOND)
    second = zdqn.run(again, resume=folder, progress=False)
    return Runs(folder, first, before, second, *known)


def test_its_network_is_the_same_to_the_bit(runs):
    before, after = runs.before, newest(runs.folder)
    assert (before.counters.updates, after.counters.updates) == (FIRST, SECOND)
    assert before.online.keys() == after.online.keys()
    for name, tensor in before.online.items():
        assert torch.equal(tensor, after.online[name]), name


def test_its_first_evaluation_scores_the_network_that_the_last_one_before_scored(runs):
    table = runs.second.evaluations()
    last, resumed = runs.evaluations - 1, runs.evaluations
    assert table["updates"][last] == table["updates"][resumed] == FIRST
    for row in (last, resumed):
        number = int(table["snapshot"][row])
        assert table["mean"][row] == pytest.approx(score_again(runs.before, number)), number


def test_its_counts_go_on_and_never_back(runs):
    first, second = runs.first, runs.second
    rows = second.metrics()
    for key in ("updates", "environment_steps", "transitions", "episodes", "wall_s"):
        assert (np.diff(rows[key]) >= 0).all(), key
    assert second.summary["samples"] > first.summary["samples"] >= 16 * FIRST
    assert second.summary["waited_for_samples_s"] >= first.summary["waited_for_samples_s"]
    assert first.summary["memory_restarts"] == second.summary["memory_restarts"] == 0
    for key in ("updates", "environment_steps", "transitions"):
        assert rows[key][runs.rows] >= first.summary[key] > 0, key
        assert second.summary[key] > first.summary[key], key


def test_exploration_goes_on_where_it_stood(runs):
    stood = EpsilonSource(CONFIG).at(runs.before.counters.environment_steps, 1, 0)
    assert 0.05 < stood < 0.9, "neither begun nor over: the test would show nothing"
    after = runs.second.metrics()["epsilon"][runs.rows :]  # none before the collector's first step
    assert np.nanmax(after) <= np.round(stood, 4)


def test_its_replay_holds_what_it_held(runs):
    log = (runs.folder / "logs" / "memory.log").read_text()
    (held,) = re.findall(r"came back with (\d+) transitions", log)
    # a block may come after the learner has asked for the last time, and is on disk all the same
    assert int(held) >= runs.first.summary["transitions"] > 0
    assert "not whole" not in log
    learner = (runs.folder / "logs" / "learner.log").read_text()
    assert f"resuming with the {held} transitions that the memory kept" in learner
    assert "the memory was restarted" not in learner
