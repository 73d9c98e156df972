"""QR-DQN against the sums of the paper's algorithm 1."""

import numpy as np
import pytest
import torch

from tests.rl.masked_targets import check_only_allowed_count
from tests.rl.test_categorical import make_batch, networks
from zdqn.errors import ConfigError
from zdqn.rl.quantiles import QuantileQLearning, Quantiles


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(5)


def huber(error, delta):
    size = abs(error)
    return size**2 / 2 if size <= delta else delta * (size - delta / 2)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize(("quantiles", "delta"), [(1, 1.0), (7, 1.0), (4, 0.3)])
def test_losses_are_those_of_quantile_regression(generator, double, quantiles, delta):
    batch = make_batch(generator, 6, 3)
    online, target = networks(generator, 3, quantiles)
    objective = QuantileQLearning(Quantiles(quantiles), double, delta)
    assessment = objective(batch, online, target)
    following, choosing = target(batch.next_observations), online(batch.next_observations)
    own = online(batch.observations)
    for b in range(6):
        chooser = choosing if double else following
        best = int(np.argmax([np.mean(row.tolist()) for row in chooser[b]]))
        expected = 0.0
        for i in range(quantiles):
            tau = (i + 1 - 0.5) / quantiles
            for j in range(quantiles):
                y = float(batch.rewards[b]) + float(batch.discounts[b]) * float(
                    following[b, best, j]
                )
                error = y - float(own[b, int(batch.actions[b]), i])
                expected += abs(tau - (error < 0)) * huber(error, delta) / quantiles
        assert float(assessment.losses[b]) == pytest.approx(expected, rel=1e-4)
        assert float(assessment.priorities[b]) == float(assessment.losses[b]) >= 0
    q_mean = np.mean([max(np.mean(row.tolist()) for row in rows) for rows in own])
    assert float(assessment.metrics["q_mean"]) == pytest.approx(q_mean, abs=1e-5)


def test_double_lets_the_online_network_choose(generator):
    batch = make_batch(generator, 6, 3)
    pair = networks(generator, 3, 4)
    plain, double = (
        QuantileQLearning(Quantiles(4), each, 1.0)(batch, *pair) for each in (False, True)
    )
    assert not torch.equal(plain.losses, double.losses)


def test_quantiles_come_to_rest_where_their_share_lies_below():
    """Returns 0, 1, ..., 9, each as likely: the quantiles at 1/8, 3/8, 5/8 and 7/8."""
    quantiles = torch.zeros(4, requires_grad=True)
    objective = QuantileQLearning(Quantiles(4), double=False, huber_delta=0.01)
    optimizer = torch.optim.SGD([quantiles], lr=20.0)
    returns = torch.arange(10.0)
    for _ in range(400):
        losses = objective._losses(quantiles.expand(10, 4), returns[:, None].expand(10, 4))
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
    assert quantiles.tolist() == pytest.approx([1, 3, 6, 8], abs=0.3)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="quantiles"):
        Quantiles(0)
    with pytest.raises(ConfigError, match="huber_delta"):
        QuantileQLearning(Quantiles(3), double=False, huber_delta=0.0)


@pytest.mark.parametrize("double", [False, True])
def test_what_is_not_allowed_is_never_the_best(generator, double):
    batch, pair = make_batch(generator, 6, 3), networks(generator, 3, 11)
    check_only_allowed_count(QuantileQLearning(Quantiles(11), double, 1.0), batch, pair)
