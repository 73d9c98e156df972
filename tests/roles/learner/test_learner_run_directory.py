"""A learner's run directory: its own, unchanged by what is refused, begun when training begins."""

import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from zdqn.config import load_config
from zdqn.errors import ConfigError, MismatchError, RunDirectoryTakenError
from zdqn.records.checkpoints import CheckpointDirectory, load_checkpoint
from zdqn.roles.learner.role import Learner
from zdqn.roles.single import Single
from zdqn.wire.remote_control import fetch_status, request_stop

NOBODY = "tcp://127.0.0.1:9"
ANY = "tcp://127.0.0.1:0"


def kept(folder):
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("lock")
    }


@pytest.fixture
def trained(tmp_path):
    """A run of 60 updates."""
    folder = tmp_path / "trained"
    with Single(quick_config("evaluator.period_updates=30"), run_directory=folder) as single:
        single.run()
    return folder


@pytest.mark.parametrize(
    ("overrides", "options", "error"),
    [
        ((), {}, RunDirectoryTakenError),
        (("network.hidden=[8]",), {"resume": True}, MismatchError),
        (("environment.max_episode_steps=3",), {"resume": True}, MismatchError),
        (("stop.updates=60",), {"resume": True}, ConfigError),
        ((), {"resume": True, "bind": "tcp://192.0.2.1:7000"}, ConfigError),
        ((), {"overwrite": True, "bind": "tcp://192.0.2.1:7000"}, ConfigError),
    ],
)
def test_a_start_that_is_refused_has_changed_nothing(trained, overrides, options, error):
    before = kept(trained)
    if options.get("resume"):
        options = {**options, "resume": trained}
    config = quick_config("stop.updates=90", "evaluator.period_updates=30", *overrides)
    with pytest.raises(error):
        Learner(config, memory=NOBODY, run_directory=trained, **{"bind": ANY, **options})
    assert kept(trained) == before


@pytest.mark.parametrize("bind", ["tcp://192.0.2.1:7000", "nonsense", "taken"])
def test_a_refused_address_leaves_no_folder(tmp_path, system, bind):
    if bind == "taken":
        bind = system.memory(quick_config()).role.endpoints["samples"]
    with pytest.raises(Exception, match=bind):
        Learner(quick_config(), memory=NOBODY, run_directory=tmp_path / "new", bind=bind)
    assert not (tmp_path / "new").exists()


def test_a_learner_that_waits_has_begun_no_run_and_its_folder_is_its_own(tmp_path):
    with Learner(quick_config(), memory=NOBODY, run_directory=tmp_path, bind=ANY):
        assert not (tmp_path / "config.toml").exists()
        with pytest.raises(RunDirectoryTakenError, match="in use by"):
            Learner(quick_config(), memory=NOBODY, run_directory=tmp_path, bind=ANY)
    Learner(quick_config(), memory=NOBODY, run_directory=tmp_path, bind=ANY).close()


def test_the_final_checkpoint_knows_of_the_evaluations_that_came_after_the_end(system, tmp_path):
    config = quick_config("evaluator.period_updates=25", "links.dead_after_s=30")
    memory = system.memory(config)
    learner = system.learner(config, memory, run_directory=tmp_path)
    address = learner.role.endpoints["model"]
    system.evaluator(config, learner)
    eventually(lambda: fetch_status(address, DEADLINE_S).get("clients"), "the evaluator")
    system.collector(config, learner)
    summary = learner.result().summary
    training = CheckpointDirectory(tmp_path / "checkpoints", 2).newest().training
    assert training.metrics["evaluations"] == summary["evaluations"] > 0
    assert training.metrics["last_return"] == summary["final_evaluation_return"]
    assert training.snapshots == summary["evaluations"] + 1  # the best was scored again


def test_going_on_elsewhere_takes_the_best_network_along_and_overwriting_waits(
    system, trained, tmp_path
):
    other = tmp_path / "other"
    other.mkdir()
    (other / "best.pt").write_text("of another run")
    config = quick_config("stop.updates=90", "evaluator.period_updates=30")
    memory = system.memory(config)
    learner = system.learner(config, memory, run_directory=other, resume=trained, overwrite=True)
    assert (other / "best.pt").read_text() == "of another run"
    system.collector(config, learner)
    summary = learner.result().summary
    best = load_checkpoint(other / "best.pt")
    assert best.evaluation_return == summary["best_evaluation_return"]
    assert best.evaluation_return == load_checkpoint(trained / "best.pt").evaluation_return


def test_one_that_is_stopped_before_it_trains_sums_up_where_the_run_was(system, trained):
    config = quick_config("stop.updates=90", "evaluator.period_updates=30")
    learner = system.learner(config, NOBODY, run_directory=trained, resume=trained)
    request_stop(learner.role.endpoints["model"], "enough", DEADLINE_S)
    summary = learner.result().summary
    assert (summary["updates"], summary["stop_reason"]) == (60, "enough")
    assert summary["environment_steps"] > 0


@pytest.mark.parametrize(
    ("goes_on", "changed"),
    [(True, {"learner_epoch", "run_id", "summary.json"}), (False, {"learner_epoch", "run_id"})],
)
def test_one_that_never_trained_leaves_the_run_that_is_there_as_it_was(
    system, trained, goes_on, changed
):
    before = kept(trained)
    config = quick_config("stop.updates=90", "collector.environments=7")
    options = {"resume": trained} if goes_on else {"overwrite": True}
    learner = system.learner(config, NOBODY, run_directory=trained, **options)
    request_stop(learner.role.endpoints["model"], "no collector can be started", DEADLINE_S)
    assert learner.result().stop_reason == "no collector can be started"
    after = kept(trained)
    assert {path.name for path, content in after.items() if before.get(path) != content} == changed
    assert before.keys() <= after.keys()


def make_network(spec):
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(4, spec.num_actions))


def test_functions_are_recorded_and_who_joins_without_one_is_refused(system, tmp_path):
    config = quick_config()
    memory = system.memory(config)
    learner = system.learner(
        config, memory, run_directory=tmp_path, network=make_network, environment=len
    )
    refused = system.evaluator(None, learner)
    with pytest.raises(ConfigError, match=r"made by a Python function, builtins:len"):
        refused.result()
    given = {"environment": lambda **_: __import__("gymnasium").make("CartPole-v1")}
    refused = system.collector(None, learner, **given)
    with pytest.raises(ConfigError, match="The network was made by a Python function"):
        refused.result()
    system.collector(None, learner, network=make_network, **given)
    learner.result()
    written = load_config(tmp_path / "config.toml")
    assert str(written.network.function).startswith(f"{__name__}:make_network sha256:")
    assert str(written.environment.function).startswith("builtins:len sha256:")
