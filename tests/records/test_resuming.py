"""A run goes on as it was; what differs is refused where it cannot work, and said where it can."""

import logging

import pytest
import torch

from zdqn.config import load_config
from zdqn.core.agenda import Counters, Limits
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, FileError, MismatchError
from zdqn.records.checkpoints import (
    Checkpoint,
    CheckpointDirectory,
    TrainingState,
    save_checkpoint,
)
from zdqn.records.resuming import load_resumption

SPEC = EnvironmentSpec((4,), "float32", 2)
BEFORE = ("stop.updates=60", "replay.capacity=500", "replay.min_size=100")
COUNTERS = Counters(
    environment_steps=500, updates=60, episodes=7, transitions=500, evaluation_return=3.5
)


@pytest.fixture
def run(tmp_path):
    """A run directory with a checkpoint of 60 updates and a best network."""

    def make(*overrides):
        config = load_config(None, (*BEFORE, *overrides))
        online = {"weight": torch.ones(2)}
        metrics = {"wall_s": 20.5, "best_return": 1.0, "last_return": 3.5, "evaluations": 1}
        training = TrainingState({}, {}, metrics, 1, 1)
        CheckpointDirectory(tmp_path / "run" / "checkpoints", 2).save(
            Checkpoint(config, SPEC, online, COUNTERS, training)
        )
        best = Checkpoint(config, SPEC, online, COUNTERS, None, evaluation_return=8.0)
        save_checkpoint(tmp_path / "run" / "best.pt", best)
        return tmp_path / "run"

    return make


def go_on(run, *overrides, into=None, limits=None, quiet=False):
    config = load_config(None, (*BEFORE, *overrides))
    return load_resumption(run, config, limits or Limits(), into=into or run, quiet=quiet)


def said(caplog, level):
    return [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.fixture(autouse=True)
def listen(caplog):
    caplog.set_level(logging.INFO, "zdqn")


def test_as_it_was_nothing_is_said(run, caplog):
    resumption = go_on(run())
    assert resumption.checkpoint.counters == COUNTERS
    assert resumption.training.metrics["wall_s"] == 20.5
    assert resumption.best is not None
    assert resumption.best.evaluation_return == 8.0
    assert caplog.records == []


@pytest.mark.parametrize(
    "override",
    ["algorithm.discount=0.9", "algorithm.n_step=3", "algorithm.double=true",
     "algorithm.learning_rate=0.1", "algorithm.loss=squared", "network.activation=tanh",
     "replay.kind=prioritized", "exploration.epsilon_final=0.5", "evaluator.episodes=3"],
)  # fmt: skip
def test_what_changes_the_meaning_is_said_with_both_values(run, caplog, override):
    go_on(run(), override)
    key, _, value = override.partition("=")
    (text,) = said(caplog, logging.WARNING)
    assert text.startswith(f"{key} was ")
    assert f"{value} from here on" in text.lower().replace("'", "")


def test_what_does_not_is_said_more_softly_and_where_it_runs_not_at_all(run, caplog):
    go_on(run(), "stop.updates=80", "run.directory=x", "memory.bind=tcp://127.0.0.1:0",
          "learner.bind=tcp://127.0.0.1:0", "launch.collectors=7",
          "links.dead_after_s=3")  # fmt: skip
    assert said(caplog, logging.INFO) == ["stop.updates was 60 until now and is 80 from here on"]
    assert said(caplog, logging.WARNING) == []


def test_who_only_asks_hears_nothing(run, caplog):
    go_on(run(), "algorithm.discount=0.9", quiet=True)
    assert caplog.records == []


@pytest.mark.parametrize(
    "override",
    ["network.hidden=[8]", "network.dueling=true", "network.kind=cnn", "network.function=m:f",
     "environment.frame_stack=2", "network.noisy=true", "algorithm.distribution=quantile"],
)  # fmt: skip
def test_a_network_of_another_shape_is_refused_wherever_it_goes(run, tmp_path, override):
    for into in (None, tmp_path / "other"):
        with pytest.raises(MismatchError, match=override.partition("=")[0].replace(".", r"\.")):
            go_on(run(), override, into=into)


@pytest.mark.parametrize(
    ("distribution", "number"), [("categorical", "atoms"), ("quantile", "quantiles")]
)
def test_so_is_another_number_of_what_is_learned_of_a_return(run, distribution, number):
    chosen = f"algorithm.distribution={distribution}"
    with pytest.raises(MismatchError, match=rf"algorithm\.{number}"):
        go_on(run(chosen), chosen, f"algorithm.{number}=7")
    go_on(run(), f"algorithm.{number}=7")  # of no meaning there


def test_a_function_that_made_the_network_is_missed_and_another_one_is_named(run, caplog):
    with pytest.raises(MismatchError, match="the function that made the network"):
        go_on(run("network.function=m:f"))
    go_on(run("network.function=m:f"), "network.function=m:g")
    (text,) = said(caplog, logging.WARNING)
    assert "network.function was 'm:f' until now and is 'm:g'" in text


@pytest.mark.parametrize(
    "override",
    ["environment.id=Acrobot-v1", "environment.max_episode_steps=7", "environment.kwargs={a=1}",
     'environment.wrappers=[{name="ClipReward"}]', "environment.function=m:f"],
)  # fmt: skip
def test_another_environment_begins_a_run_of_its_own_without_the_best_score(
    run, tmp_path, caplog, override
):
    key = override.partition("=")[0]
    with pytest.raises(MismatchError, match=rf"{key}.*--run-dir"):
        go_on(run(), override)
    assert caplog.records == []
    assert go_on(run(), override, into=tmp_path / "other").best is None
    (text,) = said(caplog, logging.WARNING)
    assert text.startswith(key)


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (Limits(updates=60), "stop.updates is 60, and it has reached 60"),
        (Limits(environment_steps=10), "stop.environment_steps is 10, and it has reached 500"),
        (Limits(episodes=7), "stop.episodes is 7, and"),
        (Limits(wall_s=20), "stop.wall_s is 20, and it has reached 20.5"),
        (Limits(evaluation_return=-1.0), "stop.evaluation_return is -1, and it has reached 3.5"),
    ],
)
def test_a_run_past_its_end_is_refused_with_the_limit(run, limits, text):
    with pytest.raises(ConfigError, match=text):
        go_on(run(), limits=limits)


@pytest.mark.parametrize(
    "limits", [Limits(updates=61), Limits(wall_s=21.0), Limits(evaluation_return=4.0), Limits()]
)
def test_a_run_before_its_end_goes_on(run, limits):
    resumption = go_on(run(), limits=limits)
    assert resumption.checkpoint.counters.updates == 60


def test_another_function_that_makes_the_environment_is_named(run, caplog):
    """It may be the same one, written anew: nobody can know."""
    resumption = go_on(run("environment.function=m:f"), "environment.function=m:g")
    assert resumption.best is not None
    (text,) = said(caplog, logging.WARNING)
    assert "environment.function was 'm:f' until now and is 'm:g'" in text
    with pytest.raises(MismatchError, match=r"environment\.function"):
        go_on(run("environment.function=m:f"))


def test_a_spoiled_best_network_is_said_and_counts_as_none(run, caplog):
    folder = run()
    (folder / "best.pt").write_text("half")
    assert go_on(folder).best is None
    assert "The next evaluation counts as the best" in caplog.text


def test_without_a_checkpoint_there_is_nothing_to_go_on_from(tmp_path):
    with pytest.raises(FileError, match="no checkpoint"):
        go_on(tmp_path)


def test_who_begins_anew_has_nothing_to_read(tmp_path):
    assert load_resumption(None, load_config(), Limits(), into=tmp_path) is None
