"""A stored network is the one that was saved, and plays as it played."""

import csv
import dataclasses
import os
import signal
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from tests.roles.conftest import Corridor, quick_config
from zdqn.core.agenda import Counters
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, EnvironmentFailedError, MismatchError, UsageError
from zdqn.experiments.scoring import evaluate
from zdqn.experiments.showing import play
from zdqn.records.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from zdqn.records.given_functions import record_functions
from zdqn.records.run_result import RunResult
from zdqn.roles.building import evaluation_seed
from zdqn.roles.single import Single

SPEC = EnvironmentSpec((5,), "float32", 2)


class Always(torch.nn.Module):
    """Prefers one action everywhere; which one is all that it has learned."""

    def __init__(self, spec, action=0):
        super().__init__()
        self.values = torch.nn.Parameter(torch.eye(spec.num_actions)[action])

    def forward(self, observations):
        return self.values.expand(len(observations), -1)


@pytest.fixture
def store(tmp_path):
    """Writes a checkpoint of a network that always chooses one action."""

    def write(action, *overrides, spec=SPEC):
        path = tmp_path / "best.pt"
        config = quick_config(*overrides)
        network = Always(spec, action).state_dict()
        save_checkpoint(path, Checkpoint(config, spec, network, Counters()))
        return path

    return write


# --- scoring --------------------------------------------------------------------------------------


def test_of_a_run_the_best_is_played(store):
    path = store(1)
    for run in (path, path.parent, str(path.parent), RunResult(path.parent)):
        scores = evaluate(run, episodes=2, environment=Corridor, network=Always)
        assert scores.returns == (1.0, 1.0)


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ("episodes", "episodes is -1; it must be 1 or more"),
        ("seed", "seed is -1; it must be 0"),
        ("seeds", "seeds is -1; it must be 1"),
    ],
)
def test_numbers_that_are_too_small_are_refused(store, keyword, words):
    given: dict[str, Any] = {keyword: -1}
    with pytest.raises(UsageError, match=words):
        evaluate(store(1), environment=Corridor, network=Always, **given)


CARTPOLE = EnvironmentSpec((4,), "float32", 2)


def test_another_environment_is_played_by_its_id_and_without_the_arguments_of_the_first(store):
    path = store(
        1, "environment.id=zdqn/SlowCartPole-v0", "environment.kwargs={sleep_s=0.0}", spec=CARTPOLE
    )
    same = evaluate(path, episodes=3, environment="zdqn/SlowCartPole-v0", network=Always)
    assert same.returns == evaluate(path, episodes=3, network=Always).returns
    other = evaluate(path, episodes=3, environment="CartPole-v1", network=Always)
    assert other.returns == same.returns  # alike but for how long a step takes


def test_by_its_id_no_function_of_the_run_is_asked_for(store):
    path = store(1, spec=CARTPOLE)
    stored = load_checkpoint(path)
    config = record_functions(stored.config, environment=Corridor)
    save_checkpoint(path, dataclasses.replace(stored, config=config))
    with pytest.raises(ConfigError, match=r"test_scoring|Corridor"):
        evaluate(path, episodes=1, network=Always)
    assert evaluate(path, episodes=1, environment="CartPole-v1", network=Always).lengths


def test_one_that_looks_otherwise_is_refused_and_named(store):
    alone = store(1, "environment.id=CartPole-v1", "evaluator.vectorization=native", spec=CARTPOLE)
    with pytest.raises(MismatchError, match="but Acrobot-v1 gives"):  # it has no native form
        evaluate(alone, episodes=1, environment="Acrobot-v1", network=Always)
    with pytest.raises(MismatchError, match=r"was trained on .*, but CartPole-v1 gives"):
        evaluate(store(1), episodes=1, environment="CartPole-v1", network=Always)
    with pytest.raises(ConfigError, match="NoSuch-v9"):
        evaluate(store(1), episodes=1, environment="NoSuch-v9", network=Always)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_threads_of_the_program_stay_what_they_were(store, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        evaluate(store(1), episodes=1, environment=Corridor, network=Always)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("action", "total", "length"), [(1, 1.0, 4), (0, 0.0, 20)])
def test_the_stored_network_chooses(store, action, total, length):
    scores = evaluate(store(action), episodes=5, seed=3, environment=Corridor, network=Always)
    assert scores.returns == (total,) * 5
    assert scores.lengths == (length,) * 5


def test_the_seed_is_the_environments(store):
    path = store(0, spec=EnvironmentSpec((4,), "float32", 2))
    scores = [evaluate(path, episodes=8, seed=seed, network=Always) for seed in (1, 1, 2)]
    assert scores[0] == scores[1] != scores[2]


def test_several_seeds_are_played_one_after_the_other(tmp_path):
    path = tmp_path / "best.pt"
    config = quick_config("evaluator.epsilon=0.5", "environment.max_episode_steps=20")
    network = Always(SPEC, 1).state_dict()
    save_checkpoint(path, Checkpoint(config, SPEC, network, Counters()))
    made: dict[str, Any] = {"environment": Corridor, "network": Always}
    alone = [evaluate(path, episodes=3, seed=seed, **made).lengths for seed in (4, 5)]
    assert alone[0] != alone[1]
    told: list[int] = []
    scores = evaluate(path, episodes=3, seed=4, seeds=2, on_episode=told.append, **made)
    assert scores.lengths == (*alone[0], *alone[1])
    assert told == sorted({*told})
    assert told[-1] == 6


def test_random_actions_are_as_many_as_in_an_evaluation_of_the_run(tmp_path):
    overrides = (
        "evaluator.epsilon=0.6", "evaluator.period_updates=20", "evaluator.episodes=8",
        "learner.checkpoint_period_updates=0", "stop.updates=40", "algorithm.learning_rate=0",
    )  # fmt: skip
    config = quick_config(*overrides)
    with Single(config, run_directory=tmp_path) as single:
        single.run()
    with (tmp_path / "evaluations.csv").open() as file:
        in_the_run = [float(row["mean"]) for row in csv.DictReader(file)]
    again = [
        evaluate(tmp_path / "best.pt", episodes=8, seed=evaluation_seed(0, number)).mean
        for number in range(len(in_the_run))
    ]
    assert again == in_the_run  # the network is the same throughout


def test_a_policy_that_never_ends_an_episode_is_scored(store):
    class Endless(Corridor):
        def step(self, action):
            observation, reward, *_ = super().step(action)
            return observation, reward, False, False, {}

    path = store(0, "environment.max_episode_steps=10_000", "evaluator.max_episode_steps=50")
    scores = evaluate(path, episodes=3, seed=1, environment=Endless, network=Always)
    assert (scores.lengths, scores.cut) == ((50, 50, 50), 3)


def test_no_more_environments_are_made_than_there_are_episodes(store):
    made = []

    def make():
        made.append(Corridor())
        return made[-1]

    path = store(1, "evaluator.environments=4")
    for episodes, expected in ((2, 2), (9, 4)):
        made.clear()
        evaluate(path, episodes=episodes, seed=0, environment=make, network=Always)
        assert len(made) == expected


class Noticing(Corridor):
    """Notices that it was closed; may fail."""

    closed = 0

    def __init__(self, fail=False):
        super().__init__()
        self._fail = fail

    def step(self, action):
        if self._fail:
            raise RuntimeError("on purpose")
        return super().step(action)

    def close(self):
        type(self).closed += 1


@pytest.mark.parametrize("fail", [False, True])
def test_environments_are_closed_however_it_ends(store, monkeypatch, fail):
    monkeypatch.setattr(Noticing, "closed", 0)
    path = store(1)

    def score():
        return evaluate(
            path, episodes=2, seed=0, environment=lambda: Noticing(fail), network=Always
        )

    if fail:
        with pytest.raises(EnvironmentFailedError, match=r"evaluate: .*on purpose"):
            score()
    else:
        score()
    assert Noticing.closed == 2


def test_another_environment_is_refused_with_both_described(store, monkeypatch):
    monkeypatch.setattr(Noticing, "closed", 0)
    path = store(1, spec=EnvironmentSpec((4,), "float32", 2))
    with pytest.raises(MismatchError, match=r"best\.pt was trained on float32 \(4,\).* \(5,\)"):
        evaluate(path, episodes=2, seed=0, environment=Noticing, network=Always)
    assert Noticing.closed == 2


class Dying(Corridor):
    """Its process is killed within a step."""

    def step(self, action):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:.*waiting for a pending call:UserWarning")
def test_a_killed_worker_is_an_error_and_no_hang(store):
    path = store(1, "evaluator.vectorization=async")
    with pytest.raises(EnvironmentFailedError, match=r"process.*died"):
        evaluate(path, episodes=2, seed=0, environment=Dying, network=Always)


def test_the_best_checkpoint_scores_again_what_it_scored(tmp_path):
    config = quick_config(
        "stop.updates=0", "stop.evaluation_return=1", "stop.environment_steps=20000",
        "evaluator.period_updates=20",
        "algorithm.learning_rate=0.01", "exploration.epsilon_decay_environment_steps=1000",
        "replay.samples_per_insert=8", "algorithm.target_update_period_updates=10",
    )  # fmt: skip
    with Single(config, run_directory=tmp_path, environment=Corridor) as single:
        result = single.run()
    assert result.stop_reason == "evaluation_return"
    scores = evaluate(tmp_path / "best.pt", episodes=5, seed=3, environment=Corridor)
    assert scores.returns == (1.0,) * 5
    again = evaluate(tmp_path / "best.pt", episodes=5, seed=3, environment=Corridor)
    assert again == scores
    assert np.mean(scores.lengths) == 4


# --- filming --------------------------------------------------------------------------------------


def test_filming_an_environment_that_draws_nothing_is_refused(store, tmp_path):
    path = store(1, "environment.id=zdqn/SlowCartPole-v0")
    with pytest.raises(ConfigError):
        play(path, video=tmp_path / "film", seed=0, network=Always)


def test_filming_without_the_extra_names_it(store, tmp_path, monkeypatch):
    def missing(*_, **__):
        raise gymnasium.error.DependencyNotInstalled("moviepy is not installed")

    monkeypatch.setattr("gymnasium.wrappers.RecordVideo", missing)
    path = store(1, spec=EnvironmentSpec((4,), "float32", 2))
    with pytest.raises(ConfigError, match=r'pip install "zdqn\[video\]"'):
        play(path, video=tmp_path / "film", seed=0, network=Always)
