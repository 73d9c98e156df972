"""Means over updates: against NumPy's, however many are added up at once."""

import numpy as np
import pytest
import torch

from zdqn.rl.update_means import MeanUpdate, UpdateMeans
from zdqn.rl.update_rule import Update, Updates


def make_updates(count, size=3, **metrics):
    rng = np.random.default_rng(count)
    draw = lambda *shape: torch.tensor(rng.normal(size=shape), dtype=torch.float32)  # noqa: E731
    return [
        Update(draw(size).abs(), draw(), metrics or {"q_mean": draw(), "other": draw()}, draw())
        for _ in range(count)
    ]


def means_of(updates):
    means = UpdateMeans()
    for update in updates:
        means.add([update])
    return means


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 128, 300])
def test_means_are_those_of_all_updates(count):
    updates = make_updates(count)
    expected = (
        np.mean([u.loss.item() for u in updates]),
        np.mean([u.priorities.numpy() for u in updates]),
        np.mean([u.metrics["q_mean"].item() for u in updates]),
        np.mean([u.gradient_norm.item() for u in updates]),
    )
    assert means_of(updates).take() == pytest.approx(expected)


def test_each_update_counts_for_one_mean():
    first, second = make_updates(70), make_updates(3)
    means = means_of(first)
    means.take()
    for update in second:
        means.add([update])
    assert means.take() == means_of(second).take()


def test_without_new_updates_the_last_means_stand():
    means = UpdateMeans()
    assert means.take() == MeanUpdate(None, None, None, None)
    means.add(make_updates(1))
    assert means.take() == means.take() != MeanUpdate()


def test_an_objective_without_values_has_no_mean_of_them():
    means = means_of(make_updates(70, entropy=torch.tensor(1.0))).take()
    assert means.q_mean is None
    assert means.loss is not None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_finite_number_leaves_no_mean(value):
    updates = make_updates(70)
    updates[5] = updates[5]._replace(gradient_norm=torch.tensor(value))
    means = means_of(updates).take()
    assert means.gradient_norm is None
    assert means.loss is not None


def test_a_long_sum_keeps_its_digits():
    update = Update(torch.full((2,), 0.1), torch.tensor(0.1), {}, torch.tensor(3e38))
    means = means_of([update] * 2000).take()
    assert means.loss == means.td_error_mean == pytest.approx(np.float32(0.1), rel=1e-12)
    assert means.gradient_norm == pytest.approx(3e38), "the sum of float32 would be infinite"


def test_updates_of_one_call_and_single_ones_count_alike():
    updates = make_updates(12)

    def stack(part):
        metrics = {"q_mean": torch.stack([u.metrics["q_mean"] for u in part])}
        rows = [(u.priorities, u.loss, u.gradient_norm) for u in part]
        columns = [torch.stack(column) for column in zip(*rows, strict=True)]
        return Updates([Update(columns[0], columns[1], metrics, columns[2])])

    means = UpdateMeans()
    for part in (updates[:3], stack(updates[3:7]), stack(updates[7:9]), updates[9:]):
        means.add(part)
    assert means.take() == pytest.approx(means_of(updates).take())


def test_few_updates_are_kept_whole():
    updates = make_updates(200)
    means = means_of(updates)
    assert len(means._waiting) < 64


@pytest.mark.parametrize("calls", [(1,), (3, 1), (64, 5)])
def test_updates_of_one_call_count_as_each_alone(calls):
    updates = make_updates(sum(calls))
    parts, left = [], list(updates)
    for count in calls:
        made, left = left[:count], left[count:]
        metrics = {name: torch.stack([u.metrics[name] for u in made]) for name in made[0].metrics}
        columns = ([u.priorities for u in made], [u.loss for u in made])
        norms = torch.stack([u.gradient_norm for u in made])
        parts.append(Update(torch.stack(columns[0]), torch.stack(columns[1]), metrics, norms))
    means = UpdateMeans()
    means.add(Updates(parts))
    assert means.take() == pytest.approx(means_of(updates).take())
