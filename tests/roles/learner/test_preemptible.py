"""A learner whose machine is wanted: it goes away, and its run waits and goes on."""

import json

import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from zdqn.errors import PreemptedError, RunDirectoryTakenError
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_files import RunFiles, read_summary
from zdqn.roles.learner.preemptible import PreemptibleLearner
from zdqn.stopping import StopEvent
from zdqn.wire.remote_control import request_stop

FOR_EVER = ("stop.updates=0", "stop.wall_s=600")


@pytest.fixture
def files(tmp_path):
    return RunFiles(tmp_path / "run")


@pytest.fixture
def start(system, files):
    """Starts a preemptible learner, always in the same folder."""

    def start(memory, *overrides, bind="tcp://127.0.0.1:0"):
        stop = StopEvent()
        learner = PreemptibleLearner(
            quick_config(*overrides),
            memory=memory.role.endpoints["samples"],
            run_directory=files.path,
            bind=bind,
            keys=system.keys,
            stop=stop,
        )
        return system.start(learner, stop)

    return start


def updates_told(files):
    """Give the updates of the newest row of metrics; 0 before the first."""
    if not files.metrics.exists():
        return 0
    whole, _, _ = files.metrics.read_text().rpartition("\n")
    return json.loads(whole.splitlines()[-1])["updates"] if whole else 0


def test_at_sigterm_it_saves_and_leaves_and_the_same_start_goes_on(system, start, files, nobody):
    memory = system.memory(quick_config())
    learner = start(memory, *FOR_EVER, bind=str(nobody))
    collector = system.collector(None, learner)
    eventually(lambda: updates_told(files), "it trains")
    learner.stop_event.set_for("SIGTERM")
    with pytest.raises(PreemptedError, match=r"saved a checkpoint at \d+ updates") as left:
        learner.result()
    learner.stop()
    assert left.value.exit_code == 75
    assert not read_summary(files.path)
    run_id, saved = files.identity.read_text(), updates_told(files)
    assert saved > 0
    assert [path.name for path in files.checkpoints.glob("update-*.pt")]

    again = start(memory, *FOR_EVER, bind=str(nobody))
    eventually(lambda: updates_told(files) > saved, "it goes on")
    assert not collector.ended
    assert not memory.ended
    request_stop(again.role.endpoints["model"], "enough", DEADLINE_S, system.operator, "learner")
    result = again.result()
    assert result.stop_reason == "enough"
    assert result.updates > saved
    assert files.identity.read_text() == run_id
    collector.result()
    memory.result()


def test_a_limit_ends_the_run_as_of_any_learner(system, start, files):
    memory = system.memory(quick_config())
    learner = start(memory)
    collector = system.collector(None, learner)
    assert learner.result().stop_reason == "updates"
    assert read_summary(files.path)["updates"] == 60
    collector.result()
    memory.result()


def test_interrupted_by_a_person_it_ends_the_run(system, start, files):
    memory = system.memory(quick_config())
    learner = start(memory, *FOR_EVER)
    system.collector(None, learner)
    eventually(lambda: updates_told(files), "it trains")
    learner.stop_event.set_for("SIGINT")
    assert learner.result().stop_reason == "SIGINT"
    memory.result()  # it was told that the run is over


def test_it_leaves_before_it_has_begun_too_and_begins_at_the_next_start(system, start, files):
    memory = system.memory(quick_config())
    learner = start(memory)
    learner.stop_event.set_for("SIGTERM")
    with pytest.raises(PreemptedError, match="before it has begun"):
        learner.result()
    learner.stop()
    again = start(memory)
    system.collector(None, again)
    assert again.result().stop_reason == "updates"


def test_what_a_start_without_a_checkpoint_has_left_is_begun_anew_as_the_same_run(
    system, start, files
):
    files.path.mkdir()
    files.identity.write_text("run-0123abcd")
    files.config.write_text("[run]\nseed = 5\n")
    files.metrics.write_text('{"updates": 3, "old": true}\n')
    memory = system.memory(quick_config())
    learner = start(memory)
    system.collector(None, learner)
    assert learner.result().stop_reason == "updates"
    assert files.identity.read_text() == "run-0123abcd"
    assert "old" not in files.metrics.read_text()


def test_one_that_lives_is_not_robbed_of_its_folder(start, system, files):
    memory = system.memory(quick_config())
    with RunClaim(files.path), pytest.raises(RunDirectoryTakenError):
        start(memory)
