"""Puts together what is heard, with a clock that stands still until it is moved."""

import json
from typing import Any

import pytest

from tests.launch.views import PLAN, collector, evaluator, status
from zdqn.launch.run_watch import RunWatch
from zdqn.records.run_files import RunFiles
from zdqn.wire.status import LearnerStatus, MemoryOfLearner, MemoryStatus


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(clock, tmp_path):
    return RunWatch(PLAN, tmp_path, clock=clock)


def told(*rows, phase="training", **progress):
    values = status(phase, **progress).to_wire()
    return LearnerStatus.read(values | {"clients": list(rows)})


def test_nothing_is_known_at_first(watch, clock):
    clock.now_s += 2
    view = watch.view()
    assert (view.learner, view.memory, view.members) == (None, None, ())
    assert view.watched_s == view.silent_s == 2


def test_rates_are_by_the_collectors_own_clock(watch, clock):
    watch.take_learner(told(collector(0, environment_steps=1_000, collecting_s=2.0, blocked_s=1)))
    assert watch.view().rates["steps of collector-0"] == 500
    clock.now_s += 50
    watch.take_learner(told(collector(0, environment_steps=2_000, collecting_s=4.0, blocked_s=1)))
    rates = watch.view().rates
    assert rates["steps of collector-0"] == 500
    assert rates["blocked of collector-0"] == 0.25


def test_until_there_are_two_looks_the_learners_own_rate_counts(watch):
    watch.take_learner(told(updates_per_s=7.0, wall_s=10.0, updates=100))
    assert watch.view().rates["updates"] == 7
    watch.take_learner(told(updates_per_s=7.0, wall_s=20.0, updates=400))
    assert watch.view().rates["updates"] == 30


def test_the_memory_is_known_from_itself_before_and_from_the_learner_after(watch):
    watch.take_memory(MemoryStatus(size=5, clients=[collector(0), {"role": "learner"}]))
    assert watch.view().memory.size == 5
    assert [member.name for member in watch.view().members] == ["collector-0"]
    learner = told(evaluator())
    learner = LearnerStatus.read(
        learner.to_wire() | {"memory": MemoryOfLearner(address="tcp://m:1", size=9)}
    )
    watch.take_learner(learner)
    assert watch.view().memory.size == 9
    assert [member.name for member in watch.view().members] == ["evaluator-0"]
    watch.take_memory(MemoryStatus(size=11))
    assert watch.view().memory.size == 11


def test_files_of_a_run_that_will_be_replaced_are_not_read(watch, clock, tmp_path):
    row = {"environment_steps": 7, "episode_return_mean": 20.0}
    RunFiles(tmp_path).metrics.write_text(json.dumps(row) + "\n")
    watch.take_learner(told(phase="building the network"))
    assert watch.view().history.returns == ()
    clock.now_s += 1
    watch.take_learner(told())
    assert watch.view().history.returns == ((7, 20.0),)


def test_the_first_reason_to_end_counts(watch):
    watch.end("SIGINT")
    watch.end("another")
    assert watch.view().ending == "SIGINT"


def test_a_run_on_another_machine_has_no_files(clock):
    watch = RunWatch(PLAN, None, clock=clock)
    watch.take_learner(told())
    assert watch.view().directory == ""


def test_how_often_the_limiter_held_collectors_back(watch):
    rates: Any = {}
    for wall_s, holding_s in ((10.0, 2.0), (20.0, 7.0)):
        memory = MemoryOfLearner(address="tcp://m:1", holding_inserts_back_s=holding_s)
        values = told(wall_s=wall_s).to_wire() | {"memory": memory}
        watch.take_learner(LearnerStatus.read(values))
        rates = watch.view().rates
    assert rates["holding back"] == 0.5


def test_of_a_run_elsewhere_curves_begin_when_somebody_looks(clock):
    watch = RunWatch(PLAN, None, clock=clock)
    for steps, score in ((100, None), (200, 7.0), (300, 7.0), (400, 9.0)):
        watch.take_learner(
            told(
                environment_steps=steps, episode_return_mean=steps / 10,
                last_evaluation_return=score,
            )
        )  # fmt: skip
    history = watch.view().history
    assert list(history.returns) == [(100, 10), (200, 20), (300, 30), (400, 40)]
    assert list(history.scores) == [(200, 7), (400, 9)]
