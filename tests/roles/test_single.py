"""Single-core training: bit-exact for a seed, and every part of it a switch."""

import csv
import itertools
import json
import logging
import os
import signal
import threading
from typing import Any

import msgspec
import pytest
import torch
from torch import nn

from tests.roles.conftest import Corridor, quick_config
from zdqn.config import load_config
from zdqn.errors import (
    ConfigError,
    EnvironmentFailedError,
    MismatchError,
    RoleFailedError,
    RunDirectoryTakenError,
)
from zdqn.experiments.scoring import evaluate
from zdqn.records.checkpoints import load_checkpoint
from zdqn.records.metrics import Metrics
from zdqn.roles.building import evaluation_deadline_s
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
RAINBOW = (
    "replay.kind=prioritized", "algorithm.n_step=3", "algorithm.double=true",
    "network.dueling=true", "network.noisy=true", "algorithm.distribution=categorical",
    "algorithm.reward_clip=0.5", "collector.environments=3",
)  # fmt: skip


@pytest.mark.parametrize(
    "overrides", [(), HARD, RAINBOW], ids=["plain", "everything on", "rainbow"]
)
def test_two_runs_with_one_seed_end_with_the_same_weights_bit_for_bit(tmp_path, overrides):
    results = [train(tmp_path / name, *overrides) for name in ("one", "two")]
    assert equal(weights(tmp_path / "one"), weights(tmp_path / "two"))
    for key in ("environment_steps", "episodes", "updates", "final_evaluation_return"):
        assert results[0].summary[key] == results[1].summary[key]
    train(tmp_path / "three", *overrides, "run.seed=1")
    assert not equal(weights(tmp_path / "one"), weights(tmp_path / "three"))


@pytest.mark.parametrize("overrides", [(), HARD], ids=["plain", "everything on"])
def test_a_replay_on_disk_teaches_what_one_in_ram_does_bit_for_bit(tmp_path, overrides):
    train(tmp_path / "ram", *overrides)
    train(tmp_path / "disk", *overrides, "replay.storage=disk")
    assert equal(weights(tmp_path / "ram"), weights(tmp_path / "disk"))
    assert (tmp_path / "disk" / "replay" / "frames.array").stat().st_size
    assert not (tmp_path / "ram" / "replay").exists()
    train(tmp_path / "elsewhere", "replay.storage=disk", f"replay.path={tmp_path / 'there'}")
    assert (tmp_path / "there" / "frames.array").exists()
    assert not (tmp_path / "elsewhere" / "replay").exists()


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
        "algorithm.distribution=categorical", "algorithm.distribution=quantile",
        "algorithm.munchausen=true", "algorithm.value_rescaling=true",
        "algorithm.reward_clip=0.5", "network.noisy=true",
        'environment.wrappers=[{name="ClipReward", kwargs={min_reward=0, max_reward=0.5}}]',
    ],
)  # fmt: skip
def test_every_switch_changes_the_computation(tmp_path, plain, override):
    train(tmp_path, override)
    other = weights(tmp_path)
    assert {name: tensor.shape for name, tensor in other.items()} != {
        name: tensor.shape for name, tensor in plain.items()
    } or not equal(plain, other)


@pytest.mark.parametrize(
    ("switch", "number"),
    [
        ("algorithm.distribution=categorical", "algorithm.v_min=-1"),
        ("algorithm.distribution=categorical", "algorithm.v_max=1"),
        ("algorithm.distribution=quantile", "algorithm.huber_delta=0.01"),
        ("algorithm.distribution=categorical", "algorithm.double=true"),
        ("algorithm.distribution=quantile", "algorithm.double=true"),
        ("algorithm.munchausen=true", "algorithm.munchausen_alpha=0"),
        ("algorithm.munchausen=true", "algorithm.munchausen_temperature=0.3"),
        ("algorithm.munchausen=true", "algorithm.munchausen_clip=0"),
        ("algorithm.value_rescaling=true", "algorithm.value_rescaling_epsilon=0.5"),
        ("network.noisy=true", "network.noisy_sigma=0"),
    ],
)
def test_every_number_of_a_switch_changes_the_computation(tmp_path, switch, number):
    train(tmp_path / "one", switch)
    train(tmp_path / "two", switch, number)
    assert not equal(weights(tmp_path / "one"), weights(tmp_path / "two"))


def test_a_reward_clip_of_0_is_none_and_one_above_all_rewards_changes_nothing(tmp_path, plain):
    for clip in (0, 5):
        train(tmp_path / str(clip), f"algorithm.reward_clip={clip}")
        assert equal(weights(tmp_path / str(clip)), plain)


def test_returns_that_are_reported_are_not_clipped(tmp_path):
    wide = train(tmp_path / "wide").summary
    clipped = train(tmp_path / "clipped", "algorithm.reward_clip=0.01").summary
    assert clipped["best_evaluation_return"] > 0.01
    assert wide["best_evaluation_return"] > 0.01


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


def kept(folder):
    """Give every file of a run with its content, but for locks."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("lock")
    }


def test_a_run_goes_on_from_its_counters_and_weights(tmp_path):
    first = train(tmp_path).summary
    before = weights(tmp_path)
    second = train(tmp_path, "stop.updates=60", resume=tmp_path).summary
    assert second["updates"] == 60
    for key in ("environment_steps", "episodes", "transitions", "evaluations", "wall_s"):
        assert second[key] > first[key], key
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for key in ("updates", "environment_steps", "episodes", "wall_s"):
        assert [row[key] for row in rows] == sorted(row[key] for row in rows), key
    assert not equal(before, weights(tmp_path))
    third = train(tmp_path, "stop.updates=70", resume=tmp_path).summary
    assert third["environment_steps"] > second["environment_steps"]


@pytest.mark.parametrize(("demanded", "phase"), [("true", "compiling"), ('"auto"', "starting")])
def test_who_asks_while_updates_are_compiled_is_told(tmp_path, monkeypatch, demanded, phase):
    seen = []
    made = Single(quick_config(*BASE, f"learner.compile={demanded}"), run_directory=tmp_path)
    monkeypatch.setattr(
        "zdqn.roles.single.compile_ahead", lambda *_: seen.append(made.status().run.phase)
    )
    with made as single:
        single.run()
    assert seen == [phase]


def test_a_run_of_its_own_leaves_the_other_as_it_was(tmp_path):
    train(tmp_path / "a")
    before = kept(tmp_path / "a")
    summary = train(tmp_path / "b", "stop.updates=45", resume=tmp_path / "a").summary
    assert kept(tmp_path / "a") == before
    best = load_checkpoint(tmp_path / "b" / "best.pt")
    assert best.evaluation_return == summary["best_evaluation_return"]


def test_going_on_draws_other_episodes_than_at_the_beginning(tmp_path):
    frozen = ("algorithm.learning_rate=0", "exploration.epsilon_initial=0",
              "exploration.epsilon_final=0", "evaluator.period_updates=0")  # fmt: skip
    train(tmp_path, *frozen)
    first = load_checkpoint(max((tmp_path / "checkpoints").iterdir())).counters
    train(tmp_path, *frozen, "stop.updates=80", resume=tmp_path)
    second = load_checkpoint(max((tmp_path / "checkpoints").iterdir())).counters
    assert second.environment_steps - first.environment_steps > 0
    assert (second.episodes, second.environment_steps) != (
        2 * first.episodes, 2 * first.environment_steps
    )  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "options", "error"),
    [
        (("network.hidden=[8]", "stop.updates=60"), {}, MismatchError),
        (("environment.id=Acrobot-v1", "stop.updates=60"), {}, MismatchError),
        (("stop.updates=60",), {"environment": Corridor}, MismatchError),
        (("stop.updates=40",), {}, ConfigError),
        (("stop.updates=60", "algorithm.discount=2"), {}, ConfigError),
    ],
)
def test_a_start_that_is_refused_has_changed_nothing(tmp_path, overrides, options, error):
    train(tmp_path)
    before = kept(tmp_path)
    with pytest.raises(error):
        train(tmp_path, *overrides, resume=tmp_path, **options)
    with pytest.raises(RunDirectoryTakenError):
        train(tmp_path, "stop.updates=60")
    assert kept(tmp_path) == before


def test_overwriting_is_beginning_anew(tmp_path):
    train(tmp_path / "alone", "run.seed=1")
    train(tmp_path / "run", "stop.updates=80")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "endpoints.json").write_text("{}")
    train(tmp_path / "run", "run.seed=1", overwrite=True)
    assert equal(weights(tmp_path / "run"), weights(tmp_path / "alone"))
    names = {path.name for path in (tmp_path / "run").rglob("*")}
    assert names == {path.name for path in (tmp_path / "alone").rglob("*")} | {"notes.txt"}


def test_a_folder_has_one_training_at_a_time(tmp_path):
    with (
        Single(quick_config(*BASE), run_directory=tmp_path),
        pytest.raises(RunDirectoryTakenError, match=r"in use by .*\(process "),
    ):
        Single(quick_config(*BASE), run_directory=tmp_path, overwrite=True)


@pytest.mark.parametrize(
    "override", ["environment.id=CartPol-v1", "learner.device=cuda", "network.kind=nonsense"]
)
def test_a_refused_training_leaves_no_folder(tmp_path, override):
    if override == "learner.device=cuda" and torch.cuda.is_available():
        pytest.skip("it would not be refused")
    with pytest.raises(ConfigError):
        train(tmp_path / "new", override)
    assert not (tmp_path / "new").exists()


def test_a_replay_that_does_not_fit_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("zdqn.roles.replay_keeping.available_bytes", lambda: 1_000)
    with pytest.raises(ConfigError, match=r"replay\.capacity is .* of memory are free"):
        train(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def make_small(spec):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(5, spec.num_actions))


def test_what_a_function_made_is_scored_and_gone_on_with_by_that_function_only(tmp_path, caplog):
    functions: dict[str, Any] = {"environment": Corridor, "network": make_small}
    train(tmp_path, **functions)
    config = load_config(tmp_path / "config.toml")
    assert "Corridor sha256:" in str(config.environment.function)
    assert load_checkpoint(tmp_path / "best.pt").config == config
    best: dict[str, Any] = {"run": tmp_path / "best.pt", "episodes": 2, "seed": 0}
    for missing in functions:
        some = {name: function for name, function in functions.items() if name != missing}
        with pytest.raises(ConfigError, match=f"The {missing} was made by a Python function"):
            evaluate(**best, **some)
        with pytest.raises((ConfigError, MismatchError)):
            train(tmp_path, "stop.updates=60", resume=tmp_path, **some)
    evaluate(**best, **functions)
    assert "comes from" not in caplog.text
    evaluate(**best, environment=lambda: Corridor(), network=make_small)
    assert "The environment comes from" in caplog.text
    train(tmp_path, "stop.updates=60", resume=tmp_path, **functions)


# --- limits and signals ---------------------------------------------------------------------------


class Endless(Corridor):
    """Its episodes never end; counts its steps, and may say when it was stepped often enough."""

    steps, enough = 0, 10**9
    stop = threading.Event()

    def step(self, action):
        cls = type(self)
        cls.steps += 1
        if cls.steps >= cls.enough:
            cls.stop.set()
        return self.reset()[0], 1.0, False, False, {}


@pytest.fixture
def clock(monkeypatch):
    """The clock of the training is a millisecond later with each look, however busy the machine."""
    looks = itertools.count()
    monkeypatch.setattr(Metrics, "wall_s", property(lambda _: next(looks) / 1000))


@pytest.fixture
def endless(monkeypatch):
    monkeypatch.setattr(Endless, "steps", 0)
    monkeypatch.setattr(Endless, "stop", threading.Event())
    return Endless


def unlimited(folder, *overrides, **options):
    config = quick_config(*BASE, *overrides)
    environment = msgspec.structs.replace(config.environment, max_episode_steps=None)
    config = msgspec.structs.replace(config, environment=environment)
    with Single(config, run_directory=folder, **options) as single:
        return single.run()


def test_episodes_that_never_end_are_cut_off_counted_and_shown(tmp_path, endless, caplog):
    caplog.set_level(logging.INFO)
    result = unlimited(tmp_path, "evaluator.max_episode_steps=30", environment=endless)
    assert (result.stop_reason, result.summary["final_evaluation_return"]) == ("updates", 30.0)
    with (tmp_path / "evaluations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["cut"], row["length_mean"]) for row in rows} == {("2", "30.0")}
    assert "2 episodes, 2 of them cut off after 30 steps" in caplog.text


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_the_clock_ends_a_run_within_an_evaluation(tmp_path, caplog, vectorization):
    result = unlimited(
        tmp_path, "stop.wall_s=1", "evaluator.max_episode_steps=1_000_000_000",
        f"evaluator.vectorization={vectorization}", environment=Endless,
    )  # fmt: skip
    assert result.stop_reason == "wall_s"
    assert (result.summary["updates"], result.summary["evaluations"]) == (0, 0)
    assert "evaluation 0 at 0 environment steps was given up" in caplog.text


def test_the_clock_ends_a_run_within_a_block(tmp_path, clock):
    result = train(
        tmp_path, "stop.wall_s=0.4", "collector.block_transitions=10_000",
        "evaluator.period_updates=0", environment=Corridor,
    )  # fmt: skip
    assert result.stop_reason == "wall_s"
    assert 1 <= result.summary["environment_steps"] <= 400
    assert result.summary["transitions"] == result.summary["environment_steps"]


@pytest.mark.parametrize("period_updates", [0, 20], ids=["in a block", "in an evaluation"])
def test_a_signal_ends_a_run_at_once(tmp_path, endless, monkeypatch, period_updates):
    monkeypatch.setattr(endless, "enough", 7)
    result = unlimited(
        tmp_path, f"evaluator.period_updates={period_updates}", "evaluator.environments=1",
        "collector.block_transitions=10_000", environment=endless, stop=endless.stop,
    )  # fmt: skip
    assert result.stop_reason == "stopped"
    assert endless.steps == 7


def test_the_clock_ends_a_run_between_the_updates_of_a_block(tmp_path, clock):
    result = train(  # a block is learned from for hours
        tmp_path, "stop.wall_s=1", "stop.updates=0", "replay.samples_per_insert=1_000_000",
        "evaluator.period_updates=0",
    )  # fmt: skip
    assert result.stop_reason == "wall_s"
    assert result.summary["updates"] > 0


def test_the_last_evaluation_may_take_longer_than_the_clock_but_not_for_ever(tmp_path, clock):
    result = train(
        tmp_path, "stop.wall_s=0.5", "stop.updates=0", "links.dead_after_s=0.5",
        "evaluator.period_updates=1_000_000", "evaluator.environments=1",
    )  # fmt: skip
    assert result.summary["evaluations"] == 2
    assert evaluation_deadline_s(quick_config("stop.wall_s=100")) == 110
    assert evaluation_deadline_s(quick_config("stop.wall_s=5", "links.dead_after_s=3")) == 8
    assert evaluation_deadline_s(quick_config()) == float("inf")


def test_the_log_keeps_the_report_period_though_rows_come_faster(tmp_path, caplog, clock):
    with caplog.at_level(logging.INFO, "zdqn.learner"):
        train(tmp_path, "learner.report_period_s=100", "stop.updates=0", "stop.wall_s=1")
    rows = len((tmp_path / "metrics.jsonl").read_text().splitlines())
    assert rows >= 3
    assert caplog.text.count(" episodes, mean return ") == 2, "the first and the last"
