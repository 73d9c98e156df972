import pytest
import torch

from zdqn.core.agenda import Counters
from zdqn.data import EvaluationScores
from zdqn.records.metrics import Metrics
from zdqn.records.snapshots import Evaluation, FrozenSnapshot
from zdqn.rl.update_rule import Update


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when a test says so."""
    now = {"s": 50.0}
    monkeypatch.setattr("zdqn.records.metrics.time.monotonic", lambda: now["s"])
    return now


def evaluate(metrics, value):
    snapshot = FrozenSnapshot(0, 1, 0, 0, 0, 0.0, {})
    return metrics.add_evaluation(Evaluation(snapshot, EvaluationScores((value,), (1,)), "e", 0.0))


def row(metrics, counters, *updates):
    for update in updates:
        metrics.updates.add([update])
    return metrics.row(counters, collectors=())


def test_rates_are_those_since_the_row_before(clock):
    metrics = Metrics()
    clock["s"] += 2
    first = row(metrics, Counters(environment_steps=100, updates=10))
    assert (first.environment_steps_per_s, first.updates_per_s) == (50.0, 5.0)
    clock["s"] += 1
    second = row(metrics, Counters(environment_steps=130, updates=10))
    assert (second.environment_steps_per_s, second.updates_per_s) == (30.0, 0.0)
    assert second.wall_s == 3.0


def test_the_summarys_rates_are_those_of_this_start(clock):
    earlier = Metrics()
    clock["s"] += 10
    evaluate(earlier, 3.0)
    state = earlier.state_dict()
    metrics = Metrics()
    metrics.load_state_dict(state, Counters(environment_steps=1_000, updates=100), 3.0)
    clock["s"] += 4
    summary = metrics.summary(Counters(environment_steps=1_200, updates=120), "updates")
    assert (summary["wall_s"], summary["environment_steps_per_s"]) == (14.0, 50.0)
    assert summary["updates_per_s"] == 5.0
    assert (summary["best_evaluation_return"], summary["evaluations"]) == (3.0, 1)


def test_the_best_evaluation_is_the_highest_also_below_zero():
    metrics = Metrics()
    assert [evaluate(metrics, value) for value in (-5.0, -7.0, -5.0, -1.0)] == [
        True, False, False, True,
    ]  # fmt: skip
    assert (metrics.best_return, metrics.last_return, metrics.evaluations) == (-1.0, -1.0, 4)


def seen(error, loss, q_mean, norm):
    metrics = {"q_mean": torch.tensor(q_mean)}
    return Update(torch.tensor([error, 3.0]), torch.tensor(loss), metrics, torch.tensor(norm))


def test_a_row_shows_an_update(clock):
    written = row(Metrics(), Counters(updates=1), seen(1.0, 0.5, 2.0, float("inf")))
    assert (written.loss, written.td_error_mean, written.q_mean) == (0.5, 2.0, 2.0)
    assert written.gradient_norm is None, "what is no finite number is none"


def test_a_row_shows_the_mean_of_the_updates_since_the_row_before(clock):
    metrics = Metrics()
    row(metrics, Counters(updates=1), seen(1.0, 0.5, 2.0, 9.0))
    written = row(metrics, Counters(updates=3), seen(1.0, 1.0, 4.0, 1.0), seen(3.0, 2.0, 5.0, 2.0))
    assert (written.loss, written.td_error_mean) == (1.5, 2.5)
    assert (written.q_mean, written.gradient_norm) == (4.5, 1.5)
    again = row(metrics, Counters(updates=3))
    assert (again.loss, again.gradient_norm) == (1.5, 1.5), "there were none since"


def test_before_the_first_update_there_is_none_to_show():
    written = row(Metrics(), Counters())
    assert (written.loss, written.td_error_mean, written.q_mean) == (None, None, None)
