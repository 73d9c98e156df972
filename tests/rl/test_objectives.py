import math

import pytest
import torch
from torch import Tensor

from zdqn.errors import ConfigError
from zdqn.rl.objectives import (
    QLearning,
    double_q_targets,
    huber,
    q_learning_targets,
    squared,
    td_errors,
    weighted_mean,
)
from zdqn.rl.training_batch import TrainingBatch


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def sample(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator)


@pytest.mark.parametrize(("batch_size", "num_actions"), [(1, 1), (1, 4), (5, 2), (32, 6)])
def test_q_learning_targets_are_those_of_mnih_2015(
    generator: torch.Generator, batch_size: int, num_actions: int
) -> None:
    rewards, discounts = sample(generator, batch_size), sample(generator, batch_size).abs()
    next_q = sample(generator, batch_size, num_actions)
    expected = []
    for j in range(batch_size):
        best = max(float(next_q[j, a]) for a in range(num_actions))
        expected.append(float(rewards[j]) + float(discounts[j]) * best)
    found = q_learning_targets(rewards, discounts, next_q)
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("batch_size", "num_actions"), [(1, 1), (1, 4), (5, 2), (32, 6)])
def test_double_q_targets_are_those_of_van_hasselt_2016(
    generator: torch.Generator, batch_size: int, num_actions: int
) -> None:
    rewards, discounts = sample(generator, batch_size), sample(generator, batch_size).abs()
    online = sample(generator, batch_size, num_actions)
    target = sample(generator, batch_size, num_actions)
    expected = []
    for j in range(batch_size):
        chosen = max(range(num_actions), key=lambda a: float(online[j, a]))
        expected.append(float(rewards[j]) + float(discounts[j]) * float(target[j, chosen]))
    found = double_q_targets(rewards, discounts, online, target)
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_a_terminated_transition_has_its_reward_as_target() -> None:
    rewards, discounts = torch.tensor([3.0, -1.0]), torch.zeros(2)
    values = torch.full((2, 3), 1e6)
    assert q_learning_targets(rewards, discounts, values).tolist() == [3.0, -1.0]
    assert double_q_targets(rewards, discounts, values, values).tolist() == [3.0, -1.0]


def test_targets_carry_no_gradient(generator: torch.Generator) -> None:
    values = sample(generator, 2, 3).requires_grad_()
    assert not q_learning_targets(torch.ones(2), torch.ones(2), values).requires_grad
    assert not double_q_targets(torch.ones(2), torch.ones(2), values, values).requires_grad


def test_td_errors_are_target_minus_value_of_the_action_taken(generator: torch.Generator) -> None:
    q_values, targets = sample(generator, 4, 3), sample(generator, 4)
    actions = torch.tensor([0, 2, 1, 2])
    expected = [float(targets[j]) - float(q_values[j, int(actions[j])]) for j in range(4)]
    assert td_errors(q_values, actions, targets).tolist() == pytest.approx(expected)


def test_a_td_error_moves_only_the_value_of_the_action_taken() -> None:
    q_values = torch.zeros(1, 3, requires_grad=True)
    td_errors(q_values, torch.tensor([1]), torch.tensor([5.0])).sum().backward()
    assert q_values.grad is not None
    assert q_values.grad.tolist() == [[0.0, -1.0, 0.0]]


@pytest.mark.parametrize("delta", [0.1, 1.0, 2.5])
@pytest.mark.parametrize("error", [0.0, 0.05, -0.1, 1.0, -1.0, 2.5, -7.0, 1e4])
def test_huber_is_quadratic_up_to_delta_and_linear_beyond(error: float, delta: float) -> None:
    size = abs(error)
    expected = 0.5 * error**2 if size <= delta else delta * (size - 0.5 * delta)
    errors = torch.tensor([error], requires_grad=True)
    loss = huber(errors, delta)
    loss.sum().backward()
    assert loss.item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert errors.grad is not None
    slope = math.copysign(min(size, delta), error) if error else 0.0
    assert errors.grad.item() == pytest.approx(slope, rel=1e-6)


def test_squared_has_the_error_as_its_slope() -> None:
    errors = torch.tensor([3.0, -2.0, 0.0], requires_grad=True)
    losses = squared(errors)
    losses.sum().backward()
    assert losses.tolist() == [4.5, 2.0, 0.0]
    assert errors.grad is not None
    assert errors.grad.tolist() == [3.0, -2.0, 0.0]


def test_weighted_mean_is_that_of_schaul_2016(generator: torch.Generator) -> None:
    losses, weights = sample(generator, 5).abs(), torch.rand(5, generator=generator)
    expected = sum(float(weights[j]) * float(losses[j]) for j in range(5)) / 5
    assert weighted_mean(losses, weights).item() == pytest.approx(expected)


def test_weights_of_one_and_no_weights_agree() -> None:
    losses = torch.tensor([1.0, 2.0, 6.0])
    assert weighted_mean(losses, None).item() == weighted_mean(losses, torch.ones(3)).item() == 3.0


BATCH, TABLE = torch.ones(3), torch.ones(3, 4)


@pytest.mark.parametrize(
    ("call", "shapes"),
    [
        (
            lambda: q_learning_targets(BATCH, BATCH, torch.ones(2, 4)),
            ["rewards (3,)", "discounts (3,)", "next_q_target (2, 4)"],
        ),
        (
            lambda: q_learning_targets(torch.ones(3, 1), BATCH, TABLE),
            ["rewards (3, 1)", "discounts (3,)", "next_q_target (3, 4)"],
        ),
        (
            lambda: q_learning_targets(BATCH, BATCH, BATCH),
            ["next_q_target (3,)"],
        ),
        (
            lambda: double_q_targets(BATCH, torch.ones(1), TABLE, TABLE),
            ["rewards (3,)", "discounts (1,)", "next_q_online (3, 4)", "next_q_target (3, 4)"],
        ),
        (
            lambda: double_q_targets(BATCH, BATCH, TABLE, torch.ones(3, 2)),
            ["next_q_online (3, 4)", "next_q_target (3, 2)"],
        ),
        (
            lambda: td_errors(torch.ones(3, 2), torch.ones(3, 1).long(), BATCH),
            ["q_values (3, 2)", "actions (3, 1)", "targets (3,)"],
        ),
        (
            lambda: weighted_mean(BATCH, torch.ones(3, 1)),
            ["losses (3,)", "importance_weights (3, 1)"],
        ),
    ],
)
def test_shapes_that_would_broadcast_are_refused_by_name(call, shapes) -> None:
    with pytest.raises(ValueError, match="do not fit together") as caught:
        call()
    for shape in shapes:
        assert shape in str(caught.value)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("loss", ["huber", "squared"])
@pytest.mark.parametrize("double", [False, True])
def test_q_learning_says_how_wrong_the_online_network_is(
    generator: torch.Generator, double: bool, loss: str, masked: bool
) -> None:
    batch = TrainingBatch(
        observations=sample(generator, 5, 3),
        actions=torch.tensor([0, 2, 1, 0, 2]),
        rewards=sample(generator, 5),
        discounts=torch.tensor([0.9, 0.0, 0.5, 0.9, 0.9]),
        next_observations=sample(generator, 5, 3),
        importance_weights=torch.full((5,), 0.1),  # not its business
    )
    allowed = next_allowed = torch.ones(5, 3, dtype=torch.bool)
    if masked:  # nothing after the second, which terminated
        allowed = torch.tensor([[1, 1, 0], [0, 0, 1], [0, 1, 1], [1, 0, 0], [1, 1, 1]]).bool()
        next_allowed = torch.tensor([[0, 1, 0], [0, 0, 0], [1, 0, 1], [1, 1, 0], [0, 0, 1]]).bool()
        batch = batch._replace(allowed=allowed, next_allowed=next_allowed)
    weights = sample(generator, 3, 3).requires_grad_()
    target_weights = sample(generator, 3, 3)

    def online(observations: Tensor) -> Tensor:
        return observations @ weights

    def target(observations: Tensor) -> Tensor:
        return observations @ target_weights

    assessment = QLearning(double, loss, 0.4)(batch, online, target)
    values = online(batch.observations).detach()
    next_online = online(batch.next_observations).detach()
    next_target = target(batch.next_observations)
    losses, sizes, ys = [], [], []
    for j in range(5):
        judge = next_online if double else next_target
        possible = [a for a in range(3) if next_allowed[j, a]] or [0]
        best = max(possible, key=lambda a: float(judge[j, a]))
        y = float(batch.rewards[j]) + float(batch.discounts[j]) * float(next_target[j, best])
        size = abs(y - float(values[j, int(batch.actions[j])]))
        quadratic = loss == "squared" or size <= 0.4
        losses.append(0.5 * size**2 if quadratic else 0.4 * (size - 0.2))
        sizes.append(size)
        ys.append(y)
    assert assessment.losses.tolist() == pytest.approx(losses, rel=1e-4, abs=1e-6)
    assert assessment.priorities.tolist() == pytest.approx(sizes, rel=1e-4, abs=1e-6)
    assert list(assessment.metrics) == ["q_mean"]
    best_values = sum(max(values[j][allowed[j]].tolist()) for j in range(5))
    assert assessment.metrics["q_mean"].item() == pytest.approx(best_values / 5)
    assert not assessment.priorities.requires_grad
    assert not assessment.metrics["q_mean"].requires_grad

    # The target is held fixed: what moves is Q(s, a) alone, by the slope of the loss.
    (gradient,) = torch.autograd.grad(assessment.losses.sum(), weights)
    expected = torch.zeros(3, 3)
    for j in range(5):
        action = int(batch.actions[j])
        slope = sizes[j] if loss == "squared" else min(sizes[j], 0.4)
        sign = 1.0 if values[j, action] > ys[j] else -1.0
        expected[:, action] += sign * slope * batch.observations[j]
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("double", [False, True])
def test_a_mask_changes_targets_and_one_of_everything_does_not(double: bool) -> None:
    table = torch.tensor([[1.0, 4.0, 2.0]])
    batch = TrainingBatch(
        observations=torch.ones(1, 1),
        actions=torch.tensor([0]),
        rewards=torch.zeros(1),
        discounts=torch.ones(1),
        next_observations=torch.ones(1, 1),
        importance_weights=None,
    )

    def priority(*mask: bool) -> float:
        masks = torch.tensor([mask or (True, True, True)])
        given = batch._replace(allowed=torch.ones_like(masks), next_allowed=masks)
        assess = QLearning(double, "squared", 1.0)
        return assess(given, lambda x: x @ table, lambda x: x @ table).priorities.item()

    assess = QLearning(double, "squared", 1.0)
    plain = assess(batch, lambda x: x @ table, lambda x: x @ table).priorities.item()
    assert priority() == plain == 3.0
    assert priority(True, False, True) == 1.0
    assert priority(True, False, False) == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((True, "hubber", 1.0), 'loss = "hubber".*"huber"'),
        ((True, "huber", 0.0), "huber_delta = 0.0"),
        ((True, "huber", math.nan), "huber_delta"),
    ],
)
def test_an_objective_that_cannot_be_is_named(
    options: tuple[bool, str, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        QLearning(*options)
