"""C51 against the loops of the paper's algorithm 1."""

import math

import numpy as np
import pytest
import torch

from tests.rl.masked_targets import check_only_allowed_count
from zdqn.errors import ConfigError
from zdqn.rl.categorical import Categorical, CategoricalQLearning
from zdqn.rl.training_batch import TrainingBatch

ATOMS = Categorical(11, -2.0, 3.0)


def softmax(numbers):
    exponentials = [math.exp(number - max(numbers)) for number in numbers]
    return [each / sum(exponentials) for each in exponentials]


def project(probabilities, reward, discount, atoms):
    """Algorithm 1, line by line."""
    step = (atoms.v_max - atoms.v_min) / (atoms.atoms - 1)
    shares = [0.0] * atoms.atoms
    for j, probability in enumerate(probabilities):
        moved = reward + discount * (atoms.v_min + j * step)
        b = (min(max(moved, atoms.v_min), atoms.v_max) - atoms.v_min) / step
        lower, upper = math.floor(b), math.ceil(b)
        if lower == upper:
            shares[lower] += probability
        else:
            shares[lower] += probability * (upper - b)
            shares[upper] += probability * (b - lower)
    return shares


def mean(logits, atoms):
    step = (atoms.v_max - atoms.v_min) / (atoms.atoms - 1)
    return sum(p * (atoms.v_min + i * step) for i, p in enumerate(softmax(logits)))


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


def make_batch(generator, size, actions):
    return TrainingBatch(
        observations=torch.randn((size, 2), generator=generator),
        actions=torch.randint(actions, (size,), generator=generator),
        rewards=2 * torch.randn(size, generator=generator),
        discounts=torch.tensor([0.0, 0.9, 1.0, 0.5] * size)[:size],
        next_observations=torch.randn((size, 2), generator=generator),
        importance_weights=None,
    )


def networks(generator, actions, numbers):
    """Give two linear maps from observations (B, 2) to (B, actions, numbers)."""
    weights = torch.randn((2, 2, actions * numbers), generator=generator)

    def online(x):
        return (x @ weights[0]).unflatten(1, (actions, numbers))

    def target(x):
        return (x @ weights[1]).unflatten(1, (actions, numbers))

    return online, target


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("actions", [1, 3])
def test_losses_are_the_cross_entropies_of_algorithm_1(generator, double, actions):
    batch = make_batch(generator, 6, actions)
    online, target = networks(generator, actions, ATOMS.atoms)
    assessment = CategoricalQLearning(ATOMS, double)(batch, online, target)
    following, choosing = target(batch.next_observations), online(batch.next_observations)
    logits = online(batch.observations)
    for b in range(6):
        chooser = choosing if double else following
        best = int(np.argmax([mean(row.tolist(), ATOMS) for row in chooser[b]]))
        wanted = project(
            softmax(following[b, best].tolist()),
            float(batch.rewards[b]),
            float(batch.discounts[b]),
            ATOMS,
        )
        given = softmax(logits[b, int(batch.actions[b])].tolist())
        expected = -sum(m * math.log(p) for m, p in zip(wanted, given, strict=True))
        assert float(assessment.losses[b]) == pytest.approx(expected, rel=1e-4)
        assert float(assessment.priorities[b]) == float(assessment.losses[b]) >= 0
    q_mean = np.mean([max(mean(row.tolist(), ATOMS) for row in rows) for rows in logits])
    assert float(assessment.metrics["q_mean"]) == pytest.approx(q_mean, abs=1e-5)


def test_double_lets_the_online_network_choose(generator):
    batch = make_batch(generator, 6, 3)
    pair = networks(generator, 3, ATOMS.atoms)
    plain, double = (CategoricalQLearning(ATOMS, each)(batch, *pair) for each in (False, True))
    assert not torch.equal(plain.losses, double.losses)


def test_the_projection_is_that_of_the_paper(generator):
    probabilities = torch.rand((6, 11), generator=generator)
    probabilities /= probabilities.sum(1, keepdim=True)
    rewards = torch.tensor([0.0, 0.3, -9.0, 9.0, 1.25, -0.5])
    discounts = torch.tensor([1.0, 0.9, 0.5, 0.5, 0.0, 0.99])
    found = ATOMS.project(probabilities, rewards, discounts)
    for b in range(6):
        expected = project(probabilities[b].tolist(), float(rewards[b]), float(discounts[b]), ATOMS)
        assert found[b].tolist() == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(found.sum(1), torch.ones(6))


def test_a_terminated_transition_is_certain_of_its_reward():
    probabilities = torch.full((2, 11), 1 / 11)
    found = ATOMS.project(probabilities, torch.tensor([0.5, 0.75]), torch.zeros(2))
    assert found[0].tolist() == pytest.approx([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0], abs=1e-6)
    assert found[1].tolist() == pytest.approx([0, 0, 0, 0, 0, 0.5, 0.5, 0, 0, 0, 0], abs=1e-6)


def test_the_value_of_an_action_is_its_mean():
    certain = torch.full((1, 2, 11), -100.0)
    certain[0, 0, 0] = certain[0, 1, 10] = 100.0
    assert ATOMS.expectation(certain).tolist() == [[-2.0, 3.0]]


def test_no_gradient_reaches_the_target(generator):
    batch = make_batch(generator, 4, 2)
    weight = torch.randn((2, 22), generator=generator, requires_grad=True)

    def network(x):
        return (x @ weight).unflatten(1, (2, 11))

    losses = CategoricalQLearning(ATOMS, double=True)(batch, network, network).losses
    (both,) = torch.autograd.grad(losses.mean(), weight)
    fixed = weight.detach()

    def target(x):
        return (x @ fixed).unflatten(1, (2, 11))

    losses = CategoricalQLearning(ATOMS, double=True)(batch, network, target).losses
    (one,) = torch.autograd.grad(losses.mean(), weight)
    torch.testing.assert_close(both, one)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [((1, 0.0, 1.0), "atoms"), ((5, 1.0, 1.0), r"v_max.*above v_min \(1\)")],
)
def test_numbers_out_of_range_are_refused(numbers, words):
    with pytest.raises(ConfigError, match=words):
        Categorical(*numbers)


@pytest.mark.parametrize("double", [False, True])
def test_what_is_not_allowed_is_never_the_best(generator, double):
    batch, pair = make_batch(generator, 6, 3), networks(generator, 3, 11)
    check_only_allowed_count(CategoricalQLearning(ATOMS, double), batch, pair)
