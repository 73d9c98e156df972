"""The end of a run's evaluations, with fakes for all who take part."""

import itertools
import math
import threading
import time

import pytest

from tests.roles.conftest import quick_config
from zdqn.roles.learner.last_evaluations import LastEvaluations


class Setting:
    """Evaluators, snapshots and board in one; each look brings a result until somebody dies."""

    def __init__(self, *, unevaluated=2, living=1, results=10, best=False):
        self.best = best
        self.best_is_scored_again = False
        self.unevaluated = unevaluated
        self.alive = living
        self.results = results
        self.offered = []
        self.said = []
        self.stop = threading.Event()

    def living(self, role):
        assert role == "evaluator"
        return self.alive

    def offer_last_snapshot(self, limit):
        self.offered.append(limit)
        self.unevaluated += 1

    def offer_best(self):
        if self.best:
            self.unevaluated += 1
            self.offered.append("best")
        return self.best

    def take_evaluations(self):
        if self.results and self.unevaluated == 1 and "best" in self.offered:
            self.best_is_scored_again = True
        if self.results and self.unevaluated:
            self.results -= 1
            self.unevaluated -= 1
        elif self.unevaluated:
            self.alive = 0

    def enter(self, phase):
        self.said.append(phase)

    def waits_for(self, what):
        self.said.append(what)

    def wait(self, limit="updates", patience_s=math.inf, clock=time.monotonic):
        config = quick_config("links.dead_after_s=2.5")
        last = LastEvaluations(config, self, self, self.stop, clock=clock)
        last.wait(self, limit, patience_s)


def test_the_clock_ends_the_wait_with_a_word_though_an_evaluator_lives(caplog):
    class Slow(Setting):
        def take_evaluations(self):
            pass

    setting = Slow()
    times = itertools.count(0.0, 1.0)
    setting.wait(patience_s=3, clock=lambda: next(times))
    assert setting.unevaluated == 3
    assert "3 snapshots stay without a score: stop.wall_s is over" in caplog.text
    assert "a tenth of it, at least links.dead_after_s, more" in caplog.text


def first_evaluator(setting, patience_s=math.inf, clock=time.monotonic):
    last = LastEvaluations(quick_config(), setting, setting, setting.stop, clock=clock)
    last.wait_for_the_first_evaluator(patience_s)


def test_an_evaluator_that_is_on_its_way_is_waited_for():
    class Late(Setting):
        looks = 0

        def living(self, role):
            self.looks += 1
            return self.looks > 4

    setting = Late()
    first_evaluator(setting)
    assert setting.looks == 5
    assert setting.said == ["waiting for an evaluator to join"]
    first_evaluator(setting)
    assert len(setting.said) == 1  # nobody is waited for where one lives


@pytest.mark.parametrize(("patience_s", "waited_s"), [(3, 3), (math.inf, 60)])
def test_an_evaluator_that_does_not_come_is_waited_for_no_longer_than_a_start_may_take(
    monkeypatch, patience_s, waited_s
):
    monkeypatch.setattr("zdqn.roles.learner.last_evaluations._POLL_S", 0)
    times = itertools.count(0.0, 1.0)
    first_evaluator(Setting(living=0), patience_s, lambda: next(times))
    assert next(times) == waited_s + 1
    asked = Setting(living=0)
    asked.stop.set()
    first_evaluator(asked)  # whoever asks to stop is not kept waiting


def test_what_is_due_is_waited_for_and_the_final_weights_too(caplog):
    setting = Setting()
    setting.wait()
    assert (setting.offered, setting.unevaluated) == (["updates"], 0)
    assert setting.said == ["waiting for evaluations", "2 evaluations", "1 evaluation"]
    assert caplog.text == ""


@pytest.mark.parametrize(("results", "left"), [(2, "1 snapshot stays"), (0, "3 snapshots stay")])
def test_an_evaluator_that_falls_silent_costs_its_evaluations_with_a_word(caplog, results, left):
    setting = Setting(results=results)
    setting.wait()
    assert f"{left} without a score" in caplog.text
    assert "links.dead_after_s = 2.5 s" in caplog.text


def test_without_an_evaluator_what_waits_is_said_and_nothing_more_is_offered(caplog):
    setting = Setting(living=0, results=0)
    setting.wait()
    assert setting.offered == []
    assert "2 snapshots stay without a score" in caplog.text


def test_where_nothing_waits_nothing_is_said(caplog):
    Setting(living=0, unevaluated=0).wait()
    assert caplog.text == ""


def test_whoever_asks_to_stop_is_not_kept_waiting(caplog):
    setting = Setting(results=0)
    setting.stop.set()
    setting.alive = 1
    setting.wait()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("limit", "offered"), [("updates", ["updates", "best"]), ("evaluation_return", ["best"])]
)
def test_the_best_network_is_scored_again_after_all_that_is_waited_for(caplog, limit, offered):
    setting = Setting(unevaluated=0, best=True)
    setting.wait(limit)
    assert setting.offered == offered
    assert setting.best_is_scored_again
    assert caplog.text == ""


def test_an_evaluator_that_dies_over_the_best_network_is_said(caplog):
    setting = Setting(unevaluated=0, results=1, best=True)
    setting.wait()
    assert not setting.best_is_scored_again
    assert "the best network was not scored again" in caplog.text
