"""Single-core training: bit-exact for a seed, and every part of it a switch."""

import json
import os
import signal
import threading

import pytest
import torch
from torch import nn

from tests.roles.conftest import Corridor, quick_config
from zdqn.errors import ConfigError, EnvironmentFailedError, RoleFailedError
from zdqn.records.checkpoints import load_checkpoint
from zdqn.roles.single import Single

BASE = (
    "stop.updates=40", "evaluator.period_updates=20", "algorithm.target_update_period_updates=10",
    "algorithm.learning_rate=0.003",
)  # fmt: skip


def train(folder, *overrides, **options):
    with Single(quick_config(*BASE, *overrides), run_directory=folder, **options) as single:
        return single.run()


def weights(folder):
    newest = max((folder / "checkpoints").iterdir())
    return load_checkpoint(newest).online


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


HARD = (
    "replay.kind=prioritized", "replay.initial_priority=collector", "algorithm.n_step=3",
    "algorithm.double=true", "network.dueling=true", "collector.environments=3",
)  # fmt: skip


@pytest.mark.parametrize("overrides", [(), HARD], ids=["plain", "everything on"])
def test_two_runs_with_one_seed_end_with_the_same_weights_bit_for_bit(tmp_path, overrides):
    results = [train(tmp_path / name, *overrides) for name in ("one", "two")]
    assert equal(weights(tmp_path / "one"), weights(tmp_path / "two"))
    for key in ("environment_steps", "episodes", "updates", "final_evaluation_return"):
        assert results[0].summary[key] == results[1].summary[key]
    train(tmp_path / "three", *overrides, "run.seed=1")
    assert not equal(weights(tmp_path / "one"), weights(tmp_path / "three"))


@pytest.mark.parametrize(
    "override",
    [
        "algorithm.discount=0", "algorithm.discount=0.5", "algorithm.n_step=3",
        "algorithm.double=true", "algorithm.batch_size=8", "algorithm.loss=squared",
        "algorithm.huber_delta=0.01", "algorithm.learning_rate=0", "algorithm.learning_rate=0.01",
        "algorithm.adam_beta1=0", "algorithm.adam_beta2=0.5", "algorithm.adam_eps=0.1",
        "algorithm.max_gradient_norm=0.01", "algorithm.target_network=none",
        "algorithm.target_network=soft", "algorithm.target_update_period_updates=1",
        "network.hidden=[]", "network.activation=tanh", "network.initialization=xavier",
        "network.dueling=true", "replay.kind=prioritized", "replay.capacity=64",
        "replay.samples_per_insert=4", "exploration.epsilon_initial=0",
        "exploration.epsilon_decay_environment_steps=0", "exploration.kind=ladder",
        "environment.max_episode_steps=3", "environment.frame_stack=2",
        "collector.environments=2", "collector.block_transitions=8",
        'environment.wrappers=[{name="ClipReward", kwargs={min_reward=0, max_reward=0.5}}]',
    ],
)  # fmt: skip
def test_every_switch_changes_the_computation(tmp_path, plain, override):
    train(tmp_path, override)
    other = weights(tmp_path)
    assert {name: tensor.shape for name, tensor in other.items()} != {
        name: tensor.shape for name, tensor in plain.items()
    } or not equal(plain, other)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    train(folder)
    return weights(folder)


@pytest.mark.parametrize(
    "override",
    [
        "replay.priority_exponent=0", "replay.importance_exponent=0",
        "replay.importance_annealing_updates=5", "replay.priority_epsilon=1",
        "replay.initial_priority=collector",
    ],
)  # fmt: skip
def test_every_switch_of_prioritized_replay_changes_the_computation(tmp_path, override):
    train(tmp_path / "plain", "replay.kind=prioritized")
    train(tmp_path / "other", "replay.kind=prioritized", override)
    assert not equal(weights(tmp_path / "plain"), weights(tmp_path / "other"))


def test_the_ratio_of_samples_to_inserts_is_held(tmp_path):
    summary = train(tmp_path, "stop.updates=1000", "replay.samples_per_insert=3").summary
    assert summary["samples_per_insert"] == pytest.approx(3, rel=0.02)


def test_without_a_ratio_one_process_cannot_know_when_to_learn(tmp_path):
    with pytest.raises(ConfigError, match=r"replay\.samples_per_insert is 0"):
        train(tmp_path, "replay.samples_per_insert=0")


@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_a_loss_that_is_no_number_ends_the_run_with_advice(tmp_path, kind):
    kinds = f"replay.kind={kind}", "algorithm.loss=squared"
    with pytest.raises(RoleFailedError, match=r"updates.*Lower algorithm.learning_rate \(1e\+30\)"):
        train(tmp_path, *kinds, "algorithm.learning_rate=1e30", "stop.updates=200")


def test_a_diverged_loss_ends_the_run_with_advice(tmp_path):
    with pytest.raises(RoleFailedError, match=r"Lower algorithm.learning_rate \(1e\+30\)"):
        train(tmp_path, "algorithm.learning_rate=1e30", "stop.updates=200")


def test_metrics_count_up_and_the_summary_agrees(tmp_path):
    result = train(tmp_path, "stop.updates=300")
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["updates"] for row in rows] == sorted(row["updates"] for row in rows)
    assert rows[-1]["updates"] == result.summary["updates"] == 300
    assert rows[-1]["transitions"] == result.summary["transitions"]


def with_modes(spec):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 2)
        return nn.Sequential(*layers)


MODES = ("stop.updates=40",)


def test_one_process_and_several_train_a_network_in_the_same_mode(tmp_path, system):
    """Each update is a batch that the normalization has seen, whoever acts in between."""
    train(tmp_path / "train", *MODES, network=with_modes)
    config = quick_config(*BASE, *MODES)
    learner = system.learner(config, system.memory(config), network=with_modes)
    system.collector(config, learner, network=with_modes)
    system.evaluator(config, learner, network=with_modes)
    for folder in (tmp_path / "train", learner.result().run_directory):
        trained = weights(folder)
        assert int(trained["1.num_batches_tracked"]) == 40
        assert trained["1.running_mean"].abs().max() > 0.01


def test_what_dropout_drops_is_the_same_for_a_seed(tmp_path):
    before = torch.get_rng_state()
    for name in ("one", "two"):
        torch.rand(7)  # what the program has drawn before does not matter
        train(tmp_path / name, *MODES, network=with_modes)
    assert equal(weights(tmp_path / "one"), weights(tmp_path / "two"))
    torch.set_rng_state(before)
    train(tmp_path / "three", *MODES, network=with_modes)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("limit", ["stop.updates=40", "stop.evaluation_return=-1"])
def test_the_best_network_is_scored_again_on_fresh_episodes(tmp_path, limit):
    result = train(tmp_path, "stop.updates=0", limit, "evaluator.episodes=7")
    best = load_checkpoint(tmp_path / "best.pt")
    assert best.evaluation_return == result.summary["best_evaluation_return"]
    again = result.summary["best_rescored_return"]
    assert again is not None
    assert again != best.evaluation_return


def test_a_run_that_is_stopped_scores_nothing_any_more(tmp_path):
    stop = threading.Event()
    stop.set()
    assert train(tmp_path, stop=stop).summary["best_rescored_return"] is None


class Dying(Corridor):
    """Its process is killed within a step."""

    def step(self, action):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:.*waiting for a pending call:UserWarning")
def test_a_killed_worker_is_an_error_and_no_hang(tmp_path):
    processes = "collector.vectorization=async", "evaluator.vectorization=async"
    with pytest.raises(EnvironmentFailedError, match=r"process.*died"):
        train(tmp_path, *processes, environment=Dying)
