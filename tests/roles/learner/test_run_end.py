"""The end of a learner's run, with fakes for all whom it concerns: what comes before what."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from tests.roles.conftest import quick_config
from zdqn.core.agenda import Counters
from zdqn.records.block_accounts import NO_BLOCKS
from zdqn.records.totals import RunTotals
from zdqn.roles.learner import run_end
from zdqn.roles.learner.run_end import RunEnd
from zdqn.stopping import StopEvent
from zdqn.wire.status import MemoryStatistics

TRAINED = Counters(environment_steps=50, updates=5)


class Setting:
    """Everybody whom the end of a run concerns, in one, and what they were told in order."""

    def __init__(self, directory, stop=None, *, come=False, last_return=None):
        self.told = []
        self.clients_left = 0
        self.said_over = ""
        self.told_to_end = ""
        self.unevaluated = 2
        self.totals = RunTotals()
        self.counters = TRAINED
        self.samples = SimpleNamespace(waited_s=1.23456)
        self.metrics = SimpleNamespace(wall_s=3.0, last_return=last_return)
        self.stop_event = stop or threading.Event()
        all_of_them: Any = self
        self.end = RunEnd(
            quick_config(),
            directory,
            recorder=all_of_them,
            model=all_of_them,
            memory=all_of_them,
            board=all_of_them,
            blocks=all_of_them,
            totals=self.totals,
            learner_epoch=4,
            evaluators_come=come,
            stop=self.stop_event,
        )

    # --- of the model server ---

    def finish(self, *, evaluators):
        self.told.append("evaluators may go" if evaluators else "collectors may go")

    def collectors(self):
        return []

    def living(self, role):
        self.clients_left = max(0, self.clients_left - 1)
        return self.clients_left

    # --- of the loop ---

    def report(self):
        self.told.append("row")

    def publish(self, *, stopping):
        self.told.append("last weights" if stopping else "weights")

    def save_checkpoint(self):
        self.told.append("checkpoint")
        self.totals.count(snapshots_dropped=1, waited_for_samples_s=1.23456, actions_served=9)

    def take_evaluations(self):
        self.told.append("evaluations are asked for")

    # --- of memory, board, blocks and recorder ---

    def stop(self):
        self.told.append("memory ends")
        return MemoryStatistics(samples_per_insert=32.0)

    def close(self):
        self.told.append("memory left")

    def enter(self, phase):
        self.told.append(phase)

    def waits_for(self, what):
        assert what == "2 evaluations"

    def overall(self, waited_s, collectors):
        return f"waited {waited_s:.1f} s"

    def look(self):
        return NO_BLOCKS

    def write_summary(self, counters, reason, more):
        self.told.append("summary")
        return {"updates": counters.updates, "stop_reason": reason, **more}


@pytest.fixture
def setting(tmp_path):
    return Setting(tmp_path)


def test_everybody_is_told_before_the_memory_ends_and_the_last_checkpoint_knows_of_it(setting):
    result = setting.end.finish(setting, "evaluation_return")
    assert setting.told == [
        "collectors may go",
        "row",
        "last weights",
        "checkpoint",
        "finishing",
        "evaluators may go",
        "memory ends",
        "memory left",
        "checkpoint",
        "summary",
    ]
    told = ("stop_reason", "updates", "samples_per_insert", "snapshots_dropped",
            "snapshots_unevaluated", "waited_for_samples_s", "actions_served",
            "learner_epoch", "verdict")  # fmt: skip
    assert [result.summary[key] for key in told] == [
        "evaluation_return", 5, 32.0, 1, 2, 1.235, 9, 4, "waited 1.2 s",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("come", "last_return", "waits"), [(True, None, True), (False, None, False), (True, 5.0, False)]
)
def test_evaluators_that_come_are_waited_for_until_one_has_scored(
    tmp_path, come, last_return, waits
):
    setting: Any = Setting(tmp_path, come=come, last_return=last_return)
    looks = iter([0, 0, 1])
    setting.living = lambda role: next(looks, 0)
    setting.end.finish(setting, "evaluation_return")
    assert ("waiting for an evaluator to join" in setting.told) == waits


def test_all_waiting_for_evaluations_has_one_deadline(tmp_path, monkeypatch):
    setting: Any = Setting(tmp_path, come=True)
    patience_s = []

    def take_note(_self, *given):
        patience_s.append(given[-1])
        setting.metrics.wall_s += 20.0

    for name in ("wait_for_the_first_evaluator", "wait"):
        monkeypatch.setattr(f"zdqn.roles.learner.run_end.LastEvaluations.{name}", take_note)
    monkeypatch.setattr("zdqn.roles.learner.run_end.evaluation_deadline_s", lambda _: 100.0)
    setting.end.finish(setting, "updates")
    assert patience_s == [97.0, 77.0]


def test_without_training_there_is_nothing_to_save_and_counters_stay_what_they_were(setting):
    result = setting.end.finish_untrained(Counters(updates=3))
    assert setting.told == ["finishing", "evaluators may go", "memory ends", "memory left",
                            "summary"]  # fmt: skip
    told = ("stop_reason", "updates", "snapshots_dropped", "waited_for_samples_s", "verdict")
    assert [result.summary[key] for key in told] == ["stopped", 3, 0, 0.0, ""]


def test_clients_that_say_goodbye_are_waited_for(setting):
    setting.clients_left = 4
    setting.end.finish_untrained(Counters())
    assert setting.clients_left == 0


def test_clients_that_say_nothing_are_not_waited_for_without_end(setting, monkeypatch):
    monkeypatch.setattr(run_end, "_FAREWELL_S", 0.05)
    setting.clients_left = 10**9
    setting.end.finish_untrained(Counters())
    assert setting.clients_left > 0


def test_the_first_who_asks_gives_the_reason_and_training_stops(setting):
    setting.end.ask("somebody")
    setting.end.ask("somebody else")
    assert setting.stop_event.is_set()
    assert setting.end.finish(setting, "").summary["stop_reason"] == "somebody"


def test_a_limit_is_a_reason_before_all_others(setting):
    setting.end.ask("somebody")
    assert setting.end.finish(setting, "updates").summary["stop_reason"] == "updates"
    assert "evaluations are asked for" in setting.told


def test_who_stops_a_run_waits_for_no_evaluation(setting):
    setting.end.finish(setting, "")
    assert "evaluations are asked for" not in setting.told


def test_whoever_else_has_ended_training_is_named(tmp_path):
    event = StopEvent()
    setting = Setting(tmp_path, event)
    setting.told_to_end = "sink"
    assert setting.end.finish_untrained(Counters()).summary["stop_reason"] == "sink"
    event.set_for("SIGTERM")
    assert setting.end.finish_untrained(Counters()).summary["stop_reason"] == "SIGTERM"
    setting.said_over = "the memory was asked to stop"
    assert setting.end.finish_untrained(Counters()).summary["stop_reason"] == setting.said_over
