"""A run that goes on from a checkpoint, in whatever the configuration has it told."""

import csv

from tests.records.event_reader import shown_scalars
from tests.roles.conftest import quick_config
from zdqn.core.agenda import Counters
from zdqn.data import EnvironmentSpec
from zdqn.records.checkpoints import CheckpointDirectory
from zdqn.records.recorder import Recorder
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_directory import RunDirectory

SPEC = EnvironmentSpec((4,), "float32", 2)
CONFIG = quick_config("sinks.tensorboard=true", "sinks.csv=true")


def train(folder, steps, *, saves_at=None, resume=False):
    """Report these steps, and save a checkpoint behind one of them."""
    checkpoints = CheckpointDirectory(folder / "checkpoints", 2)
    with (
        RunClaim(folder, resume=folder if resume else None) as claim,
        Recorder(CONFIG, RunDirectory(folder)) as recorder,
    ):
        if resume:
            loaded = checkpoints.newest()
            recorder.count_on(loaded.checkpoint, loaded.training, None)
        recorder.begin(claim)
        for step in steps:
            counters = Counters(environment_steps=step, updates=step // 10, transitions=step)
            recorder.report(counters, update=None, collectors=())
            if step == saves_at:
                state: dict[str, dict[str, object]] = {"online": {}}
                recorder.save_checkpoint(SPEC, counters, trainer=state, totals={}, version=0)


def test_sinks_have_each_step_once_and_the_runs_own_file_all_that_ever_was(tmp_path):
    train(tmp_path, [10, 20, 30, 40], saves_at=20)
    train(tmp_path, [25, 35, 50], resume=True)
    once = [10, 20, 25, 35, 50]
    assert [step for step, _ in shown_scalars(tmp_path)["metrics/updates"]] == once
    with (tmp_path / "metrics.csv").open(newline="") as file:
        assert [int(row["environment_steps"]) for row in csv.DictReader(file)] == once
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 7


def test_a_run_of_its_own_that_begins_from_another_leaves_that_as_it_is(tmp_path):
    train(tmp_path / "a", [10, 20, 30], saves_at=20)
    before = {path: path.read_bytes() for path in (tmp_path / "a").glob("*.*")}
    loaded = CheckpointDirectory(tmp_path / "a" / "checkpoints", 2).newest()
    with (
        RunClaim(tmp_path / "b", resume=tmp_path / "a") as claim,
        Recorder(CONFIG, RunDirectory(tmp_path / "b")) as recorder,
    ):
        recorder.count_on(loaded.checkpoint, loaded.training, None)
        recorder.begin(claim)
        recorder.report(Counters(environment_steps=25), update=None, collectors=())
    assert [step for step, _ in shown_scalars(tmp_path / "b")["metrics/updates"]] == [25]
    assert {path: path.read_bytes() for path in (tmp_path / "a").glob("*.*")} == before
