"""A distributional head is one new file: categorical DQN, with nothing but the public seams.

Reference:
    Bellemare et al. 2017, arXiv:1707.06887, algorithm 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zdqn.core.trainer import Trainer
from zdqn.data import Batch, EnvironmentSpec
from zdqn.rl.adam import AdamSettings
from zdqn.rl.networks import build_network
from zdqn.rl.objectives import Assessment, Forward
from zdqn.rl.torch_policy import TorchPolicy
from zdqn.rl.training_batch import TrainingBatch

SPEC = EnvironmentSpec((3,), "float32", 2)
ATOMS = torch.linspace(-2.0, 2.0, 41)


class CategoricalNetwork(nn.Module):
    """Gives log-probabilities of returns, shape (B, num_actions, atoms)."""

    def __init__(self, spec: EnvironmentSpec) -> None:
        super().__init__()
        self.num_actions = spec.num_actions
        self.hidden = nn.Linear(spec.observation_shape[0], 32)
        self.head = nn.Linear(32, spec.num_actions * len(ATOMS))

    def forward(self, observations: Tensor) -> Tensor:
        numbers: Tensor = self.head(self.hidden(observations).relu())
        return numbers.reshape(-1, self.num_actions, len(ATOMS)).log_softmax(2)

    def q_values(self, observations: Tensor) -> Tensor:
        probabilities: Tensor = self(observations).exp()
        return probabilities @ ATOMS


class Categorical:
    """The cross entropy between the return's distribution and the one that the target gives."""

    def __call__(self, batch: TrainingBatch, online: Forward, target: Forward) -> Assessment:
        rows = torch.arange(len(batch.actions))
        with torch.no_grad():
            following = target(batch.next_observations).exp()
            best = (following @ ATOMS).argmax(1)
            wanted = self.project(following[rows, best], batch.rewards, batch.discounts)
        logarithms = online(batch.observations)
        losses = -(wanted * logarithms[rows, batch.actions]).sum(1)
        q_mean = (logarithms.detach().exp() @ ATOMS).amax(1).mean()
        return Assessment(losses, losses.detach(), {"q_mean": q_mean})

    @staticmethod
    def project(probabilities: Tensor, rewards: Tensor, discounts: Tensor) -> Tensor:
        """Move atoms to `r + discount z`, and share each among its neighbours; (B, atoms)."""
        step = ATOMS[1] - ATOMS[0]
        moved = (rewards[:, None] + discounts[:, None] * ATOMS).clamp(ATOMS[0], ATOMS[-1])
        distances = (moved[:, :, None] - ATOMS).abs() / step
        return (probabilities[:, :, None] * (1 - distances).clamp(min=0)).sum(1)


def make_trainer(compile: bool = False) -> Trainer:  # noqa: A002
    network = build_network(
        SPEC,
        kind=CategoricalNetwork,
        hidden=(),
        activation="relu",
        initialization="default",
        dueling=False,
        seed=0,
    )
    return Trainer(
        network,
        Categorical(),
        AdamSettings(learning_rate=0.01, beta1=0.9, beta2=0.999, eps=1e-8),
        max_gradient_norm=10.0,
        target_network="hard",
        target_update_period_updates=10,
        target_update_rate=1.0,
        device="cpu",
        compile=compile,
    )


def make_batch() -> Batch:
    """Three states, two actions: state 0 leads on to state 1 or 2 for nothing, those end."""
    states = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2, 2]]
    successors = np.eye(3, dtype=np.float32)[[1, 2, 0, 0, 0, 0]]
    return Batch(
        observations=states,
        actions=np.array([0, 1, 0, 1, 0, 1]),
        rewards=np.array([0.0, 0.0, 1.0, -1.0, 0.5, 1.6], np.float32),
        discounts=np.array([0.5, 0.5, 0.0, 0.0, 0.0, 0.0], np.float32),
        next_observations=successors,
        keys=np.arange(6),
        probabilities=np.full(6, 1 / 6),
        weight_versions=np.zeros(6, np.int64),
    )


VALUES = [[0.5, 0.8], [1.0, -1.0], [0.5, 1.6]]
"""Of the states and actions, by hand: half of the best of the next, or the reward."""


def learn(trainer: Trainer, updates: int = 300) -> tuple[NDArray[Any], Any, Any]:
    """Train on all transitions; give the policy's action values, the first and the last update."""
    (batch,) = trainer.prepare(make_batch(), 6, np.full(6, 0.5))
    first = last = trainer.update(batch)
    for _ in range(updates - 1):
        last = trainer.update(batch)
    return TorchPolicy(trainer.online).q_values(np.eye(3, dtype=np.float32)), first, last


def test_a_categorical_head_learns_and_is_acted_with() -> None:
    trainer = make_trainer()
    values, first, last = learn(trainer)
    np.testing.assert_allclose(values, VALUES, atol=0.05)
    assert trainer.updates == 300
    assert last.priorities.shape == (6,)
    assert float(last.loss) < 0.1 * float(first.loss)
    assert float(last.metrics["q_mean"]) == pytest.approx(
        (2 * 0.8 + 2 * 1.0 + 2 * 1.6) / 6, abs=0.1
    )
    policy = TorchPolicy(trainer.online)
    assert policy.greedy_actions(np.eye(3, dtype=np.float32)).tolist() == [1, 0, 1]

    # It is the expectation that is acted on, not whatever the forward pass gives first.
    with torch.no_grad():
        forward = trainer.online(torch.eye(3))
    assert forward.shape == (3, 2, 41)
    torch.testing.assert_close(torch.from_numpy(values), forward.exp() @ ATOMS)


def test_it_goes_on_from_a_state_like_any_other() -> None:
    trainer, other = make_trainer(), make_trainer()
    learn(trainer, 20)
    other.load_state_dict(trainer.state_dict())
    for each in (trainer, other):
        learn(each, 5)
    for name, array in trainer.weights().items():
        np.testing.assert_array_equal(other.weights()[name], array)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_it_compiles_like_any_other() -> None:
    eager, _, _ = learn(make_trainer(), 50)
    compiled, _, _ = learn(make_trainer(compile=True), 50)
    np.testing.assert_allclose(compiled, eager, atol=1e-3)


def test_the_projection_is_algorithm_1() -> None:
    rng = torch.Generator().manual_seed(0)
    probabilities = torch.rand(4, 41, generator=rng)
    probabilities /= probabilities.sum(1, keepdim=True)
    rewards, discounts = torch.tensor([0.3, -5.0, 0.0, 1.0]), torch.tensor([0.9, 0.5, 1.0, 0.0])
    expected = np.zeros((4, 41))
    for i in range(4):
        for j in range(41):
            moved = float(rewards[i]) + float(discounts[i]) * float(ATOMS[j])
            position = (min(max(moved, -2.0), 2.0) + 2.0) / 0.1
            lower, share = int(position + 1e-6), position - int(position + 1e-6)
            expected[i, lower] += float(probabilities[i, j]) * (1 - share)
            if lower < 40:
                expected[i, lower + 1] += float(probabilities[i, j]) * share
    found = Categorical.project(probabilities, rewards, discounts)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
