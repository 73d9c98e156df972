"""What a run brings goes to every sink, and what cannot be written does not end it."""

import logging

import numpy as np
import pytest
import torch

from tests.roles.conftest import quick_config
from zdqn.config import load_config
from zdqn.core.agenda import Counters
from zdqn.data import EnvironmentSpec, EvaluationScores, WeightVersion
from zdqn.errors import FileError, RoleFailedError
from zdqn.records import sinks
from zdqn.records.checkpoints import CheckpointDirectory, load_checkpoint
from zdqn.records.recorder import Recorder
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_directory import RunDirectory
from zdqn.records.run_files import RunFiles, read_summary
from zdqn.records.snapshots import Evaluation
from zdqn.rl.update_rule import Update
from zdqn.wire.status import CollectorStatistics

SPEC = EnvironmentSpec((4,), "float32", 2)
ARRAYS = {"weight": np.arange(3, dtype=np.float32)}


class Sink(sinks.Sink):
    """Takes everything, unless it is full."""

    def __init__(self):
        self.full = False
        self.taken = []

    def _take(self, what):
        if self.full:
            raise FileError("Cannot write: No space left on device.")
        self.taken.append(what)

    def add_metrics(self, row):
        self._take(row.updates)

    def add_evaluation(self, evaluation):
        self._take(evaluation.snapshot.number)

    def add_updates(self, updates):
        self._take(f"{updates} updates")

    def add_checkpoint(self, path):
        self._take(path.name)

    def write_summary(self, summary):
        self._take(summary["stop_reason"])


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def recorder(tmp_path, sink):
    return Recorder(quick_config(), RunDirectory(tmp_path), (sink,))


def report(recorder, updates, update=None):
    return recorder.report(Counters(updates=updates), update=update, collectors=())


def evaluation(recorder, *returns):
    snapshot = recorder.freeze(ARRAYS, Counters(10, 5, 2), WeightVersion(1, 3))
    return Evaluation(snapshot, EvaluationScores(returns, (1,) * len(returns)), "e-0", 0.5)


def test_every_sink_is_told_the_end_though_one_of_them_fails(tmp_path):
    full, sink = Sink(), Sink()
    full.full = True
    recorder = Recorder(quick_config(), RunDirectory(tmp_path), (full, sink))
    with pytest.raises(FileError, match="No space left"):
        recorder.write_summary(Counters(), "updates", {})
    assert sink.taken == ["updates"]


def test_every_sink_is_told_the_configuration_when_training_begins(tmp_path):
    class Beginning(Sink):
        def begin(self, config):
            self.taken.append(config)

    config, sink = quick_config("sinks.tensorboard=true", "sinks.csv=true"), Beginning()
    with RunClaim(tmp_path) as claim, Recorder(config, RunDirectory(tmp_path), (sink,)) as recorder:
        assert RunFiles(tmp_path).results() == []
        recorder.begin(claim)
        report(recorder, 7)
    assert sink.taken == [config, 7]
    names = {path.name for path in RunFiles(tmp_path).results()}
    assert names >= {"config.toml", "metrics.jsonl", "metrics.csv"}
    assert len(RunFiles(tmp_path).event_files()) == 1


def test_what_the_configuration_asks_for_goes_with_the_run_that_is_overwritten(tmp_path):
    config = quick_config("sinks.tensorboard=true", "sinks.csv=true")
    for overwrite in (False, True):
        with (
            RunClaim(tmp_path, overwrite=overwrite) as claim,
            Recorder(config, RunDirectory(tmp_path)) as recorder,
        ):
            recorder.begin(claim)
            report(recorder, 7)
    assert len(RunFiles(tmp_path).event_files()) == 1
    assert len(RunFiles(tmp_path).metrics_csv.read_text().splitlines()) == 2


def test_a_run_has_ended_well_though_what_it_was_to_tell_others_could_not_be_written(
    tmp_path, caplog, monkeypatch
):
    config = quick_config("sinks.tensorboard=true")
    with RunClaim(tmp_path) as claim, Recorder(config, RunDirectory(tmp_path)) as recorder:
        recorder.begin(claim)

        def full(self, event):
            raise FileError("Cannot write events: No space left on device.")

        monkeypatch.setattr("zdqn.records.event_file.EventFile.add", full)
        report(recorder, 7)
        report(recorder, 8)
        assert caplog.text.count("No space left") == 1
        summary = recorder.write_summary(Counters(updates=9), "updates", {})
    assert summary["updates"] == 9
    assert caplog.text.count("No space left") == 2
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_the_directory_and_every_other_sink_are_told_everything(recorder, sink, tmp_path):
    report(recorder, 7)
    recorder.add_evaluation(evaluation(recorder, 1.0), SPEC)
    summary = recorder.write_summary(Counters(updates=9), "updates", {"blocks": 3})
    assert sink.taken == [7, 0, "updates"]
    assert (summary["updates"], summary["blocks"]) == (9, 3)
    assert summary["run_directory"] == str(tmp_path)
    written = {path.name for path in tmp_path.iterdir()}
    assert written >= {"metrics.jsonl", "evaluations.csv", "summary.json", "best.pt"}
    assert read_summary(tmp_path) == summary
    report(recorder, 8)  # by a later start, which is killed
    assert read_summary(tmp_path) == {}


def test_a_full_disk_does_not_end_the_training_and_is_said_once_a_time(recorder, sink, caplog):
    with caplog.at_level(logging.WARNING, "zdqn.learner"):
        sink.full = True
        for updates in range(3):
            report(recorder, updates)
        sink.full = False
        report(recorder, 3)
        sink.full = True
        report(recorder, 4)
    assert sink.taken == [3]
    assert [record.message.count("No space left") for record in caplog.records] == [1, 1]


def test_a_sink_that_is_full_keeps_nothing_from_the_others(recorder, sink, tmp_path):
    sink.full = True
    report(recorder, 1)
    report(recorder, 2)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_loss_that_is_no_number_ends_training_with_advice(recorder):
    update = Update(torch.ones(2), torch.tensor(float("nan")), {}, torch.zeros(()))
    with pytest.raises(RoleFailedError, match=r"after 5 updates.*algorithm\.learning_rate"):
        report(recorder, 5, update)


def test_values_that_cannot_be_are_warned_of_once(recorder, caplog):
    recorder.divergence.saw(np.ones(2, np.float32))
    update = Update(
        torch.ones(2), torch.tensor(0.5), {"q_mean": torch.tensor(2.3e7)}, torch.zeros(())
    )
    for updates in (500, 600, 700):
        report(recorder, updates, update)
    assert caplog.text.count("values have left what rewards and discount allow") == 1
    assert "after 500 updates q_mean is 2.3e+07" in caplog.text


def test_the_rewards_of_an_earlier_start_count_for_what_values_may_be(recorder, tmp_path):
    recorder.divergence.saw(np.array([-30.0], np.float32))
    recorder.save_checkpoint(SPEC, Counters(), trainer={"online": {}}, totals={}, version=0)
    loaded = CheckpointDirectory(tmp_path / "checkpoints", 2).newest()
    other = Recorder(quick_config(), RunDirectory(tmp_path / "other"))
    other.count_on(loaded.checkpoint, loaded.training, None)
    assert other.divergence.largest_return == 30.0


def test_snapshots_are_numbered_and_say_where_training_was(recorder):
    first = recorder.freeze(ARRAYS, Counters(10, 5, 2), WeightVersion(1, 3))
    second = recorder.freeze(ARRAYS, Counters(20, 6, 3), WeightVersion(1, 4))
    assert (first.number, second.number) == (0, 1)
    assert (second.environment_steps, second.updates, second.episodes) == (20, 6, 3)
    assert second.weight_version == WeightVersion(1, 4).pack()
    assert recorder.snapshots == 2


def test_only_the_best_network_is_kept_with_its_score(recorder, tmp_path):
    for returns in ((1.0, 3.0), (2.5, 2.5), (1.0, 1.0)):
        recorder.add_evaluation(evaluation(recorder, *returns), SPEC)
    best = load_checkpoint(tmp_path / "best.pt")
    assert (best.evaluation_return, best.training) == (2.5, None)
    assert best.counters == Counters(10, 5, 2)
    assert torch.equal(best.online["weight"], torch.arange(3.0))
    assert (recorder.metrics.best_return, recorder.metrics.last_return) == (2.5, 1.0)


def test_a_checkpoint_is_all_that_another_recorder_needs(recorder, tmp_path):
    recorder.add_evaluation(evaluation(recorder, 4.0), SPEC)
    trainer = {"updates": 6, "online": {"weight": torch.ones(2)}}
    recorder.save_checkpoint(
        SPEC, Counters(12, 6), trainer=trainer, totals={"restarts": 1}, version=8
    )
    loaded = CheckpointDirectory(tmp_path / "checkpoints", 2).newest()
    assert (loaded.training.version, loaded.training.totals) == (8, {"restarts": 1})
    other = Recorder(quick_config(), RunDirectory(tmp_path / "other"))
    best = load_checkpoint(tmp_path / "best.pt")
    other.count_on(loaded.checkpoint, loaded.training, best)
    assert other.snapshots == 1
    assert (other.metrics.best_return, other.metrics.evaluations) == (4.0, 1)


def test_the_score_to_beat_is_that_of_the_network_that_is_kept(recorder, tmp_path):
    """One that was evaluated after the last checkpoint is not replaced by a worse one."""
    recorder.save_checkpoint(SPEC, Counters(), trainer={"online": {}}, totals={}, version=0)
    loaded = CheckpointDirectory(tmp_path / "checkpoints", 2).newest()
    recorder.add_evaluation(evaluation(recorder, 10.0), SPEC)
    again = Recorder(quick_config(), RunDirectory(tmp_path))
    again.count_on(loaded.checkpoint, loaded.training, load_checkpoint(tmp_path / "best.pt"))
    assert again.snapshots == again.metrics.evaluations == 1, "no number stands for two"
    again.add_evaluation(evaluation(again, 5.0), SPEC)
    assert load_checkpoint(tmp_path / "best.pt").evaluation_return == 10.0
    assert again.metrics.best_return == 10.0
    again.add_evaluation(evaluation(again, 11.0), SPEC)
    assert load_checkpoint(tmp_path / "best.pt").evaluation_return == 11.0


def test_no_score_is_written_down_before_its_network_is_kept(tmp_path):
    class Watching(Sink):
        def add_evaluation(self, evaluation):
            self._take(load_checkpoint(tmp_path / "best.pt").evaluation_return)

    watching = Watching()
    recorder = Recorder(quick_config(), RunDirectory(tmp_path), (watching,))
    for value in (1.0, 10.0, 5.0):
        recorder.add_evaluation(evaluation(recorder, value), SPEC)
    assert watching.taken == [1.0, 10.0, 10.0]


def test_a_best_network_that_was_not_saved_is_no_score_to_beat(recorder, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("os.fsync", fail)
        recorder.add_evaluation(evaluation(recorder, 9.0), SPEC)
    recorder.add_evaluation(evaluation(recorder, 8.0), SPEC)
    assert load_checkpoint(tmp_path / "best.pt").evaluation_return == 8.0


def test_a_run_of_its_own_begins_with_the_best_network_that_its_summary_names(recorder, tmp_path):
    recorder.add_evaluation(evaluation(recorder, 4.0), SPEC)
    recorder.save_checkpoint(SPEC, Counters(), trainer={"online": {}}, totals={}, version=0)
    loaded = CheckpointDirectory(tmp_path / "checkpoints", 2).newest()
    other = Recorder(quick_config("run.seed=4"), RunDirectory(tmp_path / "other"))
    other.count_on(loaded.checkpoint, loaded.training, load_checkpoint(tmp_path / "best.pt"))
    assert not any((tmp_path / "other").iterdir()), "nothing is written before training begins"
    with RunClaim(tmp_path / "other") as claim:
        other.begin(claim)
    assert load_checkpoint(tmp_path / "other" / "best.pt").evaluation_return == 4.0
    assert load_config(tmp_path / "other" / "config.toml").run.seed == 4
    assert other.write_summary(Counters(), "x", {})["best_evaluation_return"] == 4.0


def test_what_is_overwritten_goes_when_training_begins(recorder, tmp_path):
    recorder.add_evaluation(evaluation(recorder, 4.0), SPEC)
    with RunClaim(tmp_path, overwrite=True) as claim:
        assert (tmp_path / "best.pt").exists()
        recorder.begin(claim)
    assert not (tmp_path / "best.pt").exists()
    assert (tmp_path / "config.toml").exists()


def test_what_cannot_be_saved_is_said_and_training_goes_on(recorder, sink, monkeypatch, caplog):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    recorder.add_evaluation(evaluation(recorder, 4.0), SPEC)
    recorder.save_checkpoint(SPEC, Counters(), trainer={"online": {}}, totals={}, version=0)
    assert "the best model was not saved" in caplog.text
    assert "no checkpoint was saved" in caplog.text
    assert sink.taken == [0]  # and none is told


def test_who_listens_hears_of_updates_and_of_checkpoints_that_are_there(recorder, sink, tmp_path):
    recorder.note_updates(3)
    counters = Counters(updates=3)
    recorder.save_checkpoint(SPEC, counters, trainer={"online": {}}, totals={}, version=0)
    assert sink.taken == ["3 updates", "update-000000003.pt"]


def test_statistics_of_collectors_are_averaged_over_those_that_have_some(recorder):
    collectors = [
        CollectorStatistics(epsilon=0.0, episode_return_mean=10.0),
        CollectorStatistics(epsilon=0.5),
        CollectorStatistics(),
    ]
    row = recorder.report(Counters(), update=None, collectors=collectors)
    assert (row.epsilon, row.episode_return_mean) == (0.25, 10.0)


# --- how often values are looked at ---------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when a test says so."""
    now = {"s": 50.0}
    monkeypatch.setattr("zdqn.records.metrics.time.monotonic", lambda: now["s"])
    return now


def too_large(q_mean):
    return Update(torch.ones(2), torch.tensor(0.5), {"q_mean": torch.tensor(q_mean)},
                  torch.zeros(()))  # fmt: skip


def test_values_have_the_report_period_to_fall_however_fast_rows_come(clock, tmp_path, caplog):
    config = quick_config("learner.report_period_s=1.0")
    recorder = Recorder(config, RunDirectory(tmp_path))
    for _ in range(8):  # too large as of a new network, and hardly falling yet
        report(recorder, 5, too_large(50.0))
        clock["s"] += 0.1
    assert not caplog.text
    clock["s"] += 0.2
    report(recorder, 9, too_large(50.0))
    assert "q_mean is 50" in caplog.text


def test_the_last_values_are_looked_at_as_the_run_ends(clock, tmp_path, caplog):
    config = quick_config("learner.report_period_s=1.0")
    recorder = Recorder(config, RunDirectory(tmp_path))
    report(recorder, 5, too_large(0.0))
    report(recorder, 400, too_large(1e9))
    assert not caplog.text
    recorder.write_summary(Counters(updates=400), "updates", {})
    assert "after 400 updates q_mean is 1e+09" in caplog.text


def test_a_sink_that_returns_false_ends_training_and_keeps_nothing_from_the_others(tmp_path):
    class Ending(sinks.Sink):
        def __init__(self, method):
            setattr(self, method, lambda _: False)

    tell = {
        "add_metrics": lambda recorder: report(recorder, 7),
        "add_evaluation": lambda recorder: recorder.add_evaluation(evaluation(recorder, 1.0), SPEC),
        "add_updates": lambda recorder: recorder.note_updates(3),
        "add_checkpoint": lambda recorder: recorder.save_checkpoint(
            SPEC, Counters(), trainer={"online": {}}, totals={}, version=0
        ),
    }
    for number, (method, act) in enumerate(tell.items()):
        taking = Sink()
        folder = RunDirectory(tmp_path / str(number))
        recorder = Recorder(quick_config(), folder, (Ending(method), taking))
        assert recorder.told_to_end == ""
        act(recorder)
        assert recorder.told_to_end == "sink"
        assert len(taking.taken) == 1
